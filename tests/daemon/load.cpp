#include "tests/daemon/load.h"

#include <rte_cycles.h>
#include <rte_ethdev.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <thread>
#include <utility>

#include "dataplane/io/port.h"
#include "dataplane/packet/checksum.h"
#include "dataplane/packet/headers.h"
#include "tests/daemon/sandbox.h"

namespace wg::test {

using namespace dataplane;
using namespace std::chrono_literals;

namespace {

constexpr std::uint32_t kGatewayOuter = 0x0a140001;  // 10.20.0.1
constexpr std::uint32_t kHost = 0xc0a80105;          // 192.168.1.5
constexpr std::uint16_t kListenPort = 51820;
constexpr std::size_t kL3 = kEthernetHeaderSize;
constexpr std::size_t kL4 = kL3 + kIpv4HeaderSize;
constexpr std::size_t kMessage = kL4 + kUdpHeaderSize;
constexpr std::size_t kMessageHeader = 16;
constexpr std::size_t kInner = 64;  // bytes of an inner packet: a multiple of 16, so nothing is padded
constexpr std::size_t kInnerSequence = kIpv4HeaderSize + kUdpHeaderSize;
constexpr MacAddress kWanNeighbour{2, 0, 0, 0, 0, 0x22}, kLanNeighbour{2, 0, 0, 0, 0, 0x55};

Ipv4Bytes v4(std::uint32_t address) {
  return {static_cast<std::uint8_t>(address >> 24), static_cast<std::uint8_t>(address >> 16),
          static_cast<std::uint8_t>(address >> 8), static_cast<std::uint8_t>(address)};
}
std::uint32_t host_order(const Ipv4Bytes& b) {
  return std::uint32_t{b[0]} << 24 | std::uint32_t{b[1]} << 16 | std::uint32_t{b[2]} << 8 | b[3];
}

void write_ethernet(std::uint8_t* at, const MacAddress& to, const MacAddress& from) {
  auto* ethernet = header_at<EthernetHeader>(at);
  ethernet->destination = to;
  ethernet->source = from;
  ethernet->type = Be16{ether_type::kIpv4};
}

// IPv4 and UDP headers for `payload` bytes that follow.
void write_ip_udp(std::uint8_t* at, std::uint32_t source, std::uint16_t source_port,
                  std::uint32_t destination, std::uint16_t destination_port, std::size_t payload) {
  auto* ip = header_at<Ipv4Header>(at);
  *ip = {};
  ip->version_ihl = 0x45;
  ip->total_length = Be16{static_cast<std::uint16_t>(kIpv4HeaderSize + kUdpHeaderSize + payload)};
  ip->ttl = 64;
  ip->protocol = ip_protocol::kUdp;
  ip->source = v4(source);
  ip->destination = v4(destination);
  ipv4_checksum_fill(ip);
  auto* udp = header_at<UdpHeader>(at + kIpv4HeaderSize);
  udp->source_port = Be16{source_port};
  udp->destination_port = Be16{destination_port};
  udp->length = Be16{static_cast<std::uint16_t>(kUdpHeaderSize + payload)};
  udp->checksum = Be16{0};
}

// The start of the WireGuard message in an outgoing frame, or nullptr.
const std::uint8_t* message_of(const rte_mbuf* packet, std::size_t* length) {
  if (packet->data_len < kMessage + 4 || packet->nb_segs != 1) return nullptr;
  const auto* frame = rte_pktmbuf_mtod(packet, const std::uint8_t*);
  if (header_at<const EthernetHeader>(frame)->type != Be16{ether_type::kIpv4}) return nullptr;
  const auto* ip = header_at<const Ipv4Header>(frame + kL3);
  if (ip->version_ihl != 0x45 || ip->protocol != ip_protocol::kUdp) return nullptr;
  const auto* udp = header_at<const UdpHeader>(frame + kL4);
  if (udp->source_port != Be16{kListenPort} || udp->destination_port != Be16{kRemotePort}) return nullptr;
  *length = udp->length.value() - kUdpHeaderSize;
  return frame + kMessage;
}

std::uint16_t ethdev(const char* device) {
  const std::string name(device, std::strchr(device, ','));
  std::uint16_t id;
  if (rte_eth_dev_get_port_by_name(name.c_str(), &id) != 0) throw std::runtime_error("no port on " + name);
  return id;
}

}  // namespace

void add_neighbours() {
  shell(
      "ip neigh replace 10.20.0.2 lladdr 02:00:00:00:00:22 nud permanent dev wan && "
      "ip neigh replace 192.168.1.5 lladdr 02:00:00:00:00:55 nud permanent dev lan");
}

Load::Load(Remotes& remotes)
    : remotes_(remotes),
      wan_(ethdev(kWanDevice)),
      lan_(ethdev(kLanDevice)),
      pool_(rte_mempool_lookup("packets")),
      wan_mac_(stable_mac("wan")),
      lan_mac_(stable_mac("lan")) {
  if (pool_ == nullptr) throw std::runtime_error("no packet pool");
  callbacks_[0] = rte_eth_add_rx_callback(wan_, 0, on_wan_rx, this);
  callbacks_[1] = rte_eth_add_rx_callback(lan_, 0, on_lan_rx, this);
  callbacks_[2] = rte_eth_add_tx_callback(wan_, 0, on_wan_tx, this);
  callbacks_[3] = rte_eth_add_tx_callback(lan_, 0, on_lan_tx, this);
  for (const void* callback : callbacks_) {
    if (callback == nullptr) throw std::runtime_error("DPDK refuses port callbacks");
  }
}

Load::~Load() {
  stop();
  rte_eth_remove_rx_callback(wan_, 0, static_cast<const rte_eth_rxtx_callback*>(callbacks_[0]));
  rte_eth_remove_rx_callback(lan_, 0, static_cast<const rte_eth_rxtx_callback*>(callbacks_[1]));
  rte_eth_remove_tx_callback(wan_, 0, static_cast<const rte_eth_rxtx_callback*>(callbacks_[2]));
  rte_eth_remove_tx_callback(lan_, 0, static_cast<const rte_eth_rxtx_callback*>(callbacks_[3]));
  std::this_thread::sleep_for(50ms);  // the worker may be in one
}

// ---------------------------------------------------------------- on the worker's thread

std::uint16_t Load::on_wan_rx(std::uint16_t, std::uint16_t, rte_mbuf** packets, std::uint16_t n,
                              std::uint16_t room, void* self) {
  Load& load = *static_cast<Load*>(self);
  const Mode mode = load.mode_.load(std::memory_order_acquire);
  const std::uint64_t poll = load.polls_.fetch_add(1, std::memory_order_release);
  load.clock_.wan_polled(mode == Mode::on);
  n = load.inject(packets, n, room);
  const bool turn = mode != Mode::off && poll % load.poll_every_ == 0;
  if (turn)
    n = static_cast<std::uint16_t>(n + load.make_sealed(packets + n, static_cast<std::uint16_t>(room - n)));
  load.clock_.wan_filled();
  return n;
}

std::uint16_t Load::on_lan_rx(std::uint16_t, std::uint16_t, rte_mbuf** packets, std::uint16_t n,
                              std::uint16_t room, void* self) {
  Load& load = *static_cast<Load*>(self);
  if (load.mode_.load(std::memory_order_acquire) != Mode::on ||
      load.polls_.load(std::memory_order_relaxed) % load.poll_every_ != 0)
    return n;
  load.clock_.lan_polled();
  n = static_cast<std::uint16_t>(n + load.make_plain(packets + n, static_cast<std::uint16_t>(room - n)));
  load.clock_.lan_filled();
  return n;
}

std::uint16_t Load::inject(rte_mbuf** packets, std::uint16_t n, std::uint16_t room) {
  const std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock.owns_lock()) return n;
  while (n < room && !to_gateway_.empty()) {
    rte_mbuf* packet = packet_of(to_gateway_.front());
    if (packet == nullptr) break;
    to_gateway_.pop_front();
    packets[n++] = packet;
  }
  return flood_.empty() ? n : inject_flood(packets, n, room);
}

rte_mbuf* Load::packet_of(std::span<const std::uint8_t> frame) {
  rte_mbuf* packet = rte_pktmbuf_alloc(pool_);
  if (packet != nullptr)
    std::memcpy(rte_pktmbuf_append(packet, static_cast<std::uint16_t>(frame.size())), frame.data(),
                frame.size());
  return packet;
}

// What is due by the clock, but not more than fits in: a flood does not catch up.
std::uint16_t Load::inject_flood(rte_mbuf** packets, std::uint16_t n, std::uint16_t room) {
  const std::uint64_t now = rte_rdtsc();
  std::uint64_t number = flooded_.load(std::memory_order_relaxed);
  for (; n < room && flood_due_ <= now; flood_due_ += flood_pace_) {
    rte_mbuf* packet = packet_of(flood_[number++ % flood_.size()]);
    if (packet == nullptr) break;
    packets[n++] = packet;
  }
  flood_due_ = std::max(flood_due_, now);
  flooded_.store(number, std::memory_order_relaxed);
  return n;
}

std::uint16_t Load::make_sealed(rte_mbuf** packets, std::uint16_t n) {
  const bool once = mode_.load(std::memory_order_relaxed) == Mode::confirm;
  if (once) n = static_cast<std::uint16_t>(std::min<std::size_t>(n, active_.size() - next_in_));
  if (n == 0 || active_.empty() || rte_pktmbuf_alloc_bulk(pool_, packets, n) != 0) return 0;
  std::array<crypto::AeadOp, 256> ops;
  constexpr std::size_t kSize = kMessage + kMessageHeader + kInner + crypto::kAeadTagSize;
  for (std::uint16_t i = 0; i < n; ++i) {
    Remote& remote = *active_[next_in_++];
    if (!once && next_in_ == active_.size()) next_in_ = 0;
    auto* frame = reinterpret_cast<std::uint8_t*>(rte_pktmbuf_append(packets[i], kSize));
    write_ethernet(frame, wan_mac_, kWanNeighbour);
    write_ip_udp(frame + kL3, remote.outer(), kRemotePort, kGatewayOuter, kListenPort, kSize - kMessage);
    std::uint8_t* message = frame + kMessage;
    const std::uint32_t type = kMessageTransportData;
    std::memcpy(message, &type, 4);
    std::memcpy(message + 4, &remote.keys.remote_index, 4);
    std::memcpy(message + 8, &remote.counter, 8);
    std::uint8_t* inner = message + kMessageHeader;
    write_ip_udp(inner, remote.inner(), 7, kHost, 7, kInner - kIpv4HeaderSize - kUdpHeaderSize);
    std::memset(inner + kInnerSequence, 0, kInner - kInnerSequence);
    const auto sequence = static_cast<std::uint32_t>(++remote.sent_in);
    std::memcpy(inner + kInnerSequence, &sequence, 4);
    ops[i] = {inner, remote.keys.sending.bytes.data(), remote.counter++, kInner, 0};
  }
  crypto::aead_engine().seal(*scratch_, {ops.data(), n});
  sent_.fetch_add(n, std::memory_order_relaxed);
  return n;
}

std::uint16_t Load::make_plain(rte_mbuf** packets, std::uint16_t n) {
  if (n == 0 || active_.empty() || rte_pktmbuf_alloc_bulk(pool_, packets, n) != 0) return 0;
  for (std::uint16_t i = 0; i < n; ++i) {
    Remote& remote = *active_[next_out_++];
    if (next_out_ == active_.size()) next_out_ = 0;
    auto* frame = reinterpret_cast<std::uint8_t*>(rte_pktmbuf_append(packets[i], kL3 + kInner));
    write_ethernet(frame, lan_mac_, kLanNeighbour);
    write_ip_udp(frame + kL3, kHost, 7, remote.inner(), 7, kInner - kIpv4HeaderSize - kUdpHeaderSize);
    std::memset(frame + kL3 + kInnerSequence, 0, kInner - kInnerSequence);
    ++remote.sent_out;
  }
  sent_.fetch_add(n, std::memory_order_relaxed);
  return n;
}

std::uint16_t Load::on_wan_tx(std::uint16_t, std::uint16_t, rte_mbuf** packets, std::uint16_t n, void* self) {
  Load& load = *static_cast<Load*>(self);
  for (std::uint16_t i = 0; i < n; ++i) {
    std::size_t length;
    const std::uint8_t* message = message_of(packets[i], &length);
    if (message == nullptr) continue;
    if (message[0] != kMessageTransportData) {
      const std::lock_guard lock(load.mutex_);
      load.from_gateway_.emplace_back(message, message + length);
      continue;
    }
    std::uint32_t index;
    std::uint64_t counter;
    std::memcpy(&index, message + 4, 4);
    std::memcpy(&counter, message + 8, 8);
    Remote* remote = load.remotes_.by_index(index);
    if (remote == nullptr) continue;
    if (counter != remote->next_counter) ++remote->reordered;
    remote->next_counter = counter + 1;
    if (length != kKeepaliveSize) ++remote->arrived_out;
  }
  load.clock_.wan_transmitted();
  return n;
}

std::uint16_t Load::on_lan_tx(std::uint16_t, std::uint16_t, rte_mbuf** packets, std::uint16_t n, void* self) {
  Load& load = *static_cast<Load*>(self);
  for (std::uint16_t i = 0; i < n; ++i) {
    if (packets[i]->data_len < kL3 + kInner) continue;
    const auto* frame = rte_pktmbuf_mtod(packets[i], const std::uint8_t*);
    const auto* ip = header_at<const Ipv4Header>(frame + kL3);
    if (header_at<const EthernetHeader>(frame)->type != Be16{ether_type::kIpv4} ||
        host_order(ip->destination) != kHost)
      continue;
    Remote* remote = load.remotes_.by_index(host_order(ip->source) - 0x0a800100u + 1);
    if (remote == nullptr) continue;
    std::uint32_t sequence;
    std::memcpy(&sequence, frame + kL3 + kInnerSequence, 4);
    if (sequence != remote->last_in + 1) ++remote->reordered;
    remote->last_in = sequence;
    ++remote->arrived_in;
  }
  return n;
}

// ---------------------------------------------------------------- on the test's thread

void Load::wait_loops(std::uint64_t loops) {
  const std::uint64_t end = polls_.load(std::memory_order_acquire) + loops;
  const auto late = std::chrono::steady_clock::now() + 10s;
  while (polls_.load(std::memory_order_acquire) < end) {
    if (std::chrono::steady_clock::now() > late) return;  // the worker has ended
    std::this_thread::sleep_for(100us);
  }
}

void Load::send(const Remote& remote, std::span<const std::uint8_t> message) {
  std::vector<std::uint8_t> frame(kMessage + message.size());
  write_ethernet(frame.data(), wan_mac_, kWanNeighbour);
  write_ip_udp(frame.data() + kL3, remote.outer(), kRemotePort, kGatewayOuter, kListenPort, message.size());
  std::copy(message.begin(), message.end(), frame.begin() + kMessage);
  const std::lock_guard lock(mutex_);
  to_gateway_.push_back(std::move(frame));
}

void Load::flood(const Messages& messages, unsigned per_second) {
  constexpr std::uint32_t kStrangers = 0xc6120001;  // 198.18.0.1
  constexpr std::uint16_t kStrangersPort = 7777;    // no process reads the answers to it
  Messages frames;
  for (const auto& message : messages) {
    auto& frame = frames.emplace_back(kMessage + message.size());
    write_ethernet(frame.data(), wan_mac_, kWanNeighbour);
    write_ip_udp(frame.data() + kL3, kStrangers + static_cast<std::uint32_t>(frames.size()), kStrangersPort,
                 kGatewayOuter, kListenPort, message.size());
    std::copy(message.begin(), message.end(), frame.begin() + kMessage);
  }
  const std::lock_guard lock(mutex_);
  flood_.swap(frames);
  flood_pace_ = per_second == 0 ? 0 : rte_get_tsc_hz() / per_second;
  flood_due_ = rte_rdtsc();
}

std::deque<std::vector<std::uint8_t>> Load::take() {
  const std::lock_guard lock(mutex_);
  return std::exchange(from_gateway_, {});
}

std::size_t Load::bring_up(const std::vector<std::size_t>& wanted, std::chrono::milliseconds patience) {
  return remotes_.bring_up(
      wanted, [this](Remote& remote, std::span<const std::uint8_t> message) { send(remote, message); },
      [this] { return take(); }, patience);
}

void Load::confirm(const std::vector<std::size_t>& wanted) {
  active_.clear();
  for (const std::size_t i : wanted) active_.push_back(&remotes_[i]);
  // Sends in portions, because each one is an event for the control thread, whose mailbox is bounded.
  const std::vector<Remote*> all = active_;
  for (std::size_t i = 0; i < all.size(); i += 512) {
    active_.assign(all.begin() + static_cast<std::ptrdiff_t>(i),
                   all.begin() + static_cast<std::ptrdiff_t>(std::min(i + 512, all.size())));
    next_in_ = 0;
    mode_.store(Mode::confirm, std::memory_order_release);
    wait_loops(512 / 32 + 4);
    mode_.store(Mode::off, std::memory_order_release);
    wait_loops(3);
    std::this_thread::sleep_for(2ms);
  }
  std::this_thread::sleep_for(200ms);
}

void Load::start(const std::vector<std::size_t>& wanted, unsigned poll_every) {
  active_.clear();
  for (const std::size_t i : wanted) active_.push_back(&remotes_[i]);
  next_in_ = next_out_ = 0;
  poll_every_ = poll_every;
  clock_.forget();
  mode_.store(Mode::on, std::memory_order_release);
}

void Load::stop() {
  if (mode_.exchange(Mode::off, std::memory_order_acq_rel) == Mode::off) return;
  wait_loops(4);
}

Tally Load::take_tally() {
  Tally out;
  for (std::size_t i = 0; i < remotes_.size(); ++i) {
    Remote& remote = remotes_[i];
    out.sent_in += std::exchange(remote.sent_in, 0);
    out.arrived_in += std::exchange(remote.arrived_in, 0);
    out.sent_out += std::exchange(remote.sent_out, 0);
    out.arrived_out += std::exchange(remote.arrived_out, 0);
    out.reordered += std::exchange(remote.reordered, 0);
    remote.last_in = 0;
  }
  return out;
}

LoopTimes Load::take_times() {
  return clock_.take();
}

}  // namespace wg::test
