#include "control/gateway/status_reader.h"

#include <sys/stat.h>

#include <rte_lcore.h>
#include <rte_version.h>
#include <sodium.h>
#include <sys/timex.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "control/api/explain.h"
#include "control/api/peer_list.h"
#include "control/clock.h"
#include "control/convert.h"
#include "control/gateway/packet_reader.h"
#include "control/gateway/peer_walk.h"
#include "control/gateway/published_counters.h"
#include "dataplane/io/program_ring.h"

namespace wg::control {

namespace {

using dataplane::kDropNames;
using dataplane::kDropReasons;
using dataplane::kDropTexts;

constexpr std::size_t kPeersPerLook = 16;  // at the clock

template <typename T>
T relaxed(const std::atomic<T>& value) {
  return value.load(std::memory_order_relaxed);
}

std::uint64_t own_network_namespace() {
  static const std::uint64_t inode = [] {
    struct stat found {};
    return stat("/proc/self/ns/net", &found) == 0 ? found.st_ino : 0;
  }();
  return inode;
}

// The wall time of a BootTime in the past.
WallTime wall_of(BootTime at, const noise::Now& now) {
  return now.wall - elapsed(now.boot, at);
}

bool clock_synchronised() {
  timex state{};
  return adjtimex(&state) >= 0 && (state.status & STA_UNSYNC) == 0;
}

// The value below which `share` of the counts lie, from power-of-two buckets, in microseconds.
double percentile(const std::array<std::uint64_t, dataplane::LatencyHistogram::kBuckets>& buckets,
                  std::uint64_t total, double share) {
  std::uint64_t below = 0;
  for (std::size_t i = 0; i < buckets.size(); ++i) {
    if (buckets[i] == 0) continue;
    const double wanted = share * static_cast<double>(total) - static_cast<double>(below);
    if (wanted <= static_cast<double>(buckets[i])) {
      const double low = static_cast<double>(std::uint64_t{1} << i);
      return (low + low * wanted / static_cast<double>(buckets[i])) / 1000;
    }
    below += buckets[i];
  }
  return 0;
}

ProgramStatus status_of(const dataplane::ProgramRing& ring) {
  ProgramStatus status;
  status.pid = ring.pid();
  status.queues = ring.queue_count();
  status.slots = ring.slots();
  status.routed = ring.routed();
  status.offloads = ring.offloads();
  status.join_udp = ring.join_udp();
  return status;
}

std::optional<Latency> latency_of(const dataplane::LatencyHistogram& histogram) {
  std::array<std::uint64_t, dataplane::LatencyHistogram::kBuckets> buckets{};
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < buckets.size(); ++i) total += buckets[i] = histogram.buckets[i].get();
  if (total == 0) return std::nullopt;
  return Latency{percentile(buckets, total, 0.5), percentile(buckets, total, 0.9),
                 percentile(buckets, total, 0.99), percentile(buckets, total, 0.999)};
}

std::vector<StageCycles> stages_of(const dataplane::WorkerCounters& counters) {
  double all = 0;
  for (const auto& cycles : counters.stage_cycles) all += static_cast<double>(cycles.get());
  std::vector<StageCycles> out;
  for (std::size_t stage = 0; stage < dataplane::kStages; ++stage) {
    const auto packets = static_cast<double>(counters.stage_packets[stage].get());
    const auto cycles = static_cast<double>(counters.stage_cycles[stage].get());
    out.push_back(
        {dataplane::kStageNames[stage], packets == 0 ? 0 : cycles / packets, all == 0 ? 0 : cycles / all});
  }
  return out;
}

// In the words of ip(8); empty for a route that forwards.
const char* refusal_of(std::uint8_t type) {
  if (type == RTN_UNREACHABLE) return "unreachable";
  if (type == RTN_BLACKHOLE) return "blackhole";
  return type == RTN_PROHIBIT ? "prohibit" : "";
}

PeerCursor begin_of_walk(const Objects& objects) {
  PeerCursor at;
  for (const auto& [name, interface] : objects.interfaces()) include(interface->book(), at);
  return at;
}

// One slice; `use` is called with (interface, record).
template <class Use>
bool walk(PeerCursor& at, SliceEnd until, const dataplane::PeerTable& table, const Objects& objects,
          const Use& use) {
  if (!at.begun) at = begin_of_walk(objects);
  return walk(at, until, table, [&](const dataplane::Peer& peer) {
    const Interface* interface = objects.interface_by_id(peer.interface_id);
    const PeerRecord* record = interface == nullptr ? nullptr : interface->book().find_slot(peer.slot);
    if (record != nullptr) use(*interface, *record);
    return record != nullptr;
  });
}

PeerEventKind kind_of(IcmpError::Kind kind) {
  switch (kind) {
    case IcmpError::Kind::kPortUnreachable:
      return PeerEventKind::kIcmpPortUnreachable;
    case IcmpError::Kind::kProhibited:
      return PeerEventKind::kIcmpProhibited;
    case IcmpError::Kind::kTooBig:
      return PeerEventKind::kIcmpTooBig;
    case IcmpError::Kind::kUnreachable:
      break;
  }
  return PeerEventKind::kIcmpUnreachable;
}

PeerEvent event_of(const PathErrors::Entry& entry, WallTime at) {
  PeerEvent event;
  event.at = at;
  event.kind = kind_of(entry.error.kind);
  event.count = static_cast<std::uint32_t>(std::min<std::uint64_t>(entry.count, 0xffffffff));
  event.from = dataplane::to_string(entry.error.remote);
  event.detail = "sent by " + dataplane::to_string(entry.error.from);
  if (entry.error.mtu != 0) event.detail += ", whose next link has MTU " + std::to_string(entry.error.mtu);
  return event;
}

void add_drop(PeerStatus& status, dataplane::DropReason reason, std::uint64_t count) {
  if (count != 0) status.drops.push_back({kDropNames[static_cast<std::size_t>(reason)], count});
}

}  // namespace

// A peer whose endpoint is unknown needs none.
bool StatusReader::has_route(const Interface& interface, const PeerStatus& peer) const {
  const config::Address* address = peer.endpoint ? peer.endpoint->address() : nullptr;
  if (address == nullptr) return true;
  ResolveKey key;
  key.fwmark = interface.fwmark();
  if (const Link* link = parts_.services.mirror.link(peer.endpoint->zone)) key.link = link->ifindex;
  const auto type = parts_.services.mirror.resolve(to_dataplane(*address), key).type;
  return type == RTN_UNICAST || type == RTN_LOCAL;
}

StatusReader::StatusReader(const Parts& parts) : parts_(parts), started_(std::chrono::system_clock::now()) {}

GatewayStatus StatusReader::status() const {
  GatewayStatus out;
  out.version = LINEGATE_VERSION;
  out.dpdk_version = rte_version();
  out.aead = parts_.services.dataplane.engine().name;
  out.pid = getpid();
  out.started = started_;
  out.config_path = parts_.running.path();
  out.config_generation = parts_.running.generation();
  out.last_reload = parts_.running.last_reload().at;
  out.last_reload_result = parts_.running.last_reload().result;
  out.drift = parts_.drift.current();
  out.warnings = parts_.services.dataplane.facts().warnings;
  out.hugepages = parts_.services.dataplane.facts().hugepages;
  out.round = latency_of(parts_.services.rounds.histogram());
  out.longest_round_us = std::chrono::duration<double, std::micro>(parts_.services.rounds.longest()).count();
  ControlCounters counters;
  collect(parts_.services, counters);
  out.counters = values_of(counters);
  if (!clock_synchronised())
    out.warnings.emplace_back("the clock is not synchronised; a clock that goes back makes peers refuse us");
  for (const std::string& name : parts_.keeper.lost_ports()) {
    out.warnings.push_back("port " + name + ": its wire or its Linux interface is gone");
  }
  const auto& notices = parts_.notices.current();
  out.warnings.insert(out.warnings.end(), notices.begin(), notices.end());
  for (const Sums& of : sums()) out.peers_active += of.active;
  for (const auto& [name, interface] : parts_.objects.interfaces()) {
    out.interfaces.push_back(name);
    out.peers += interface->book().records().size();
    if (const auto behind = interface->clock_behind()) {
      out.warnings.push_back(
          name + ": the wall clock is " + std::to_string(behind->count()) +
          " s behind timestamps already sent; peers would refuse handshakes, so the old floor is used");
    }
  }
  return out;
}

std::unique_ptr<FlowReading> StatusReader::read_flows(const FlowQuery& query) const {
  return parts_.flows.read(query);
}

// Reads by slots, which lie in a row: 100 000 peers take a few milliseconds.
std::vector<StatusReader::Sums> StatusReader::sums() const {
  std::vector<Sums> out;
  const BootTime at = now().boot;
  const std::uint32_t end = begin_of_walk(parts_.objects).end;
  for (std::uint32_t slot = 0; slot < end; ++slot) {
    const dataplane::Peer& peer = parts_.peers.at(slot);
    if (relaxed(peer.generation) == 0) continue;
    const std::size_t number = number_of(peer.interface_id);
    if (number >= out.size()) out.resize(number + 1);
    const dataplane::Keypair* current = relaxed(peer.current);
    const dataplane::Traffic received = peer.received(), sent = peer.sent();
    out[number].active += current != nullptr && !current->expired(at);
    out[number].rx_bytes += received.bytes;
    out[number].tx_bytes += sent.bytes;
    out[number].rx_packets += received.packets;
    out[number].tx_packets += sent.packets;
  }
  return out;
}

InterfaceStatus StatusReader::interface_status(const Interface& interface, const Sums& sums) const {
  InterfaceStatus out;
  const noise::Now at = now();
  const noise::Engine& engine = interface.engine();
  out.name = interface.name();
  if (engine.has_private_key()) out.public_key = config::to_string(config::Key{engine.public_key()});
  out.listen_port = interface.listen_port();
  out.fwmark = interface.fwmark();
  out.up = interface.is_up();
  out.ifindex = interface.ifindex();
  out.mtu = interface.mtu();
  out.under_load = engine.under_load(at);
  const config::Interface* value = parts_.running.find_interface(interface.name());
  const config::LogLevel gateway_level = parts_.running.value().control.log.level;
  out.log_level = std::string(
      config::to_string(value == nullptr ? gateway_level : value->log_level.value_or(gateway_level)));
  if (const dataplane::ProgramRing* ring = parts_.services.publisher.interface(interface.id()).ring)
    out.program = status_of(*ring);
  if (value != nullptr) {
    for (const config::InterfaceAddress& address : value->addresses)
      out.addresses.push_back(config::to_string(address));
  }
  out.peers = interface.book().records().size();
  out.peers_active = sums.active;
  out.rx_bytes = sums.rx_bytes;
  out.tx_bytes = sums.tx_bytes;
  out.rx_packets = sums.rx_packets;
  out.tx_packets = sums.tx_packets;
  for (std::size_t i = 0; i < noise::kOutcomes; ++i) {
    const auto outcome = static_cast<noise::Outcome>(i);
    out.handshakes.emplace_back(noise::name_of(outcome), engine.counters().of(outcome));
    // Also under the name that 0.1 shows; removed with the release after the next.
    out.handshakes.emplace_back(noise::old_name_of(outcome), engine.counters().of(outcome));
  }
  return out;
}

std::vector<InterfaceStatus> StatusReader::interfaces() const {
  std::vector<InterfaceStatus> out;
  std::vector<Sums> all = sums();
  for (const auto& [name, interface] : parts_.objects.interfaces()) {
    const std::size_t number = number_of(interface->id());
    out.push_back(interface_status(*interface, number < all.size() ? all[number] : Sums{}));
  }
  return out;
}

std::optional<InterfaceIdentity> StatusReader::find_interface(std::string_view name) const {
  const Interface* interface = parts_.objects.find_interface(name);
  if (interface == nullptr) return std::nullopt;
  InterfaceIdentity out;
  out.name = interface->name();
  out.up = interface->is_up();
  out.ifindex = interface->ifindex();
  out.netns_inode = own_network_namespace();
  out.mtu = interface->mtu();
  out.listen_port = interface->listen_port();
  if (const config::Interface* value = parts_.running.find_interface(out.name)) {
    out.id = value->id;
    out.type = value->type;
    out.bound = value->bound_to != 0;
  }
  return out;
}

std::vector<PortStatus> StatusReader::ports() const {
  std::vector<PortStatus> out;
  for (const auto& [name, owned] : parts_.objects.ports()) {
    const dataplane::Port& port = owned->port();
    const dataplane::PortStatistics counts = port.statistics();
    PortStatus status;
    status.name = name;
    status.device = owned->value().device.text;
    status.driver = port.facts().driver;
    status.mac = to_string(port.facts().mac);
    status.link_up = owned->link_up();
    status.mtu = owned->value().mtu;
    status.rx_queues = port.facts().rx_queues;
    status.tx_queues = port.facts().tx_queues;
    status.netdev = name;
    status.rx_packets = counts.rx_packets;
    status.rx_bytes = counts.rx_bytes;
    status.tx_packets = counts.tx_packets;
    status.tx_bytes = counts.tx_bytes;
    status.rx_missed = counts.rx_missed;
    status.rx_errors = counts.rx_errors;
    status.rx_no_mbuf = counts.rx_no_buffer;
    status.tx_errors = counts.tx_errors;
    status.speed_mbps = owned->speed_mbps();
    out.push_back(std::move(status));
  }
  return out;
}

std::vector<WorkerStatus> StatusReader::workers() const {
  std::vector<WorkerStatus> out;
  const auto& workers = parts_.services.dataplane.workers();
  for (std::size_t i = 0; i < workers.size(); ++i) {
    const dataplane::WorkerCounters& counters = workers[i]->counters();
    WorkerStatus status;
    status.index = static_cast<unsigned>(i);
    const unsigned lcore = parts_.services.dataplane.facts().worker_lcores[i];
    status.lcore = static_cast<unsigned>(std::max(0, rte_lcore_to_cpu_id(static_cast<int>(lcore))));
    status.socket = rte_lcore_to_socket_id(lcore);
    const WorkerWatch::Shares shares = parts_.watch.shares(i);
    status.busy_share = shares.busy;
    status.sleep_share = shares.sleep;
    status.counters = values_of(counters);
    status.packets = counters.rx_packets.get() + counters.from_tun.get() + counters.from_tap.get();
    if (counters.busy_loops.get() != 0) {
      status.packets_per_burst =
          static_cast<double>(status.packets) / static_cast<double>(counters.busy_loops.get());
    }
    status.stages = stages_of(counters);
    const dataplane::WorkerMailboxes& boxes = workers[i]->mailboxes();
    status.queues = {{"handshakes", boxes.handshakes.size(), boxes.handshakes.capacity()},
                     {"events", boxes.events.size(), boxes.events.capacity()},
                     {"commands", boxes.commands.size(), boxes.commands.capacity()}};
    status.latency = latency_of(counters.latency);
    out.push_back(std::move(status));
  }
  return out;
}

std::vector<DropStatus> StatusReader::drops() const {
  const noise::Now at = now();
  const auto seen = [&at](BootTime time) {
    return time == kNever ? std::nullopt : std::optional(wall_of(time, at));
  };
  std::vector<DropStatus> out(kDropReasons);
  for (std::size_t i = 0; i < kDropReasons; ++i) {
    out[i].name = kDropNames[i];
    out[i].text = kDropTexts[i];
    const DropTimes::Times& times = parts_.drop_times.of(i);
    out[i].first = seen(times.first);
    out[i].spell = seen(times.began);
    out[i].last = seen(times.last);
    out[i].control = out[i].count = parts_.services.drops[i].get();
    for (const auto& worker : parts_.services.dataplane.workers()) {
      out[i].per_worker.push_back(worker->counters().drops[i].get());
      out[i].count += out[i].per_worker.back();
    }
  }
  return out;
}

PeerStatus StatusReader::peer_status(const Interface& interface, const PeerRecord& record,
                                     const noise::Now& at) const {
  const dataplane::Peer& peer = *record.slot;
  const noise::PeerSession engine = interface.engine().peer_status(peer, at);
  PeerStatus out;
  out.interface = interface.name();
  out.name = record.name;
  out.public_key = record.public_key;
  out.has_preshared_key = engine.has_preshared_key;
  if (engine.remote.known()) out.endpoint = to_config(engine.remote, parts_.services.mirror);
  if (record.endpoint) out.configured_endpoint = config::to_string(*record.endpoint);
  out.allowed_ips.assign(record.allowed_ips.begin(), record.allowed_ips.end());
  out.last_handshake = engine.last_handshake;
  if (engine.has_session) out.session_age = std::chrono::floor<std::chrono::seconds>(engine.session_age);
  if (const BootTime received = relaxed(peer.last_received); received != kNever)
    out.last_received = wall_of(received, at);
  const dataplane::Traffic in = peer.received(), out_bound = peer.sent();
  out.rx_bytes = in.bytes;
  out.tx_bytes = out_bound.bytes;
  out.rx_packets = in.packets;
  out.tx_packets = out_bound.packets;
  const dataplane::Keypair* current = peer.current.load(std::memory_order_relaxed);
  if (current != nullptr) {
    out.lost_estimate = current->replay.missing();
    out.reordered_estimate = current->replay.late();
  }
#define X(reason) \
  add_drop(out, dataplane::DropReason::reason, peer.drop_##reason.load(std::memory_order_relaxed));
  LINEGATE_PEER_DROPS(X)
#undef X
  out.keepalive = record.keepalive;
  const std::uint16_t mtu = peer.mtu.load(std::memory_order_relaxed);
  out.mtu = mtu != 0 ? mtu : interface.mtu();
  out.staged_packets = static_cast<std::uint32_t>(parts_.services.staging.count(peer.slot));
  return out;
}

bool StatusReader::visit_peers(PeerCursor& place, const PeerFilter& filter, SliceEnd until,
                               const std::function<void(PeerStatus&&)>& visit) const {
  const noise::Now at = now();
  const PeerText text(filter.text);
  const auto use = [&](const Interface& interface, const PeerRecord& record) {
    if (!filter.interface.empty() && filter.interface != interface.name()) return;
    if (!text.matches(record.name, record.public_key, record.allowed_ips)) return;
    if (filter.active_only) {
      const dataplane::Keypair* current = relaxed(record.slot->current);
      if (current == nullptr || current->expired(at.boot)) return;
    }
    visit(peer_status(interface, record, at));
  };
  return walk(place, until, parts_.peers, parts_.objects, use);
}

std::optional<PeerStatus> StatusReader::find_peer(std::string_view interface, std::string_view peer) const {
  const FoundPeer found = parts_.objects.find_peer(interface, peer);
  if (found.record == nullptr) return std::nullopt;
  return peer_status(*found.interface, *found.record, now());
}

std::optional<PeerFacts> StatusReader::explain_peer(std::string_view interface, std::string_view peer) const {
  const FoundPeer found = parts_.objects.find_peer(interface, peer);
  if (found.record == nullptr) return std::nullopt;
  const noise::Now at = now();
  PeerFacts facts;
  facts.peer = peer_status(*found.interface, *found.record, at);
  facts.interface_up = found.interface->is_up();
  facts.interface_has_private_key = found.interface->engine().has_private_key();
  facts.listen_port = found.interface->listen_port();
  facts.clock_synchronised = clock_synchronised();
  facts.next_hop_resolved = !found.record->next_hop_unresolved && has_route(*found.interface, facts.peer);
  if (found.record->next_hop.ifindex != 0) {
    const Link* link = parts_.services.mirror.link(found.record->next_hop.ifindex);
    facts.next_hop =
        dataplane::to_string(found.record->next_hop.address) + " via " + (link != nullptr ? link->name : "?");
  }
  for (const noise::PeerEvent& event : found.interface->engine().peer_events(*found.record->slot)) {
    facts.events.push_back(event_of(event, wall_of(event.at, at)));
  }
  const dataplane::Path* const path = relaxed(found.record->slot->path);
  if (path != nullptr) {
    for (const auto& entry : parts_.path_errors.about(path->remote, facts.listen_port))
      facts.events.push_back(event_of(entry, wall_of(entry.last, at)));
  }
  if (found.record->events)
    facts.events.insert(facts.events.end(), found.record->events->begin(), found.record->events->end());
  std::stable_sort(facts.events.begin(), facts.events.end(),
                   [](const PeerEvent& a, const PeerEvent& b) { return a.at < b.at; });
  for (const noise::RefusedMessage& refusal : found.interface->engine().counters().refused()) {
    facts.unattributed.push_back(event_of(refusal, wall_of(refusal.at, at)));
  }
  return facts;
}

// The longest allowed prefix that contains `address`, over all interfaces.
void StatusReader::find_owner(const config::Address& address, const noise::Now& at, RouteFacts& facts) const {
  int longest = -1;
  for (const auto& [name, interface] : parts_.objects.interfaces()) {
    const PeerRecord* record = interface->book().owner_of(address);
    const auto prefix = record == nullptr ? std::nullopt : allowed_prefix_of(*record, address);
    if (!prefix || prefix->length <= longest) continue;
    longest = prefix->length;
    facts.peer = label_of(*record);
    facts.peer_prefix = config::to_string(*prefix);
    facts.peer_interface = name;
    const dataplane::Keypair* current = relaxed(record->slot->current);
    facts.peer_active = current != nullptr && !current->expired(at.boot);
  }
}

RouteFacts StatusReader::route_facts(const config::Address& address, const Resolved& route) const {
  RouteFacts facts;
  facts.address = config::to_string(address);
  find_owner(address, now(), facts);
  facts.local = route.type == RTN_LOCAL;
  facts.routed = route.type == RTN_UNICAST || facts.local;
  facts.refusal = refusal_of(route.type);
  if (route.type == RTN_UNSPEC) return facts;
  facts.prefix = dataplane::to_string(route.prefix.address) + "/" + std::to_string(route.prefix.length);
  if (route.gateway) facts.gateway = dataplane::to_string(*route.gateway);
  const Link* link = parts_.services.mirror.link(route.ifindex);
  if (link == nullptr) return facts;
  facts.link = link->name;
  facts.port = parts_.objects.ports().contains(link->name);
  const Interface* interface = parts_.objects.find_interface(link->name);
  facts.interface = interface != nullptr;
  facts.interface_up = interface != nullptr && interface->is_up();
  return facts;
}

RouteFacts StatusReader::explain_route(const config::Address& address) const {
  return route_facts(address, parts_.services.mirror.resolve(to_dataplane(address)));
}

PacketConnections StatusReader::connections_of(const PacketQuery& packet) const {
  const Link* const link = parts_.services.mirror.link(packet.from);
  const bool by_name = link != nullptr && !packet.vlan;  // the VLAN of another device is not looked up
  const dataplane::FlowIngress from =
      by_name ? parts_.services.publisher.flow_ingress(link->ifindex) : dataplane::FlowIngress();
  return parts_.flows.connections_of(
      {to_dataplane(packet.source), to_dataplane(packet.destination), number_of(packet.source_port),
       number_of(packet.destination_port), packet.protocol},
      from);
}

Expected<PacketFacts> StatusReader::explain_packet(const PacketQuery& query) const {
  ResolveKey key;
  key.source = to_dataplane(query.source);
  key.protocol = query.protocol;
  key.source_port = query.source_port;
  key.destination_port = query.destination_port;
  const Resolved route = parts_.services.mirror.resolve(to_dataplane(query.destination), key);
  Expected<PacketFacts> facts = PacketReader(parts_.services, parts_.objects, query,
                                             route_facts(query.destination, route), route, now())
                                    .read();
  if (facts && facts->flows) facts->connections = connections_of(query);
  return facts;
}

Expected<bool> StatusReader::visit_config(std::string_view interface, ConfigCursor& at, SliceEnd until,
                                          const ConfigVisitor& visit) const {
  const config::Interface* value = parts_.running.find_interface(std::string(interface));
  if (value == nullptr) return Refusal{ENODEV, "no interface " + std::string(interface)};
  if (!std::exchange(at.begun, true)) {
    at.generation = parts_.running.generation();
    visit.interface(*value);
  }
  if (at.generation != parts_.running.generation())
    return Refusal{EAGAIN, "interface " + std::string(interface) + " has changed meanwhile"};
  while (at.next < value->peers.size()) {
    visit.peer(value->peers[at.next]);
    if (++at.next % kPeersPerLook == 0 && std::chrono::steady_clock::now() >= until) break;
  }
  return at.next < value->peers.size();
}

std::optional<WgDevice> StatusReader::wg_get(std::string_view name) const {
  const Interface* interface = parts_.objects.find_interface(name);
  if (interface == nullptr) return std::nullopt;
  WgDevice out;
  const noise::Engine& engine = interface->engine();
  if (engine.has_private_key()) {
    noise::Key key = engine.private_key();
    out.private_key.emplace(std::span<const std::uint8_t, config::kKeyBytes>(key));
    sodium_memzero(key.data(), key.size());
  }
  out.listen_port = interface->listen_port();
  out.fwmark = interface->fwmark();
  return out;
}

Expected<bool> StatusReader::wg_peers(std::string_view name, PeerCursor& place, SliceEnd until,
                                      const std::function<void(WgPeer&&)>& visit) const {
  const Interface* interface = parts_.objects.find_interface(name);
  if (interface == nullptr) return Refusal{ENODEV, "no interface " + std::string(name)};
  const noise::Engine& engine = interface->engine();
  const noise::Now at = now();
  const auto use = [&](const Interface& holder, const PeerRecord& record) {
    if (&holder == interface) visit(wg_peer(engine, record, at));
  };
  return walk(place, until, parts_.peers, parts_.objects, use);
}

WgPeer StatusReader::wg_peer(const noise::Engine& engine, const PeerRecord& record,
                             const noise::Now& at) const {
  const noise::PeerSession status = engine.peer_status(*record.slot, at);
  WgPeer peer;
  peer.public_key = record.public_key;
  if (status.has_preshared_key) {
    noise::PresharedKey psk = engine.preshared_key(*record.slot);
    peer.preshared_key = config::SecretKey(std::span<const std::uint8_t, config::kKeyBytes>(psk));
    sodium_memzero(psk.data(), psk.size());
  }
  if (status.remote.known()) peer.endpoint = to_config(status.remote, parts_.services.mirror);
  peer.last_handshake = status.last_handshake;
  peer.tx_bytes = record.slot->sent().bytes;
  peer.rx_bytes = record.slot->received().bytes;
  peer.keepalive = record.keepalive;
  peer.allowed_ips.assign(record.allowed_ips.begin(), record.allowed_ips.end());
  return peer;
}

}  // namespace wg::control
