#include "tests/worker_world/world.h"

#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <rte_ring.h>
#include <sodium.h>

#include <algorithm>

#include "dataplane/core/watcher.h"
#include "dataplane/crypto/aead.h"
#include "dataplane/eal.h"
#include "dataplane/packet/headers.h"

namespace wg::test {

using namespace dataplane;

namespace {

constexpr unsigned kBuffers = 8191;
constexpr unsigned kWire = 256;
const Octets kJunk = {0};  // what block_wire() fills a wire with

struct Shared {
  rte_mempool* pool;
  ById<PortIndex, RingPort> ports = ById<PortIndex, RingPort>(2);
};

// Ports and pool outlive a test: DPDK's ports are few.
Shared& shared() {
  static Shared s = [] {
    start_environment(256);
    Shared made{};
    made.pool = create_packet_pool("packets", kBuffers, 2048);
    made.ports[kWan] = make_ring_port("wan", kWire, made.pool);
    made.ports[kLan] = make_ring_port("lan", kWire, made.pool);
    return made;
  }();
  return s;
}

// Fixed keys: the session's two directions of peer n.
Octets key_of(std::uint32_t slot, bool sending) {
  return pattern(32, 11 + slot * 2 + (sending ? 1 : 0));
}

Octets seal(const Octets& key, std::uint32_t index, std::uint64_t counter, Octets plain, std::size_t padded) {
  const std::size_t length = padded == kPadTo16 ? (plain.size() + 15) / 16 * 16 : padded;
  plain.resize(length);
  Octets out(16 + length + 16);
  out[0] = 4;
  std::array<std::uint8_t, 12> nonce{};
  for (std::size_t i = 0; i < 4; ++i) out[4 + i] = static_cast<std::uint8_t>(index >> (8 * i));
  for (std::size_t i = 0; i < 8; ++i)
    out[8 + i] = nonce[4 + i] = static_cast<std::uint8_t>(counter >> (8 * i));
  crypto_aead_chacha20poly1305_ietf_encrypt(out.data() + 16, nullptr, plain.data(), plain.size(), nullptr, 0,
                                            nullptr, nonce.data(), key.data());
  return out;
}

bool is6(const std::string& text) {
  return text.find(':') != std::string::npos;
}

IpAddress ip_address(const std::string& text) {
  const Octets b = address(text);
  return b.size() == 4 ? IpAddress::from_v4(b.data()) : IpAddress::from_v6(b.data());
}

std::uint32_t host_order(const std::string& text) {
  return ip_address(text).v4_host_order();
}

lpm::Address6 address6(const std::string& text) {
  lpm::Address6 a;
  const Octets b = address(text);
  std::copy(b.begin(), b.end(), a.bytes.begin());
  return a;
}

Octets take(rte_ring* ring) {
  void* object;
  if (rte_ring_dequeue(ring, &object) != 0) return {};
  auto* packet = static_cast<rte_mbuf*>(object);
  Octets bytes(packet->pkt_len);
  const void* data = rte_pktmbuf_read(packet, 0, packet->pkt_len, bytes.data());
  if (data != bytes.data()) std::memcpy(bytes.data(), data, bytes.size());
  rte_pktmbuf_free(packet);
  return bytes;
}

rte_mbuf* packet_of(const Octets& bytes) {
  rte_mbuf* packet = rte_pktmbuf_alloc(shared().pool);
  if (packet == nullptr) throw std::runtime_error("test pool is empty");
  char* to = rte_pktmbuf_append(packet, static_cast<std::uint16_t>(bytes.size()));
  if (to == nullptr) throw std::runtime_error("frame too long for one buffer");
  std::copy(bytes.begin(), bytes.end(), to);
  return packet;
}

}  // namespace

Octets message_from(const TestPeer& peer, std::uint64_t counter, const Octets& inner, std::size_t padded) {
  return seal(key_of(peer.slot, false), peer.our_index, counter, inner, padded);
}
Octets message_to(const TestPeer& peer, std::uint64_t counter, const Octets& inner, std::size_t padded) {
  return seal(key_of(peer.slot, true), peer.their_index, counter, inner, padded);
}

Packet outer_from(const TestPeer& peer, const Octets& message, std::uint8_t tos) {
  Packet p;
  p.eth(kWanMac, kGatewayMac);
  is6(peer.endpoint) ? p.ip6(peer.endpoint, kUs6) : p.ip4(peer.endpoint, kUs4);
  return p.tos(tos).udp(peer.endpoint_port, peer.listen_port).data(message);
}

Packet outer_to(const TestPeer& peer, const Octets& message, std::uint16_t id, std::uint8_t tos) {
  Packet p;
  p.eth(kGatewayMac, kWanMac);
  is6(peer.endpoint) ? p.ip6(kUs6, peer.endpoint) : p.ip4(kUs4, peer.endpoint).id(id);
  return p.tos(tos).udp(peer.listen_port, peer.endpoint_port).data(message);
}

Packet from_host() {
  return Packet().eth(kLanMac, kHostMac);
}
Packet to_host() {
  return Packet().eth(kHostMac, kLanMac);
}

WorkerWorld::WorkerWorld(const WorkerOptions& options, std::size_t workers) : quiescence_(workers) {
  Shared& s = shared();
  auto listen = std::make_shared<ListenPorts>();
  listen->fill(kNoInterface);
  (*listen)[51820] = kWg0;
  (*listen)[51821] = kWg1;
  snapshot_.listen_ports = listen;
  snapshot_.local_addresses =
      LocalAddresses({ip_address(kUs4), ip_address(kUs6), ip_address("192.168.1.1"), ip_address("fd01::1"),
                      ip_address("10.10.0.1"), ip_address("fd10::1")});
  snapshot_.interfaces.resize(2);
  for (const InterfaceId id : snapshot_.interfaces.ids()) {
    InterfaceView& interface = snapshot_.interfaces[id];
    interface.id = id;
    interface.present = interface.up = true;
    interface.listen_port = UdpPort{static_cast<std::uint16_t>(51820 + number_of(id))};
    interface.allowed4 = &allowed4(id);
    interface.allowed6 = &allowed6(id);
    interface.icmp_source4 = ip_address(id == kWg0 ? "10.10.0.1" : "10.20.0.1");
    interface.icmp_source6 = ip_address(id == kWg0 ? "fd10::1" : "fd20::1");
  }
  snapshot_.ports.resize(2);
  for (const PortIndex index : snapshot_.ports.ids()) {
    PortView& port = snapshot_.ports[index];
    port.port = s.ports[index].port.get();
    const Octets& mac = index == kWan ? kWanMac : kLanMac;
    std::copy(mac.begin(), mac.end(), port.mac.begin());
    port.icmp_source4 = ip_address(index == kWan ? kUs4 : "192.168.1.1");
    port.icmp_source6 = ip_address(index == kWan ? kUs6 : "fd01::1");
  }
  NextHop host;
  host.kind = HopKind::kPort;
  host.port = kLan;
  host.header_length = 14;
  const Octets ethernet = slice(to_host().build(), 0, 14);
  std::copy(ethernet.begin(), ethernet.end(), host.header.begin());
  NextHop wg;
  wg.kind = HopKind::kInterface;
  wg.interface_id = kWg0;
  wg.mtu = 65535;
  NextHop wg1 = wg;
  wg1.interface_id = kWg1;
  NextHop nowhere;
  nowhere.kind = HopKind::kDrop;
  const std::uint32_t to_lan = add_hop(host), to_wg0 = add_hop(wg), to_wg1 = add_hop(wg1),
                      black_hole = add_hop(nowhere);
  value_or_throw(routes4_.insert(host_order("192.168.1.5"), 32, to_lan));
  value_or_throw(routes4_.insert(host_order("10.10.0.0"), 24, to_wg0));
  value_or_throw(routes4_.insert(host_order("10.20.0.0"), 24, to_wg1));
  value_or_throw(routes4_.insert(host_order("192.168.66.0"), 24, black_hole));
  value_or_throw(routes6_.insert(address6("fd01::5"), 128, to_lan));
  value_or_throw(routes6_.insert(address6("fd10::"), 64, to_wg0));
  value_or_throw(routes6_.insert(address6("fd20::"), 64, to_wg1));
  value_or_throw(routes6_.insert(address6("fd66::"), 64, black_hole));
  snapshot_.routes4 = &routes4_;
  snapshot_.routes6 = &routes6_;
  snapshot_.keypairs = &keypair_table_;
  snapshot_.peers = &peers_;
  for (const TestPeer* test_peer : {&kAlice, &kBob, &kCarol}) add_peer(*test_peer);
  published_.store(&snapshot_);
  for (std::uint16_t id = 0; id < quiescence_.workers(); ++id) {
    WorkerOptions own = options;
    own.id = id;
    own.sole = quiescence_.workers() == 1;
    workers_.push_back(std::make_unique<Worker>(own, crypto::aead_engine(), s.pool, quiescence_, published_,
                                                control_doorbell_));
  }
  for (const auto& worker : workers_) worker->join_team(workers_);
}

WorkerWorld::~WorkerWorld() {
  drain_everything();
}

void WorkerWorld::accept_vlan(PortIndex port, std::uint16_t id) {
  const std::shared_ptr<const VlanIds>& before = snapshot_.ports[port].vlans;
  VlanIds ids = before == nullptr ? VlanIds{} : *before;
  ids.up.set(id);
  for (VlanIds::Ids& forwards : ids.linux_forwards) forwards.set(id);
  snapshot_.ports[port].vlans = std::make_shared<const VlanIds>(ids);
}

std::uint16_t WorkerWorld::add_hop(const NextHop& hop) {
  snapshot_.next_hops.push_back(hop);
  return static_cast<std::uint16_t>(snapshot_.next_hops.size() - 1);
}

void WorkerWorld::add_peer(const TestPeer& test_peer) {
  Peer* peer = peers_.add(test_peer.interface_id);
  if (peer == nullptr || peer->slot != test_peer.slot) throw std::logic_error("peer slots are out of order");
  value_or_throw(allowed4(test_peer.interface_id).insert(host_order(test_peer.inside4), 32, test_peer.slot));
  value_or_throw(allowed6(test_peer.interface_id).insert(address6(test_peer.inside6), 128, test_peer.slot));
  static_cast<void>(keypair_table_.reserve([&] { return test_peer.our_index; }));
  set_session(test_peer, {});
  set_endpoint(test_peer, test_peer.endpoint, test_peer.endpoint_port);
}

void WorkerWorld::set_session(const TestPeer& test_peer, const SessionOptions& options) {
  auto keypair = std::make_unique<Keypair>();
  const Octets receiving = key_of(test_peer.slot, false), sending = key_of(test_peer.slot, true);
  std::copy(receiving.begin(), receiving.end(), keypair->receiving_key.begin());
  std::copy(sending.begin(), sending.end(), keypair->sending_key.begin());
  keypair->peer = &peer(test_peer);
  keypair->set_birthdate(now_ - options.age);
  keypair->local_index = test_peer.our_index;
  keypair->remote_index = test_peer.their_index;
  keypair->peer_generation = peer(test_peer).generation.load();
  keypair->i_am_initiator = options.initiator;
  keypair->confirmed = options.confirmed;
  keypair->sending_counter = options.counter;
  keypair_table_.publish(test_peer.our_index, keypair.get());
  peer(test_peer).current = options.confirmed ? keypair.get() : nullptr;
  keypairs_[test_peer.slot] = std::move(keypair);
}

void WorkerWorld::remove_session(const TestPeer& test_peer) {
  peer(test_peer).current = nullptr;
}

void WorkerWorld::remove_endpoint(const TestPeer& test_peer) {
  peer(test_peer).path = nullptr;
}

void WorkerWorld::use_kernel_path(const TestPeer& test_peer) {
  paths_[test_peer.slot]->port = kKernelPath;
  paths_[test_peer.slot]->header_length = 0;
}

// Builds the header as control does: complete except for lengths, id, ECN and checksums.
void WorkerWorld::set_endpoint(const TestPeer& test_peer, const std::string& host, std::uint16_t port) {
  TestPeer moved = test_peer;
  moved.endpoint = host;
  moved.endpoint_port = port;
  Octets frame = outer_to(moved, {}, 0);
  auto path = std::make_unique<Path>();
  path->remote.address = ip_address(host);
  path->remote.port = UdpPort{port};
  path->local.address = ip_address(is6(host) ? kUs6 : kUs4);
  path->local.port = UdpPort{test_peer.listen_port};
  path->port = kWan;
  path->mtu = 65535;
  path->l3_offset = 14;
  path->header_length = static_cast<std::uint8_t>(frame.size());
  if (is6(host)) {
    put16(frame, 14 + 4, 0);
  } else {
    put16(frame, 14 + 2, 0);
    put16(frame, 14 + 10, 0);
    put16(frame, 14 + 10, ~ones_sum(frame, 14, 34) & 0xffff);
  }
  put16(frame, frame.size() - 4, 0);
  put16(frame, frame.size() - 2, 0);
  std::copy(frame.begin(), frame.end(), path->header.begin());
  peer(test_peer).path = path.get();
  paths_[test_peer.slot] = std::move(path);
}

void WorkerWorld::close_listen_port(std::uint16_t port) {
  auto listen = std::make_shared<ListenPorts>(*snapshot_.listen_ports);
  (*listen)[port] = kNoInterface;
  snapshot_.listen_ports = listen;
}

void WorkerWorld::arrive(PortIndex port, const Octets& frame, std::size_t segments, std::uint64_t ol_flags) {
  rte_mbuf* head = nullptr;
  const std::size_t each = (frame.size() + segments - 1) / segments;
  for (std::size_t at = 0; at < frame.size(); at += each) {
    rte_mbuf* part = packet_of(slice(frame, at, std::min(frame.size(), at + each)));
    if (head == nullptr) {
      head = part;
    } else if (rte_pktmbuf_chain(head, part) != 0) {
      throw std::runtime_error("too many segments");
    }
  }
  if (head == nullptr) head = packet_of({});
  head->ol_flags |= ol_flags;
  if (rte_ring_enqueue(shared().ports[port].arriving, head) != 0) throw std::runtime_error("wire is full");
}

void WorkerWorld::block_wire(PortIndex port) {
  while (rte_ring_free_count(shared().ports[port].leaving) != 0)
    rte_ring_enqueue(shared().ports[port].leaving, packet_of(kJunk));
}

std::vector<Octets> WorkerWorld::transmitted(PortIndex port) {
  std::vector<Octets> out;
  while (rte_ring_count(shared().ports[port].leaving) != 0) {
    const Octets frame = take(shared().ports[port].leaving);
    if (frame != kJunk) out.push_back(frame);
  }
  return out;
}

void WorkerWorld::command(CommandType type, const TestPeer& test_peer, const Octets& inner) {
  Command command{};
  command.type = type;
  command.peer = peer(test_peer).ref();
  command.interface_id = test_peer.interface_id;
  command.packet = type == CommandType::kKeepalive ? nullptr : packet_of(inner);
  if (!workers_[0]->mailboxes().commands.post(command)) throw std::runtime_error("command mailbox is full");
}

void WorkerWorld::stale_command(const Octets& inner) {
  Command command{};
  command.type = CommandType::kSendInner;
  command.peer = {0, 12345};
  command.packet = packet_of(inner);
  static_cast<void>(workers_[0]->mailboxes().commands.post(command));
}

void WorkerWorld::frame_command(PortIndex port, const Octets& frame) {
  Command command{};
  command.type = CommandType::kSendFrame;
  command.port = port;
  command.packet = packet_of(frame);
  static_cast<void>(workers_[0]->mailboxes().commands.post(command));
}

void WorkerWorld::watch_everything() {
  watch_ = std::make_shared<Watch>();
  watch_->points = ~std::uint32_t{0};
  watch_->bit = 1;
  for (std::size_t i = 0; i < workers_.size(); ++i)
    watch_->rings.push_back(std::make_unique<WatchRing>(std::size_t{1} << 23));
  auto set = std::make_shared<WatchSet>();
  set->generation = 1;
  set->mark_offset = watch_mark_offset();
  set->watches.push_back(watch_);
  snapshot_.watches = set;
}

std::vector<WorkerWorld::Seen> WorkerWorld::seen() {
  std::vector<Seen> out;
  WatchRing& ring = *watch_->rings[0];
  WatchRecord record;
  while (ring.peek(&record)) {
    const std::span<const std::uint8_t> bytes = ring.packet(record);
    out.push_back({record, Octets(bytes.begin(), bytes.end())});
    ring.pop(record);
  }
  return out;
}

std::vector<WorkerWorld::Note> WorkerWorld::events() {
  std::vector<Note> out;
  workers_[0]->mailboxes().events.drain(1u << 20, [&](const Event& event) {
    Note note{event, {}};
    if (event.packet != nullptr) {
      const auto* data = rte_pktmbuf_mtod(event.packet, const std::uint8_t*);
      note.packet.assign(data, data + event.packet->data_len);
      rte_pktmbuf_free(event.packet);
    }
    out.push_back(note);
  });
  return out;
}

std::vector<HandshakeMessage> WorkerWorld::handshakes() {
  std::vector<HandshakeMessage> out;
  workers_[0]->mailboxes().handshakes.drain(1u << 20, [&](const HandshakeMessage& m) { out.push_back(m); });
  return out;
}

std::map<std::string, std::uint64_t> WorkerWorld::drops() const {
  std::map<std::string, std::uint64_t> out;
  for (std::size_t i = 0; i < kDropReasons; ++i) {
    const std::uint64_t n = workers_[0]->counters().drops[i].get();
    if (n != 0) out[kDropNames[i]] = n;
  }
  return out;
}

void WorkerWorld::drain_everything() {
  restore_pool();
  static_cast<void>(events());
  for (const RingPort& port : shared().ports) {
    while (rte_ring_count(port.arriving) != 0) static_cast<void>(take(port.arriving));
    while (rte_ring_count(port.leaving) != 0) static_cast<void>(take(port.leaving));
  }
}

rte_mempool* WorkerWorld::pool() {
  return shared().pool;
}

std::size_t WorkerWorld::missing_buffers() {
  drain_everything();
  return kBuffers - rte_mempool_avail_count(shared().pool);
}

void WorkerWorld::exhaust_pool() {
  while (rte_mbuf* packet = rte_pktmbuf_alloc(shared().pool)) withheld_.push_back(packet);
}

void WorkerWorld::restore_pool() {
  for (rte_mbuf* packet : withheld_) rte_pktmbuf_free(packet);
  withheld_.clear();
}

}  // namespace wg::test
