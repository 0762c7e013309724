#include "tests/unit/api/fake_gateway.h"

#include <cstdio>
#include <ctime>

#include "control/api/peer_list.h"

namespace wg::control::test {

std::chrono::nanoseconds cpu_time() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return std::chrono::seconds{now.tv_sec} + std::chrono::nanoseconds{now.tv_nsec};
}

config::Key key_of(std::uint8_t byte) {
  config::Key key;
  key.bytes.fill(byte);
  return key;
}

config::SecretKey secret_of(std::uint8_t byte) {
  return config::SecretKey{key_of(byte).bytes};
}

std::string hex_of(const config::Key& key) {
  std::string text;
  for (const auto byte : key.bytes) {
    char digits[3];
    std::snprintf(digits, sizeof digits, "%02x", byte);
    text += digits;
  }
  return text;
}

void FakeGateway::add_peers(const std::string& interface, unsigned count) {
  auto& peers = interfaces_by_name[interface].peers;
  for (unsigned i = 0; i < count; ++i) {
    config::Peer peer;
    peer.name = "peer" + std::to_string(i);
    for (unsigned byte = 0; byte < 4; ++byte)
      peer.public_key.bytes[byte] = static_cast<std::uint8_t>(i >> (8 * byte));
    peer.public_key.bytes[31] = 1;
    peer.endpoint = config::parse_endpoint("192.0.2.1:51820").value();
    config::Address address;
    address.bytes = {10, static_cast<std::uint8_t>(i >> 16), static_cast<std::uint8_t>(i >> 8),
                     static_cast<std::uint8_t>(i)};
    peer.allowed_ips.push_back(config::prefix_of(address, 32));
    places_[config::to_string(peer.public_key)] = peers.size();
    peers.push_back(std::move(peer));
  }
}

GatewayStatus FakeGateway::status() const {
  GatewayStatus status;
  status.version = "0.1.0";
  status.dpdk_version = "DPDK 22.11.9";
  status.aead = "portable";
  status.pid = 4711;
  status.started = WallTime{std::chrono::seconds{1'000'000}};
  status.config_path = "/etc/linegate.yaml";
  for (const auto& [name, interface] : interfaces_by_name) {
    status.interfaces.push_back(name);
    status.peers += interface.peers.size();
  }
  return status;
}

std::vector<InterfaceStatus> FakeGateway::interfaces() const {
  std::vector<InterfaceStatus> list;
  for (const auto& [name, interface] : interfaces_by_name) {
    InterfaceStatus status;
    status.name = name;
    if (interface.private_key)
      status.public_key = config::to_string(config::public_key_of(*interface.private_key));
    status.listen_port = interface.listen_port;
    status.up = interface.enabled;
    status.ifindex = ifindex;
    status.peers = interface.peers.size();
    status.rx_bytes = received_bytes;
    status.program = program;
    status.handshakes = {{"bad_mac1", 3}};
    list.push_back(std::move(status));
  }
  return list;
}

std::optional<InterfaceIdentity> FakeGateway::find_interface(std::string_view name) const {
  const auto found = interfaces_by_name.find(name);
  if (found == interfaces_by_name.end()) return std::nullopt;
  const config::Interface& value = found->second;
  InterfaceIdentity identity;
  identity.name = found->first;
  identity.id = value.id;
  identity.type = value.type;
  identity.bound = value.bound_to != 0;
  identity.up = value.enabled;
  identity.ifindex = made_at.contains(identity.name) ? made_at.at(identity.name) : 1;
  identity.netns_inode = 4026531840;
  identity.listen_port = value.listen_port;
  return identity;
}

std::vector<PortStatus> FakeGateway::ports() const {
  PortStatus port;
  port.name = "wan0";
  port.driver = "net_af_packet";
  port.link_up = link_up;
  port.rx_missed = 9;
  return {port};
}

std::vector<WorkerStatus> FakeGateway::workers() const {
  WorkerStatus worker;
  worker.lcore = 1;
  worker.busy_share = 0.25;
  worker.stages = {{"classify", 20.5, 1}};
  worker.queues = {{"handshake", 3, 4096}};
  worker.latency = Latency{1, 2, 3, 4};
  return {worker};
}

std::vector<DropStatus> FakeGateway::drops() const {
  DropStatus bad_tag{"bad_tag", "tag does not verify", dropped, {2, 3}, 0, {}, {}, {}};
  bad_tag.first = drop_times.first;
  bad_tag.spell = drop_times.spell;
  bad_tag.last = drop_times.last;
  return {std::move(bad_tag), {"replayed", "counter seen before", 0, {0, 0}, 0, {}, {}, {}}};
}

namespace {

// Its first slice tells nothing.
class FakeFlows final : public FlowReading {
 public:
  bool read(SliceEnd) override { return ++slices_ == 1; }
  [[nodiscard]] const FlowsStatus& totals() const override { return counts; }
  std::optional<FlowStatus> next() override {
    if (told_ == flows.size()) return std::nullopt;
    return flows[told_++];
  }
  FlowsStatus counts;
  std::vector<FlowStatus> flows;

 private:
  unsigned slices_ = 0;
  std::size_t told_ = 0;
};

}  // namespace

std::unique_ptr<FlowReading> FakeGateway::read_flows(const FlowQuery& query) const {
  FlowStatus carried;
  carried.protocol = "tcp";
  carried.source = "10.10.0.2:40000";
  carried.destination = carried.leaves_to = "198.51.100.7:443";
  carried.leaves_from = "203.0.113.2:61001";
  carried.carried = true;
  carried.packets = {10, 20};
  carried.bytes = {1000, 2000};
  carried.idle = std::chrono::seconds{3};
  FlowStatus other;
  other.protocol = "udp";
  other.source = other.leaves_from = "10.10.0.3:5353";
  other.destination = other.leaves_to = "192.168.1.5:53";
  other.reason = "not_assured";
  other.reason_text = "too early";
  other.packets = {1, 2};
  other.bytes = {40, 60};
  auto reading = std::make_unique<FakeFlows>();
  FlowsStatus& status = reading->counts;
  status.on = true;
  status.mark = 0x40000000;
  status.max = 1024;
  status.carried = status.with_linux = 1;
  status.tracked = 7;
  status.reasons = {{"not_assured", 1}, {"helper", 0}};
  if (query.address.empty() || query.address == "10.10.0.2") reading->flows.push_back(carried);
  if (query.address.empty() && query.limit != 1) reading->flows.push_back(other);
  return reading;
}

PeerStatus FakeGateway::status_of(const std::string& interface, const config::Peer& peer) const {
  PeerStatus status;
  status.interface = interface;
  status.name = peer.name;
  status.public_key = peer.public_key;
  status.has_preshared_key = peer.preshared_key.has_value();
  status.endpoint = peer.endpoint;
  status.allowed_ips = peer.allowed_ips;
  status.rx_bytes = std::uint64_t{peer.public_key.bytes[0]} * 100;
  status.tx_bytes = 7;
  if (const auto at = handshakes.find(peer.name); at != handshakes.end()) {
    status.last_handshake = at->second;
    status.session_age = std::chrono::seconds{5};
    status.drops = {{"replayed", 4}};
  }
  return status;
}

// Slots of the cursor are places over all interfaces.
bool FakeGateway::visit_peers(PeerCursor& at, const PeerFilter& filter, SliceEnd until,
                              const std::function<void(PeerStatus&&)>& visit) const {
  const PeerText text(filter.text);
  std::size_t first = 0;
  for (const auto& [name, interface] : interfaces_by_name) {
    for (; at.next - first < interface.peers.size(); ++at.next) {
      if (at.begun && std::chrono::steady_clock::now() >= until) return at.begun = false, true;
      at.begun = true;
      const auto& peer = interface.peers[at.next - first];
      if (!filter.interface.empty() && filter.interface != name) continue;
      if (!text.matches(peer.name, peer.public_key, peer.allowed_ips)) continue;
      auto status = status_of(name, peer);
      if (!filter.active_only || status.active()) visit(std::move(status));
    }
    first += interface.peers.size();
  }
  return false;
}

std::optional<PeerStatus> FakeGateway::find_peer(std::string_view interface, std::string_view wanted) const {
  for (const auto& [name, value] : interfaces_by_name) {
    if (!interface.empty() && interface != name) continue;
    const auto is_wanted = [wanted](const config::Peer& peer) {
      return peer.name == wanted || config::to_string(peer.public_key) == wanted;
    };
    std::size_t& place = places_[std::string(wanted)];  // it was there the last time
    if (place < value.peers.size() && is_wanted(value.peers[place]))
      return status_of(name, value.peers[place]);
    for (const auto& peer : value.peers)
      places_[config::to_string(peer.public_key)] = &peer - &value.peers[0];
    const auto found = std::find_if(value.peers.begin(), value.peers.end(), is_wanted);
    if (found != value.peers.end()) return status_of(name, *found);
  }
  return std::nullopt;
}

std::optional<PeerFacts> FakeGateway::explain_peer(std::string_view interface, std::string_view peer) const {
  const auto status = find_peer(interface, peer);
  if (!status) return std::nullopt;
  PeerFacts result = facts.value_or(PeerFacts{});
  result.peer = *status;
  return result;
}

// A peer a slice. While `config_changes` lasts something changes behind each.
Expected<bool> FakeGateway::visit_config(std::string_view interface, ConfigCursor& at, SliceEnd until,
                                         const ConfigVisitor& visit) const {
  const auto found = interfaces_by_name.find(interface);
  if (found == interfaces_by_name.end()) return Refusal{ENODEV, "no interface"};
  const std::vector<config::Peer>& peers = found->second.peers;
  if (!std::exchange(at.begun, true)) {
    visit.interface(found->second);
  } else if (config_changes != 0) {
    --config_changes;
    return Refusal{EAGAIN, "it has changed"};
  }
  do {
    if (at.next < peers.size()) visit.peer(peers[at.next++]);
  } while (at.next < peers.size() && until == SliceEnd::max());
  return at.next < peers.size();
}

std::optional<WgDevice> FakeGateway::wg_get(std::string_view interface) const {
  const auto found = interfaces_by_name.find(interface);
  if (found == interfaces_by_name.end()) return std::nullopt;
  WgDevice device;
  device.private_key = found->second.private_key;
  device.listen_port = found->second.listen_port;
  device.fwmark = found->second.fwmark;
  return device;
}

Expected<bool> FakeGateway::wg_peers(std::string_view interface, PeerCursor& at, SliceEnd until,
                                     const std::function<void(WgPeer&&)>& visit) const {
  const auto found = interfaces_by_name.find(interface);
  if (found == interfaces_by_name.end()) return Refusal{ENODEV, "no interface"};
  while (at.next < found->second.peers.size()) {
    const config::Peer& peer = found->second.peers[at.next++];
    WgPeer out;
    out.public_key = peer.public_key;
    if (peer.preshared_key) out.preshared_key = *peer.preshared_key;
    out.endpoint = peer.endpoint;
    out.keepalive = peer.persistent_keepalive;
    out.allowed_ips = peer.allowed_ips;
    if (const auto when = handshakes.find(peer.name); when != handshakes.end())
      out.last_handshake = when->second;
    visit(std::move(out));
    if (std::chrono::steady_clock::now() >= until) return true;
  }
  return false;
}

void FakeGateway::apply_wg_set(std::string_view interface, WgSet&& wanted, ChangeDone done) {
  ++sets;
  if (!defer_sets) return done(set(interface, std::move(wanted)));
  deferred_sets.push_back([this, name = std::string(interface), wanted = std::move(wanted),
                           done = std::move(done)](const Expected<>& refused) mutable {
    done(refused ? set(name, std::move(wanted)) : refused);
  });
}

Expected<> FakeGateway::set(std::string_view interface, WgSet&& set) {
  const auto found = interfaces_by_name.find(interface);
  if (found == interfaces_by_name.end()) return Refusal{ENODEV, "no interface"};
  if (set.listen_port && taken_ports.contains(*set.listen_port))
    return Refusal{EADDRINUSE, "the listen port is taken"};
  effects = apply(set, found->second, found->second.listen_port);
  return {};
}

void FakeGateway::answer(const char* call, PlanDone done) {
  calls.emplace_back(call);
  if (defer_plans) {
    deferred.push_back(std::move(done));
  } else {
    done(plan);
  }
}

void FakeGateway::reload(const ReloadOptions& options, PlanDone done) {
  const auto seconds = options.confirm_within.count();
  const std::string confirm = seconds == 0 ? "" : " confirm " + std::to_string(seconds);
  answer((options.dry_run ? "reload dry" + confirm : "reload" + confirm).c_str(), std::move(done));
}
void FakeGateway::diff(PlanDone done) {
  answer("diff", std::move(done));
}
void FakeGateway::save(PlanDone done) {
  answer("save", std::move(done));
}

void FakeGateway::interface_create(const std::string& name, config::Interface value, ChangeDone done) {
  if (interfaces_by_name.contains(name)) return done(Refusal{EEXIST, "interface " + name + " exists"});
  interfaces_by_name[name] = std::move(value);
  made_at[name] = static_cast<std::uint32_t>(++creations + 100);
  done({});
}

void FakeGateway::release(std::uint64_t bound_to) {
  std::erase_if(interfaces_by_name, [=](const auto& entry) { return entry.second.bound_to == bound_to; });
}

void FakeGateway::interface_up(const std::string& name, ChangeDone done) {
  if (!interfaces_by_name.contains(name)) return done(Refusal{ENOENT, "no interface " + name});
  interfaces_by_name[name].enabled = true;
  done({});
}

void FakeGateway::interface_down(const std::string& name, ChangeDone done) {
  if (!interfaces_by_name.contains(name)) return done(Refusal{ENOENT, "no interface " + name});
  interfaces_by_name[name].enabled = false;
  done({});
}

void FakeGateway::interface_delete(const std::string& name, ChangeDone done) {
  if (interfaces_by_name.erase(name) == 0) return done(Refusal{ENOENT, "no interface " + name});
  done({});
}

void FakeGateway::port_restart(const std::string& name, ChangeDone done) {
  if (name != "wan0") return done(Refusal{ENOENT, "no port " + name});
  calls.push_back("port.restart " + name);
  done({});
}

void FakeGateway::set_log_level(const std::string& interface, config::LogLevel level, ChangeDone done) {
  calls.push_back("log " + interface + " " + std::string(config::to_string(level)));
  done({});
}

void FakeGateway::stop() {
  stopped = true;
}

}  // namespace wg::control::test
