#include "dataplane/io/port.h"

#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "dataplane/io/assigned_address.h"
#include "dataplane/io/packet_socket.h"
#include "dataplane/io/tun.h"

namespace wg::dataplane {

namespace {

constexpr unsigned kHandOverSize = 1024;
constexpr std::uint16_t kHandOverBurst = 64;

[[noreturn]] void fail(const PortOptions& options, const std::string& what, int error) {
  throw std::runtime_error("port " + options.name + " (" + options.device + "): " + what + ": " +
                           rte_strerror(error < 0 ? -error : error));
}

// Some drivers bound the MTU, some the frame, some neither (then the fields hold all ones).
std::uint32_t largest_mtu(const rte_eth_dev_info& info) {
  if (info.max_mtu != UINT16_MAX) return info.max_mtu;
  constexpr std::uint32_t kOverhead = RTE_ETHER_HDR_LEN + RTE_ETHER_CRC_LEN;
  return info.max_rx_pktlen > kOverhead ? std::min<std::uint32_t>(info.max_rx_pktlen - kOverhead, UINT16_MAX)
                                        : UINT16_MAX;
}

// "net_af_packet0,iface=eth1" -> "net_af_packet0"
std::string device_name(const std::string& device) {
  return device.substr(0, device.find(','));
}

bool is_virtual_wire(const std::string& device) {
  return device.rfind("net_", 0) == 0 || device.rfind("eth_", 0) == 0;
}

// DPDK's drivers of virtual functions are named net_iavf, net_ixgbe_vf, net_e1000_igb_vf, ...
DeviceKind kind_of(const rte_eth_dev_info& info) {
  const std::string driver = info.driver_name != nullptr ? info.driver_name : "";
  const bool virtual_function = driver.find("vf") != std::string::npos;
  return {virtual_function, virtual_function && (info.rx_offload_capa & RTE_ETH_RX_OFFLOAD_VLAN_FILTER) != 0};
}

void drop_all(rte_mbuf** packets, std::uint16_t n, DropReason reason, WorkerCounters& counters) noexcept {
  if (n == 0) return;
  rte_pktmbuf_free_bulk(packets, n);
  counters.drop(reason, n);
}

}  // namespace

std::array<std::uint8_t, 6> stable_mac(const std::string& name) {
  std::uint64_t hash = 0xcbf29ce484222325u;  // FNV-1a
  for (const char c : name) hash = (hash ^ static_cast<std::uint8_t>(c)) * 0x100000001b3u;
  std::array<std::uint8_t, 6> mac;
  for (std::size_t i = 0; i < mac.size(); ++i) mac[i] = static_cast<std::uint8_t>(hash >> (8 * i));
  mac[0] = static_cast<std::uint8_t>((mac[0] | 0x02) & 0xfe);  // locally administered, unicast
  return mac;
}

Port::Port(const PortOptions& options, rte_mempool* pool)
    : options_(options), pool_(pool), frames_(options.workers) {
  attach();
  try {
    settle_address();
    configure(pool);
    learn_facts();
    create_hand_over();
  } catch (...) {
    close_device();
    throw;
  }
}

Port::Port(const PortOptions& options, rte_mempool* pool, std::unique_ptr<TapDevice> tap)
    : options_(options), pool_(pool), tap_(std::move(tap)) {
  facts_.rx_queues = facts_.tx_queues = static_cast<std::uint16_t>(tap_->queue_count());
  facts_.mtu = options.mtu != 0 ? options.mtu : std::uint16_t{1500};
  facts_.mac = stable_mac(options.name);
  facts_.driver = "tap (held by linegate)";
  wire_counters_ = std::vector<TunCounters>(tap_->queue_count());
  create_hand_over();
}

Port::Port(const PortOptions& options, rte_mempool* pool, std::unique_ptr<PacketSocket> socket)
    : options_(options), pool_(pool), socket_(std::move(socket)) {
  facts_.rx_queues = facts_.tx_queues = static_cast<std::uint16_t>(socket_->queue_count());
  facts_.mtu = options.mtu != 0 ? options.mtu : std::uint16_t{1500};
  facts_.mac = socket_->mac();
  facts_.driver = "packet socket";
  facts_.rss = facts_.rx_queues > 1;
  // The kernel or the card behind it completes checksums.
  facts_.tx_ipv4_checksum = facts_.tx_udp_checksum = true;
  wire_counters_ = std::vector<TunCounters>(socket_->queue_count());
  create_hand_over();
}

Port::Port(const PortOptions& options, std::uint16_t ethdev)
    : options_(options), ethdev_(ethdev), frames_(options.workers) {
  rte_eth_dev_info info;
  if (const int error = rte_eth_dev_info_get(ethdev_, &info); error != 0)
    fail(options_, "device information", error);
  facts_.rx_queues = info.nb_rx_queues;
  facts_.tx_queues = info.nb_tx_queues;
  learn_facts();
  create_hand_over();
}

Port::~Port() {
  discard_handed_over();
  for (rte_ring* ring : hand_over_) rte_ring_free(ring);
  if (owns_ethdev_) close_device();
}

// A closed device stays with its bus as probed, and probing it again would make no ethdev: it is removed from
// the bus too, unless other ports of the same card are in use.
void Port::close_device() {
  filter_.reset();
  device_.reset();
  rte_eth_dev_info info;
  rte_device* device = rte_eth_dev_info_get(ethdev_, &info) == 0 ? info.device : nullptr;
  rte_eth_dev_stop(ethdev_);
  rte_eth_dev_close(ethdev_);
  if (device == nullptr) return;
  std::uint16_t other;
  RTE_ETH_FOREACH_DEV_OF(other, device) return;
  rte_dev_remove(device);
}

void Port::attach() {
  const std::string name = device_name(options_.device);
  if (rte_eth_dev_get_port_by_name(name.c_str(), &ethdev_) == 0) {
    owns_ethdev_ = true;
    return;
  }
  if (const int error = rte_dev_probe(options_.device.c_str()); error != 0) {
    fail(options_, "DPDK could not open the device (unknown device name, missing driver or bad arguments)",
         error);
  }
  if (rte_eth_dev_get_port_by_name(name.c_str(), &ethdev_) != 0) {
    throw std::runtime_error("port " + options_.name + " (" + options_.device +
                             "): the device is not an Ethernet port, or its kernel driver still holds it");
  }
  owns_ethdev_ = true;
}

// Drivers of virtual functions ask the physical one for their address when they are opened, and make one up
// when the answer is none.
void Port::settle_address() {
  const auto read = [this] {
    rte_ether_addr mac{};
    rte_eth_macaddr_get(ethdev_, &mac);
    MacAddress out;
    std::copy_n(mac.addr_bytes, out.size(), out.begin());
    return out;
  };
  rte_eth_dev_info info;
  if (rte_eth_dev_info_get(ethdev_, &info) != 0 || !kind_of(info).is_virtual_function) return;
  const auto open_again = [&] {
    close_device();
    owns_ethdev_ = false;
    attach();
    return read();
  };
  address_made_up_ = is_made_up(read(), facts_.mac, open_again);
}

void Port::configure(rte_mempool* pool) {
  rte_eth_dev_info info;
  if (const int error = rte_eth_dev_info_get(ethdev_, &info); error != 0)
    fail(options_, "device information", error);
  const std::uint16_t wanted = options_.queues != 0 ? options_.queues : options_.workers;
  facts_.rx_queues = std::min({wanted, info.max_rx_queues, options_.workers});
  facts_.tx_queues = std::min({wanted, info.max_tx_queues, options_.workers});

  rte_eth_conf conf{};
  if (facts_.rx_queues > 1) {
    conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
    conf.rx_adv_conf.rss_conf.rss_hf =
        (RTE_ETH_RSS_IP | RTE_ETH_RSS_UDP | RTE_ETH_RSS_TCP) & info.flow_type_rss_offloads;
    if (conf.rx_adv_conf.rss_conf.rss_hf == 0) conf.rxmode.mq_mode = RTE_ETH_MQ_RX_NONE;
  }
  // The workers use both, or neither: a device's plain transmit function is the faster one.
  constexpr std::uint64_t kSums = RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_UDP_CKSUM;
  if ((info.tx_offload_capa & kSums) == kSums) conf.txmode.offloads = kSums;
  facts_.tx_ipv4_checksum = facts_.tx_udp_checksum = conf.txmode.offloads == kSums;
  facts_.rss = conf.rxmode.mq_mode == RTE_ETH_MQ_RX_RSS;
  const DeviceKind kind = kind_of(info);
  if (kind.filters_vlans) conf.rxmode.offloads |= RTE_ETH_RX_OFFLOAD_VLAN_FILTER;
  strips_tags_ = kind.filters_vlans;
  if ((*info.dev_flags & RTE_ETH_DEV_INTR_RMV) != 0) conf.intr_conf.rmv = 1;
  if (options_.mtu != 0) {
    const std::uint32_t largest = largest_mtu(info);
    if (options_.mtu > largest) {
      throw std::runtime_error(
          "port " + options_.name + " (" + options_.device + "): mtu " + std::to_string(options_.mtu) +
          " is more than this device takes; allowed: at most " + std::to_string(largest));
    }
    conf.rxmode.mtu = std::max<std::uint32_t>(options_.mtu, info.min_mtu);
  }
  if (const int error = rte_eth_dev_configure(ethdev_, facts_.rx_queues, facts_.tx_queues, &conf);
      error != 0) {
    fail(options_, "configuring " + std::to_string(facts_.rx_queues) + " queues", error);
  }
  set_up_queues(pool);
  if (const int error = rte_eth_dev_start(ethdev_); error != 0) fail(options_, "start", error);
  if (!is_virtual_wire(options_.device)) {
    device_ = calls_of_ethdev(ethdev_);
    filter_.emplace(*device_, kind);
    if (!watch_)
      watch_.emplace(kind.is_virtual_function);  // its counts go on when the device is opened again
    static_cast<void>(watch_->judge(look_at_device()));
    return;
  }
  // Some virtual wires know neither; they pass every frame.
  if (options_.promiscuous) rte_eth_promiscuous_enable(ethdev_);
  rte_eth_allmulticast_enable(ethdev_);
}

void Port::set_up_queues(rte_mempool* pool) {
  std::uint16_t rx_descriptors = options_.descriptors, tx_descriptors = options_.descriptors;
  rte_eth_dev_adjust_nb_rx_tx_desc(ethdev_, &rx_descriptors, &tx_descriptors);
  const int socket = std::max(0, rte_eth_dev_socket_id(ethdev_));
  for (std::uint16_t q = 0; q < facts_.rx_queues; ++q) {
    const int error =
        rte_eth_rx_queue_setup(ethdev_, q, rx_descriptors, static_cast<unsigned>(socket), nullptr, pool);
    if (error != 0) fail(options_, "receive queue " + std::to_string(q), error);
  }
  for (std::uint16_t q = 0; q < facts_.tx_queues; ++q) {
    const int error =
        rte_eth_tx_queue_setup(ethdev_, q, tx_descriptors, static_cast<unsigned>(socket), nullptr);
    if (error != 0) fail(options_, "transmit queue " + std::to_string(q), error);
  }
}

void Port::learn_facts() {
  rte_eth_dev_info info;
  if (const int error = rte_eth_dev_info_get(ethdev_, &info); error != 0)
    fail(options_, "device information", error);
  facts_.driver = info.driver_name != nullptr ? info.driver_name : "unknown";
  rte_ether_addr mac{};
  rte_eth_macaddr_get(ethdev_, &mac);
  std::copy_n(mac.addr_bytes, 6, facts_.mac.begin());
  std::uint16_t mtu = 1500;
  rte_eth_dev_get_mtu(ethdev_, &mtu);
  facts_.mtu = mtu;
}

void Port::create_hand_over() {
  if (facts_.tx_queues == 0 || facts_.tx_queues >= options_.workers) return;
  for (std::uint16_t q = 0; q < facts_.tx_queues; ++q) {
    const std::string name = "ho_" + options_.name + "_" + std::to_string(q);
    rte_ring* ring =
        rte_ring_create(name.c_str(), kHandOverSize, static_cast<int>(rte_socket_id()), RING_F_SC_DEQ);
    if (ring == nullptr) fail(options_, "hand-over ring", rte_errno);
    hand_over_.push_back(ring);
  }
}

std::uint16_t Port::receive(std::uint16_t w, rte_mbuf** packets, std::uint16_t n,
                            WorkerCounters& counters) noexcept {
  if (!socket_ && !tap_) {
    if (paused_.load(std::memory_order_acquire)) [[unlikely]]
      return 0;
    const std::uint16_t got = rte_eth_rx_burst(ethdev_, w, packets, n);
    if (got != 0) frames_[w].taken.add(got);
    return strips_tags_ ? tags_.put_back(packets, got, counters) : got;
  }
  const QueueCounters of_queue{wire_counters_[w], counters.drops};
  const std::size_t got = socket_ ? socket_->queue(w).receive(pool_, packets, n, of_queue)
                                  : tap_->queue(w).read_burst(pool_, packets, n, of_queue);
  return static_cast<std::uint16_t>(got);
}

void Port::transmit_ethdev(std::uint16_t queue, rte_mbuf** packets, std::uint16_t n,
                           WorkerCounters& counters) noexcept {
  if (paused_.load(std::memory_order_acquire)) [[unlikely]]
    return drop_all(packets, n, DropReason::port_down, counters);
  const std::uint16_t sent = rte_eth_tx_burst(ethdev_, queue, packets, n);
  counters.tx_packets.add(sent);
  frames_[queue].handed.add(sent);
  // Dropping beats waiting: a full queue means the wire is the bottleneck, and newer packets are worth as
  // much.
  if (sent < n) drop_all(packets + sent, static_cast<std::uint16_t>(n - sent), DropReason::tx_full, counters);
}

void Port::transmit_queue(std::uint16_t queue, rte_mbuf** packets, std::uint16_t n,
                          WorkerCounters& counters) noexcept {
  if (!tap_ && !socket_) return transmit_ethdev(queue, packets, n, counters);
  const std::size_t written = socket_ ? socket_->queue(queue).transmit(packets, n, wire_counters_[queue])
                                      : tap_->queue(queue).write_burst(packets, n, wire_counters_[queue]);
  counters.tx_packets.add(written);
  if (written < n) counters.drop(DropReason::tx_full, n - written);
}

void Port::transmit(std::uint16_t w, rte_mbuf** packets, std::uint16_t n, WorkerCounters& counters) noexcept {
  if (n == 0) return;
  if (has_tx(w)) return transmit_queue(w, packets, n, counters);
  if (hand_over_.empty()) return drop_all(packets, n, DropReason::port_down, counters);
  rte_ring* ring = hand_over_[w % hand_over_.size()];
  const unsigned queued =
      rte_ring_mp_enqueue_burst(ring, reinterpret_cast<void* const*>(packets), n, nullptr);
  if (queued < n)
    drop_all(packets + queued, static_cast<std::uint16_t>(n - queued), DropReason::tx_full, counters);
}

void Port::transmit_handed_over(std::uint16_t w, WorkerCounters& counters) noexcept {
  if (w >= hand_over_.size()) return;
  rte_mbuf* packets[kHandOverBurst];
  const unsigned n =
      rte_ring_sc_dequeue_burst(hand_over_[w], reinterpret_cast<void**>(packets), kHandOverBurst, nullptr);
  if (n != 0) transmit_queue(w, packets, static_cast<std::uint16_t>(n), counters);
}

std::size_t Port::discard_handed_over() noexcept {
  std::size_t n = 0;
  void* packet;
  for (rte_ring* ring : hand_over_)
    for (; rte_ring_dequeue(ring, &packet) == 0; ++n) rte_pktmbuf_free(static_cast<rte_mbuf*>(packet));
  return n;
}

int Port::wake_fd(std::uint16_t w) noexcept {
  return socket_ && has_rx(w) ? socket_->queue(w).fd() : -1;
}

PortStatistics Port::statistics() const noexcept {
  PortStatistics out{};
  for (const TunCounters& queue : wire_counters_) {
    out.rx_packets += queue.read_packets.get();
    out.rx_bytes += queue.read_bytes.get();
    out.rx_errors += queue.read_dropped.get() + queue.read_errors.get();
    out.rx_no_buffer += queue.read_no_mbuf.get();
    out.tx_packets += queue.write_packets.get();
    out.tx_bytes += queue.write_bytes.get();
    out.tx_errors += queue.write_errors.get();
  }
  if (socket_) out.rx_missed = socket_->lost();
  if (tap_ || socket_) return out;
  rte_eth_stats stats;
  if (rte_eth_stats_get(ethdev_, &stats) != 0) return out;
  DeviceCounts counts{stats.ipackets,  stats.ibytes,   stats.imissed, stats.ierrors,
                      stats.rx_nombuf, stats.opackets, stats.obytes,  stats.oerrors};
  if (watch_) counts = watch_->counts(counts);
  return {counts.rx_packets,   counts.rx_bytes,   counts.rx_missed, counts.rx_errors,
          counts.rx_no_buffer, counts.tx_packets, counts.tx_bytes,  counts.tx_errors};
}

void Port::listen(const WantedFrames& wanted) {
  if (!filter_ || paused_.load(std::memory_order_relaxed)) return;
  const MacAddress before = device_->mac();
  tags_.know(wanted.vlans);
  filter_->apply(wanted);
  // This change does not come from outside.
  if (device_->mac() != before) watch_->start_over();
}

std::vector<std::string> Port::concerns() const {
  if (!filter_) return {};
  std::vector<std::string> out = filter_->concerns();
  if (address_made_up_)
    out.push_back("the physical function assigned no MAC address: the driver made up " +
                  to_string(facts_.mac) +
                  ", and another one each time it is opened; assign one (ip link set PF vf N mac ADDRESS)");
  if (facts_.rx_queues > 1 && !facts_.rss)
    out.push_back("the device has " + std::to_string(facts_.rx_queues) +
                  " queues, but does not spread frames over them: worker 0 receives all of them");
  return out;
}

std::optional<std::string> Port::look() {
  return device_ ? watch_->judge(look_at_device()) : std::nullopt;
}

DeviceSigns Port::look_at_device() {
  DeviceSigns signs = device_->look();
  for (const QueueFrames& queue : frames_) {
    signs.taken += queue.taken.get();
    signs.handed += queue.handed.get();
  }
  return signs;
}

// Stopping and starting would do for most resets, but drivers read a MAC address only when they are opened.
Expected<> Port::restart_device() {
  WantedFrames wanted = filter_->wanted();
  const MacAddress before = facts_.mac;
  close_device();
  owns_ethdev_ = false;
  const Expected<> opened = catch_refusal([this] {
    attach();
    settle_address();
    configure(pool_);
    learn_facts();
  });
  if (!opened) return opened;
  watch_->start_over();
  if (wanted.mac == before) wanted.mac = facts_.mac;
  filter_->apply(wanted);
  paused_.store(false, std::memory_order_release);
  return {};
}

std::uint32_t Port::speed_mbps() const noexcept {
  return watch_ ? watch_->last().speed_mbps : 0;
}

bool Port::link_up() const noexcept {
  if (tap_ || socket_) return true;
  if (watch_) return watch_->last().link_up;
  rte_eth_link link{};
  return rte_eth_link_get_nowait(ethdev_, &link) == 0 && link.link_status == RTE_ETH_LINK_UP;
}

}  // namespace wg::dataplane
