#include "bench/dataplane_gateway.h"

#include <rte_mempool.h>
#include <rte_ring.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <functional>
#include <stdexcept>

#include "bench/huge_pages.h"
#include "dataplane/eal.h"
#include "dataplane/packet/checksum.h"
#include "dataplane/packet/headers.h"

namespace wg::bench {

using namespace dataplane;

namespace {

constexpr std::size_t kColdBatch = 128 * Gateway::kBurst;  // 10 MB: out of L2, in L3
constexpr unsigned kBuffers = 8191, kMemoryMb = 256;
constexpr PortIndex kWan{0}, kLan{1};
constexpr std::uint32_t kHost = 0xc0a80105, kPeers = 0x0a000000, kUs = 0xcb007102, kRemote = 0xc6336401;
constexpr std::array<std::uint8_t, 16> kUs6 = {0x20, 1, 13, 0xb8, 15}, kRemote6 = {0x20, 1, 13, 0xb8, 14};
constexpr std::uint16_t kListenPort = 51820, kRemotePort = 1111;
// All peers share one key pair: keys are per packet to the AEAD whether equal or not.
constexpr std::uint8_t kKeyByte = 0x5a;

bool small_pages = false;

struct Shared {
  rte_mempool* pool;
  ById<PortIndex, test::RingPort> ports = ById<PortIndex, test::RingPort>(2);
};

Shared& shared() {
  static Shared s = [] {
    const bool huge = !small_pages && borrow_huge_pages(kMemoryMb);
    std::printf("# packets in pages of %s\n", huge ? "2 MB" : "4 KB: slower, see docs/benchmarking.md");
    test::start_environment(kMemoryMb, huge ? test::Pages::huge : test::Pages::ordinary);
    Shared made{};
    made.pool = create_packet_pool("packets", kBuffers, 2048);
    made.ports[kWan] = test::make_ring_port("wan", 4096 * 2, made.pool);
    made.ports[kLan] = test::make_ring_port("lan", 4096 * 2, made.pool);
    return made;
  }();
  return s;
}

MacAddress mac(std::uint8_t last) {
  return {2, 0, 0, 0, 0, last};
}

void write_ethernet(std::uint8_t* at, std::uint8_t to, std::uint8_t from, std::uint16_t type) {
  auto* header = header_at<EthernetHeader>(at);
  header->destination = mac(to);
  header->source = mac(from);
  header->type = Be16{type};
}

void write_ipv4(std::uint8_t* at, std::uint32_t from, std::uint32_t to, std::size_t length) {
  auto* header = header_at<Ipv4Header>(at);
  *header = {};
  header->version_ihl = 0x45;
  header->total_length = Be16{static_cast<std::uint16_t>(length)};
  header->ttl = 64;
  header->protocol = ip_protocol::kUdp;
  *header_at<Be32>(header->source.data()) = Be32{from};
  *header_at<Be32>(header->destination.data()) = Be32{to};
  ipv4_checksum_fill(header);
}

void write_ipv6(std::uint8_t* at, const Ipv6Bytes& from, const Ipv6Bytes& to, std::size_t length) {
  auto* header = header_at<Ipv6Header>(at);
  *header = {};
  header->version_class_flow = Be32{6u << 28};
  header->payload_length = Be16{static_cast<std::uint16_t>(length - kIpv6HeaderSize)};
  header->next_header = ip_protocol::kUdp;
  header->hop_limit = 64;
  header->source = from;
  header->destination = to;
}

void write_udp(std::uint8_t* at, std::uint16_t from, std::uint16_t to, std::size_t length) {
  auto* header = header_at<UdpHeader>(at);
  *header = {Be16{from}, Be16{to}, Be16{static_cast<std::uint16_t>(length)}, Be16{0}};
}

// Control keeps keypairs in an arena of large pages.
std::span<Keypair> make_keypairs(std::size_t n) {
  constexpr std::size_t kHuge = 2u << 20;
  const std::size_t bytes = (n * sizeof(Keypair) + kHuge - 1) / kHuge * kHuge;
  void* memory = std::aligned_alloc(kHuge, bytes);
  if (memory == nullptr) throw std::bad_alloc();
  madvise(memory, bytes, MADV_HUGEPAGE);
  auto* first = static_cast<Keypair*>(memory);
  for (std::size_t i = 0; i < n; ++i) new (first + i) Keypair;
  return {first, n};
}

}  // namespace

void Gateway::use_small_pages() noexcept {
  small_pages = true;
}

Gateway::Gateway(const Case& c)
    : case_(c),
      scratch_(crypto::make_aead_scratch()),
      keypair_table_(c.peers, [](const std::function<void()>& free) { free(); }),
      peers_(c.peers),
      keypairs_(make_keypairs(c.peers)),
      paths_(c.peers) {
  build_templates();
  build_peers();
  build_snapshot();
  if (c.flows != 0) build_flows();
  if (c.program) build_program();
  batch_.resize(c.cold ? kColdBatch : c.bursts * kBurst);
  if (rte_pktmbuf_alloc_bulk(shared().pool, batch_.data(), static_cast<unsigned>(batch_.size())) != 0)
    throw std::runtime_error("pool too small");
  WorkerOptions options;
  options.adaptive_idle = false;
  options.sole = !c.team;
  if (c.stages) options.timed_loops = 1;
  for (; options.id < (c.team ? 2 : 1); ++options.id) {
    workers_.push_back(std::make_unique<Worker>(options, crypto::aead_engine(), shared().pool, quiescence_,
                                                published_, control_doorbell_));
  }
  for (const auto& worker : workers_) worker->join_team(workers_);
}

Gateway::~Gateway() {
  drain_mailboxes();
  rte_pktmbuf_free_bulk(batch_.data(), static_cast<unsigned>(batch_.size()));
  std::free(keypairs_.data());
}

void Gateway::build_peers() {
  for (std::uint32_t i = 0; i < case_.peers; ++i) {
    Peer* peer = peers_.add(InterfaceId{0});
    Keypair& keypair = keypairs_[i];
    keypair.receiving_key.fill(kKeyByte);
    keypair.sending_key.fill(kKeyByte);
    keypair.peer = peer;
    keypair.set_birthdate(BootClock::now());
    keypair.local_index = keypair_table_.reserve([this] { return random32(); });
    keypair.remote_index = random32();
    keypair.peer_generation = peer->generation;
    keypair.confirmed = true;
    keypair_table_.publish(keypair.local_index, &keypair);
    Path& path = paths_[i];
    path.remote.port = UdpPort{kRemotePort};
    path.local.port = UdpPort{kListenPort};
    path.port = kWan;
    path.mtu = 65535;
    path.l3_offset = 14;
    path.header_length = static_cast<std::uint8_t>(outer_ - kTransportDataHeaderSize);
    std::uint8_t* h = path.header.data();
    if (case_.outer6) {
      path.remote.address = IpAddress::from_v6(kRemote6.data());
      path.local.address = IpAddress::from_v6(kUs6.data());
      write_ethernet(h, 9, 1, ether_type::kIpv6);
      write_ipv6(h + 14, kUs6, kRemote6, kIpv6HeaderSize);
    } else {
      const Be32 remote{kRemote}, us{kUs};
      path.remote.address = IpAddress::from_v4(&remote);
      path.local.address = IpAddress::from_v4(&us);
      write_ethernet(h, 9, 1, ether_type::kIpv4);
      write_ipv4(h + 14, kUs, kRemote, 0);
    }
    write_udp(h + path.header_length - kUdpHeaderSize, kListenPort, kRemotePort, 0);
    peer->path = &path;
    peer->current = &keypair;
    value_or_throw(allowed4_.insert(kPeers + i + 1, 32, peer->slot));
    remotes_.push_back({0, keypair.local_index, kPeers + i + 1});
  }
}

void Gateway::build_snapshot() {
  auto listen = std::make_shared<ListenPorts>();
  listen->fill(kNoInterface);
  (*listen)[kListenPort] = InterfaceId{0};
  snapshot_.listen_ports = listen;
  const Be32 us{kUs};
  snapshot_.local_addresses = LocalAddresses({IpAddress::from_v4(&us), IpAddress::from_v6(kUs6.data())});
  snapshot_.interfaces.resize(1);
  InterfaceView& interface = snapshot_.interfaces.front();
  interface.id = InterfaceId{0};
  interface.present = interface.up = true;
  interface.allowed4 = &allowed4_;
  interface.allowed6 = &allowed6_;
  snapshot_.ports.resize(2);
  for (const PortIndex index : {kWan, kLan}) {
    snapshot_.ports[index].port = shared().ports[index].port.get();
    snapshot_.ports[index].mac = mac(static_cast<std::uint8_t>(number_of(index) + 1));
  }
  NextHop host;
  host.kind = HopKind::kPort;
  host.port = kLan;
  host.header_length = 14;
  write_ethernet(host.header.data(), 10, 2, ether_type::kIpv4);
  NextHop peers;
  peers.kind = HopKind::kInterface;
  if (case_.direction == Direction::across) {
    peers = host;
    peers.port = kWan;
    write_ethernet(peers.header.data(), 9, 1, ether_type::kIpv4);
    for (PortView& port : snapshot_.ports) port.port_to_port = true;
  }
  snapshot_.next_hops = {host, peers};
  value_or_throw(routes4_.insert(kHost, 32, 0));
  value_or_throw(routes4_.insert(kPeers, 8, 1));
  snapshot_.routes4 = &routes4_;
  snapshot_.routes6 = &routes6_;
  snapshot_.keypairs = &keypair_table_;
  snapshot_.peers = &peers_;
  published_.store(&snapshot_);
}

// The received frame without the fields that differ per packet.
void Gateway::build_templates() {
  const std::size_t ip = case_.outer6 ? kIpv6HeaderSize : kIpv4HeaderSize;
  outer_ = kEthernetHeaderSize + ip + kUdpHeaderSize + kTransportDataHeaderSize;
  if (case_.direction != Direction::receive) {
    frame_.resize(kEthernetHeaderSize + case_.inner);
    write_ethernet(frame_.data(), 2, 10, ether_type::kIpv4);
    return;
  }
  const std::size_t padded =
      std::min<std::size_t>((case_.inner + 15) / 16 * 16, std::max(case_.inner, 1420u));
  frame_.resize(outer_ + padded + kAuthTagSize);
  const std::size_t length = frame_.size() - kEthernetHeaderSize;
  if (case_.outer6) {
    write_ethernet(frame_.data(), 1, 9, ether_type::kIpv6);
    write_ipv6(frame_.data() + kEthernetHeaderSize, kRemote6, kUs6, length);
  } else {
    write_ethernet(frame_.data(), 1, 9, ether_type::kIpv4);
    write_ipv4(frame_.data() + kEthernetHeaderSize, kRemote, kUs, length);
  }
  write_udp(frame_.data() + kEthernetHeaderSize + ip, kRemotePort, kListenPort, length - ip);
}

// ---- flows: the peer at kPeers + 1 talks to the host, maybe behind our address

FlowTuple Gateway::original_of(std::uint32_t flow) const {
  const Be32 peer{kPeers + 1}, host{kHost};
  return {IpAddress::from_v4(&peer), IpAddress::from_v4(&host),
          static_cast<std::uint16_t>(1000 + flow % 50'000), static_cast<std::uint16_t>(1 + flow / 50'000),
          ip_protocol::kUdp};
}

FlowTuple Gateway::reply_of(std::uint32_t flow) const {
  FlowTuple reply = original_of(flow).turned_round();
  if (case_.kind != FlowKind::kMasquerade) return reply;
  const Be32 us{kUs};
  reply.destination = IpAddress::from_v4(&us);
  reply.destination_port = static_cast<std::uint16_t>(reply.destination_port ^ 1);
  return reply;
}

void Gateway::build_flows() {
  if (case_.kind == FlowKind::kShortCut) return;
  FlowTable::HashKey key;
  for (std::uint64_t& word : key) word = random_();
  flows_ = std::make_unique<FlowTable>(case_.flows, key, [](const std::function<void()>& free) { free(); });
  for (std::uint32_t i = 0; i < case_.flows; ++i)
    static_cast<void>(flows_->insert(original_of(i), reply_of(i), FlowIngress::interface(InterfaceId{0}),
                                     FlowIngress::port(kLan, 0), BootSeconds{}));
  snapshot_.flows = flows_.get();
  for (PortView& port : snapshot_.ports) {
    port.short_cut = false;
    port.flows = true;
  }
  snapshot_.interfaces[InterfaceId{0}].short_cut = false;
  snapshot_.interfaces[InterfaceId{0}].flows = true;
}

// A datagram of a flow at random. Few find no place in the table; those are not taken.
void Gateway::write_flow(std::uint8_t* l3) {
  std::uint32_t flow = random32() % case_.flows;
  while (flows_ != nullptr && flows_->find(original_of(flow)) == kNoFlow) flow = random32() % case_.flows;
  const FlowTuple tuple = case_.direction == Direction::send ? reply_of(flow) : original_of(flow);
  write_ipv4(l3, tuple.source.v4_host_order(), tuple.destination.v4_host_order(), case_.inner);
  write_udp(l3 + kIpv4HeaderSize, tuple.source_port, tuple.destination_port, case_.inner - kIpv4HeaderSize);
  header_at<UdpHeader>(l3 + kIpv4HeaderSize)->checksum = Be16{0x1234};  // not verified on the way
}

// The host's address leads to a second interface, where the program is.
void Gateway::build_program() {
  program_ = std::make_unique<ProgramEnd>(kHost);
  const InterfaceId id{1};
  snapshot_.interfaces.resize(2);
  InterfaceView& interface = snapshot_.interfaces[id];
  interface.id = id;
  interface.present = interface.up = true;
  interface.allowed4 = &nobody4_;
  interface.allowed6 = &nobody6_;
  interface.ring = &program_->ring();
  snapshot_.rings = {id};
  NextHop& hop = snapshot_.next_hops[0];
  hop = {};
  hop.kind = HopKind::kInterface;
  hop.interface_id = id;
}

std::uint32_t Gateway::next_peer() {
  if (case_.peers == 1) return 0;
  return case_.sequential ? turn_++ % case_.peers : random32() % case_.peers;
}

void Gateway::prepare(std::size_t begin, std::size_t end) {
  std::array<std::uint32_t, kBurst> peers;
  for (std::size_t i = begin; i < end; ++i) {
    rte_mbuf* packet = batch_[i];
    rte_pktmbuf_reset(packet);
    auto* frame = reinterpret_cast<std::uint8_t*>(
        rte_pktmbuf_append(packet, static_cast<std::uint16_t>(frame_.size())));
    const std::uint32_t peer = next_peer();
    Remote& remote = remotes_[peer];
    if (case_.direction != Direction::receive) {
      std::memcpy(frame, frame_.data(), kEthernetHeaderSize);
      write_ipv4(frame + kEthernetHeaderSize, kHost, remote.address, case_.inner);
      if (case_.flows != 0) write_flow(frame + kEthernetHeaderSize);
      continue;
    }
    std::memcpy(frame, frame_.data(), outer_ - kTransportDataHeaderSize);
    write_ipv4(frame + outer_, remote.address, kHost, case_.inner);
    if (case_.flows != 0) write_flow(frame + outer_);
    auto* header = header_at<TransportDataHeader>(frame + outer_ - kTransportDataHeaderSize);
    *header = {Le32{kMessageTransportData}, Le32{remote.index}, Le64{remote.counter++}};
    peers[(i - begin) % kBurst] = peer;
    if ((i - begin) % kBurst == kBurst - 1 || i + 1 == end)
      seal({peers.data(), (i - begin) % kBurst + 1}, i - (i - begin) % kBurst);
  }
}

void Gateway::seal(std::span<const std::uint32_t> peers, std::size_t begin) {
  static const std::vector<std::uint8_t> key(32, kKeyByte);
  std::array<crypto::AeadOp, kBurst> ops;
  for (std::size_t i = 0; i < peers.size(); ++i) {
    auto* payload = rte_pktmbuf_mtod_offset(batch_[begin + i], std::uint8_t*, outer_);
    const auto* header = header_at<TransportDataHeader>(payload - kTransportDataHeaderSize);
    ops[i] = {payload, key.data(), header->counter.value(),
              static_cast<std::uint32_t>(frame_.size() - outer_ - kAuthTagSize), 0};
  }
  crypto::aead_engine().seal(*scratch_, {ops.data(), peers.size()});
}

void Gateway::aead_alone() {
  static const std::vector<std::uint8_t> key(32, kKeyByte);
  aead_buffers_.resize(kBurst * kAeadStride + 128);
  std::array<crypto::AeadOp, kBurst> ops;
  const auto padded = static_cast<std::uint32_t>(std::min<std::size_t>((case_.inner + 15) / 16 * 16, 1420));
  for (std::size_t i = 0; i < kBurst; ++i)
    ops[i] = {aead_buffers_.data() + i * kAeadStride + kAeadBegin, key.data(), i, padded, 0};
  crypto::aead_engine().seal(*scratch_, ops);
}

CopyAlone::Burst Gateway::sealed() {
  return {aead_buffers_.data() + kAeadBegin, kAeadStride, kBurst, case_.inner};
}

void Gateway::prepare_junk(std::size_t i, Junk junk) {
  rte_mbuf* packet = batch_[i];
  const bool handshake = junk == Junk::bad_mac1 || junk == Junk::initiation;
  const std::size_t headers = outer_ - kTransportDataHeaderSize;
  const std::size_t message = handshake ? kInitiationSize : junk == Junk::wrong_length ? 24 : 96;
  rte_pktmbuf_reset(packet);
  auto* frame = reinterpret_cast<std::uint8_t*>(
      rte_pktmbuf_append(packet, static_cast<std::uint16_t>(headers + message)));
  std::memcpy(frame, frame_.data(), headers);
  write_ipv4(frame + kEthernetHeaderSize, kRemote, kUs, headers - kEthernetHeaderSize + message);
  const std::uint16_t port = junk == Junk::wrong_port ? 9 : kListenPort;
  write_udp(frame + headers - kUdpHeaderSize, kRemotePort, port, kUdpHeaderSize + message);
  auto* header = header_at<TransportDataHeader>(frame + headers);
  const std::uint32_t type = handshake                  ? kMessageInitiation
                             : junk == Junk::wrong_type ? 9
                                                        : kMessageTransportData;
  *header = {Le32{type}, Le32{random32()}, Le64{1}};
}

void Gateway::arrive(std::span<rte_mbuf* const> packets) {
  if (program_ != nullptr && case_.direction == Direction::send) {
    for (rte_mbuf* packet : packets) {
      const auto* l3 = rte_pktmbuf_mtod_offset(packet, const std::uint8_t*, kEthernetHeaderSize);
      if (!program_->send({l3, case_.inner})) throw std::runtime_error("the ring is full");
    }
    return;
  }
  rte_ring* wire = shared().ports[case_.direction != Direction::receive ? kLan : kWan].arriving;
  const unsigned n = rte_ring_enqueue_bulk(wire, reinterpret_cast<void* const*>(packets.data()),
                                           static_cast<unsigned>(packets.size()), nullptr);
  if (n != packets.size()) throw std::runtime_error("the wire is full");
}

void Gateway::refill(std::size_t begin, std::size_t end) {
  if (begin == end) return;
  if (rte_pktmbuf_alloc_bulk(shared().pool, batch_.data() + begin, static_cast<unsigned>(end - begin)) != 0)
    throw std::runtime_error("buffers were lost");
}

std::size_t Gateway::leave_by_program(rte_mbuf** out, std::size_t n) {
  if (case_.direction == Direction::receive) {
    const std::size_t taken = program_->receive(n);
    if (taken != 0 && rte_pktmbuf_alloc_bulk(shared().pool, out, static_cast<unsigned>(taken)) != 0)
      throw std::runtime_error("buffers were lost");
    return taken;
  }
  std::vector<rte_mbuf*> sent(n);
  const unsigned taken = rte_ring_dequeue_burst(
      shared().ports[kWan].leaving, reinterpret_cast<void**>(sent.data()), static_cast<unsigned>(n), nullptr);
  rte_pktmbuf_free_bulk(sent.data(), taken);
  return taken;
}

std::size_t Gateway::leave(rte_mbuf** out, std::size_t n) {
  if (program_ != nullptr) return leave_by_program(out, n);
  rte_ring* wire = shared().ports[case_.direction != Direction::receive ? kWan : kLan].leaving;
  return rte_ring_dequeue_burst(wire, reinterpret_cast<void**>(out), static_cast<unsigned>(n), nullptr);
}

void Gateway::drain_mailboxes() {
  workers_[0]->mailboxes().handshakes.drain(4096, [](const HandshakeMessage&) {});
  workers_[0]->mailboxes().events.drain(4096, [](const Event& event) {
    if (event.packet != nullptr) rte_pktmbuf_free(event.packet);
  });
}

}  // namespace wg::bench
