// The diff: what it reaches (against a model that knows nothing of diffing), its order, its words.
#include <algorithm>
#include <random>
#include <set>

#include "config/diff.h"
#include "config/validate.h"
#include "tests/unit/config/support.h"

namespace wg::config {
namespace {

using namespace std::chrono_literals;

// ---------------------------------------------------------------- the model

// Applies actions to a value one by one, as dumbly as can be, and refuses what a real gateway would
// refuse: a name in use, a prefix or a listen port that another holds, an action on what is absent.
class Model {
 public:
  // `whole`: the plan is carried out from its beginning to its end.
  explicit Model(Gateway gateway, bool whole = true) : gateway_(std::move(gateway)), whole_(whole) {}

  void apply(const Action& action) {
    std::visit([this](const auto& a) { on(a); }, action);
  }
  const Gateway& gateway() const { return gateway_; }

 private:
  Port& port(const std::string& name) { return gateway_.ports.at(name); }
  Interface& interface(const std::string& name) { return gateway_.interfaces.at(name); }
  Peer& peer(const PeerName& ref) {
    for (Peer& candidate : interface(ref.interface).peers)
      if (candidate.public_key == ref.key) return candidate;
    throw std::logic_error("no such peer");
  }
  template <class T>
  static void insert(std::vector<T>& list, const T& value) {
    if (std::find(list.begin(), list.end(), value) != list.end()) throw std::logic_error("added twice");
    list.push_back(value);
  }
  template <class T>
  static void take(std::vector<T>& list, const T& value) {
    if (std::erase(list, value) != 1) throw std::logic_error("removed what is not there");
  }
  void need_free_name(const std::string& name) {
    if (gateway_.ports.contains(name) || gateway_.interfaces.contains(name))
      throw std::logic_error("name in use");
  }
  void need_free_port(const std::string& self, UdpPort number) {
    for (const auto& [name, other] : gateway_.interfaces)
      if (number != kAnyPort && name != self && other.listen_port == number)
        throw std::logic_error("listen port in use");
  }
  void need_free_device(const Device& device) {
    for (const auto& [name, other] : gateway_.ports)
      if (other.device == device) throw std::logic_error("device in use");
  }
  void need_unowned(const std::string& name, const Prefix& prefix) {
    for (const Peer& other : interface(name).peers)
      if (std::find(other.allowed_ips.begin(), other.allowed_ips.end(), prefix) != other.allowed_ips.end())
        throw std::logic_error("prefix has an owner");
  }
  // Linux refuses the same IPv6 address twice on a device, whatever the length.
  static void need_new_address(const std::vector<InterfaceAddress>& list, const InterfaceAddress& address) {
    for (const auto& other : list)
      if (other.address == address.address) throw std::logic_error("address is there");
  }

  void on(const NeedsRestart& a) { EXPECT_NE(a.from, a.to); }
  void on(const ChangeSettings<Dpdk>& a) { copy_settings(a.value, gateway_.dpdk, Change::kLive); }
  void on(const ChangeSettings<Control>& a) { copy_settings(a.value, gateway_.control, Change::kLive); }
  void on(const ChangeSettings<Flows>& a) { copy_settings(a.value, gateway_.flows, Change::kLive); }
  void on(const ChangeSettings<Port>& a) { copy_settings(a.value, port(a.name), Change::kLive); }
  void on(const ChangeSettings<Interface>& a) { copy_settings(a.value, interface(a.name), Change::kLive); }
  void on(const SetMetrics& a) {
    gateway_.control.metrics = a.listen;
    gateway_.control.metrics_per_peer = a.per_peer;
  }
  void on(const SetControlSocket& a) {
    gateway_.control.socket = a.path;
    gateway_.control.admin_group = a.admin_group;
    gateway_.control.read_group = a.read_group;
  }
  void on(const AddPort& a) {
    need_free_name(a.port);
    need_free_device(a.value.device);
    gateway_.ports[a.port] = a.value;
  }
  void on(const RemovePort& a) {
    if (gateway_.ports.erase(a.port) != 1) throw std::logic_error("no such port");
  }
  void on(const AddPortAddress& a) {
    need_new_address(port(a.port).addresses, a.address);
    insert(port(a.port).addresses, a.address);
  }
  void on(const RemovePortAddress& a) { take(port(a.port).addresses, a.address); }
  void on(const SetPortGateways& a) { port(a.port).gateways = a.gateways; }
  void on(const SetPortMtu& a) { port(a.port).mtu = a.mtu; }
  void on(const AddInterface& a) {
    need_free_name(a.interface);
    need_free_port(a.interface, a.value.listen_port);
    EXPECT_TRUE(a.value.peers.empty());
    gateway_.interfaces[a.interface] = a.value;
  }
  void on(const RemoveInterface& a) {
    const std::size_t peers = interface(a.interface).peers.size();
    if (whole_) {
      EXPECT_EQ(peers, a.peers);
    }
    gateway_.interfaces.erase(a.interface);
  }
  void on(const SetInterfaceEnabled& a) { interface(a.interface).enabled = a.enabled; }
  void on(const SetInterfaceKey& a) { interface(a.interface).private_key = a.key; }
  void on(const SetListenPort& a) {
    need_free_port(a.interface, a.port);
    interface(a.interface).listen_port = a.port;
  }
  void on(const SetFwmark& a) { interface(a.interface).fwmark = a.fwmark; }
  void on(const AddInterfaceAddress& a) {
    need_new_address(interface(a.interface).addresses, a.address);
    insert(interface(a.interface).addresses, a.address);
  }
  void on(const RemoveInterfaceAddress& a) { take(interface(a.interface).addresses, a.address); }
  void on(const SetInterfaceMtu& a) { interface(a.interface).mtu = a.mtu; }
  void on(const SetRoutes& a) {
    interface(a.interface).routes = a.routes;
    interface(a.interface).table = a.table;
  }
  void on(const KeepPrefix& a) { insert(interface(a.interface).kept, a.prefix); }
  void on(const ForgetPrefix& a) { take(interface(a.interface).kept, a.prefix); }
  void on(const AddPeer& a) {
    for (const Peer& other : interface(a.peer.interface).peers)
      if (other.public_key == a.peer.key) throw std::logic_error("peer is there");
    for (const Prefix& prefix : a.value.allowed_ips) need_unowned(a.peer.interface, prefix);
    interface(a.peer.interface).peers.push_back(a.value);
  }
  void on(const RemovePeer& a) {
    auto& peers = interface(a.peer.interface).peers;
    if (std::erase_if(peers, [&](const Peer& p) { return p.public_key == a.peer.key; }) != 1)
      throw std::logic_error("no such peer");
  }
  void on(const SetPeerName& a) { peer(a.peer).name = a.name; }
  void on(const SetPeerEndpoint& a) { peer(a.peer).endpoint = a.endpoint; }
  void on(const SetPresharedKey& a) { peer(a.peer).preshared_key = a.key; }
  void on(const SetKeepalive& a) { peer(a.peer).persistent_keepalive = a.interval; }
  void on(const SetPeerMtu& a) { peer(a.peer).mtu = a.mtu; }
  void on(const AddAllowedIp& a) {
    need_unowned(a.peer.interface, a.prefix);
    peer(a.peer).allowed_ips.push_back(a.prefix);
  }
  void on(const MoveAllowedIp& a) {
    take(peer(a.from).allowed_ips, a.prefix);
    insert(peer(a.to).allowed_ips, a.prefix);
  }
  void on(const RemoveAllowedIp& a) { take(peer(a.peer).allowed_ips, a.prefix); }

  Gateway gateway_;
  bool whole_;
};

// As the gateway does it (control/gateway/actions.h): what holds already, and what concerns something that
// has gone, changes nothing.
Gateway carried_out_again(Gateway gateway, const Plan& plan) {
  for (const Action& action : plan.actions) {
    Model model(gateway, false);
    try {
      model.apply(action);
    } catch (const std::logic_error&) {
      continue;
    }
    gateway = model.gateway();
  }
  return gateway;
}

// ---------------------------------------------------------------- generated gateways

// Values from small pools, so that two gateways share names, keys, prefixes and ports.
class Generator {
 public:
  explicit Generator(unsigned seed) : random_(seed) {}

  Gateway gateway() {
    while (true) {
      Gateway gateway = draft();
      if (validate(gateway).empty()) return gateway;
    }
  }

  // Another gateway that shares most of the first: single fields are drawn again.
  Gateway mutated(const Gateway& from) {
    while (true) {
      Gateway gateway = from;
      const Gateway other = draft();
      if (chance(4)) gateway.control = other.control;
      if (chance(8)) gateway.dpdk = other.dpdk;
      for (auto& [name, port] : gateway.ports)
        if (chance(2)) port.mtu = draw_port().mtu, port.addresses = draw_port().addresses;
      for (auto& [name, interface] : gateway.interfaces) mutate(interface);
      if (chance(4)) gateway.interfaces.insert(other.interfaces.begin(), other.interfaces.end());
      if (chance(6) && !gateway.interfaces.empty()) gateway.interfaces.erase(gateway.interfaces.begin());
      if (validate(gateway).empty()) return gateway;
    }
  }

 private:
  unsigned below(std::size_t limit) { return static_cast<unsigned>(random_() % limit); }
  bool chance(unsigned one_in) { return below(one_in) == 0; }

  InterfaceAddress address() {
    auto value =
        *parse_interface_address((chance(2) ? "10.0.0." : "fd00::") + std::to_string(1 + below(40)) + "/24");
    value.length = static_cast<std::uint8_t>(value.length + below(2));
    return value;
  }
  Prefix prefix() {
    const bool v4 = !chance(3);
    return prefix_of(*parse_address(v4 ? "172.16." + std::to_string(below(12)) + ".0"
                                       : "fd01:" + std::to_string(below(9)) + "::"),
                     v4 ? 16 + 8 * below(3) : 32 + 32 * below(3));
  }

  // Each setting as by default, or one of its examples.
  template <class Owner>
  void draw_settings(Owner& owner) {
    for (const auto& row : settings_of<Owner>()) {
      if (!chance(3)) continue;
      EXPECT_TRUE(row.set(owner, row.examples[below(row.examples.size())])) << row.key;
    }
  }

  Port draw_port() {
    Port port;
    port.device = {DeviceKind::kVdev, "net_tap" + std::to_string(below(5))};
    for (unsigned i = below(3); i > 0; --i) port.addresses.push_back(address());
    if (chance(2)) port.gateways = {{*parse_address("10.0.0.254"), 100 * below(3)}};
    if (chance(3)) port.queues = 1 + below(3);
    port.mtu = static_cast<std::uint16_t>(1400 + below(3));
    if (chance(3)) port.vlan = static_cast<std::uint16_t>(1 + below(2));
    draw_settings(port);
    return port;
  }

  Peer draw_peer() {
    Peer peer;
    peer.public_key = public_key(1 + below(14));
    if (chance(2)) peer.name = "p" + std::to_string(below(30));
    if (chance(3)) peer.preshared_key = secret_key(1 + below(3));
    if (chance(2))
      peer.endpoint = parse_endpoint("192.0.2." + std::to_string(1 + below(3)) + ":51820").value();
    for (unsigned i = below(4); i > 0; --i) peer.allowed_ips.push_back(prefix());
    if (chance(3)) peer.persistent_keepalive = std::chrono::seconds(below(30));
    if (chance(4)) peer.mtu = static_cast<std::uint16_t>(1300 + below(2));
    peer.enabled = !chance(5);
    peer.where.self = {0, 1 + below(100), 1};  // positions must not matter
    return peer;
  }

  // Like a validated file: one owner per prefix, one peer per key and name.
  void settle(std::vector<Peer>& peers) {
    std::set<Key> keys;
    std::set<std::string> names;
    std::set<Prefix> prefixes;
    std::erase_if(peers, [&](const Peer& peer) { return !keys.insert(peer.public_key).second; });
    for (Peer& peer : peers) {
      if (!peer.name.empty() && !names.insert(peer.name).second) peer.name.clear();
      if (peer.enabled)
        std::erase_if(peer.allowed_ips, [&](const Prefix& p) { return !prefixes.insert(p).second; });
    }
  }

  Interface draw_interface() {
    Interface interface;
    if (!chance(5)) interface.private_key = secret_key(1000 + below(3));
    interface.private_key_file = chance(2) ? "a.key" : "b.key";
    interface.listen_port = UdpPort{static_cast<std::uint16_t>(chance(4) ? 0 : 51820 + below(4))};
    interface.fwmark = below(2);
    for (unsigned i = below(3); i > 0; --i) interface.addresses.push_back(address());
    if (chance(2)) interface.mtu = static_cast<std::uint16_t>(1380 + below(2));
    interface.routes = chance(3) ? Routes::kOff : Routes::kAuto;
    if (chance(3)) interface.table = 1 + below(2);
    interface.enabled = !chance(3);
    draw_settings(interface);
    for (unsigned i = below(8); i > 0; --i) interface.peers.push_back(draw_peer());
    settle(interface.peers);
    return interface;
  }

  void mutate(Interface& interface) {
    const Interface other = draw_interface();
    if (chance(2)) interface.peers = other.peers;
    if (chance(3)) interface.listen_port = other.listen_port;
    if (chance(4)) interface.addresses = other.addresses;
    if (chance(3)) copy_settings(other, interface, Change::kLive);
    for (Peer& peer : interface.peers)
      if (chance(2)) peer.allowed_ips = draw_peer().allowed_ips;
    std::shuffle(interface.peers.begin(), interface.peers.end(), random_);
    settle(interface.peers);
  }

  Gateway draft() {
    Gateway gateway;
    gateway.dpdk.workers.count = 1 + below(2);
    if (chance(3)) gateway.dpdk.eal = {"--log-level=8"};
    draw_settings(gateway.dpdk);
    draw_settings(gateway.control);
    if (chance(3)) gateway.control.metrics = MetricsListen{*parse_address("127.0.0.1"), 9586};
    gateway.control.metrics_per_peer = chance(2);
    gateway.control.socket = chance(2) ? "/run/a" : "/run/b";
    gateway.control.admin_group = chance(2) ? "wheel" : "";
    for (const char* name : {"x0", "x1", "x2"})
      if (chance(2)) gateway.ports[name] = draw_port();
    for (const char* name : {"x2", "wg0", "wg1", "wg2"})
      if (chance(2)) gateway.interfaces[name] = draw_interface();
    return gateway;
  }

  std::mt19937 random_;
};

// Values that need a restart stay unchanged.
Gateway reachable(Gateway next, const Gateway& running) {
  const Dpdk& dpdk = running.dpdk;
  next.dpdk = {dpdk.workers, dpdk.memory, dpdk.hugepages, dpdk.eal, dpdk.spread, next.dpdk.idle, {}};
  next.control.user = running.control.user;
  next.control.sandbox = running.control.sandbox;
  return runtime_view(next);
}

struct Owner {
  std::string interface;
  Prefix prefix;
  auto operator<=>(const Owner&) const = default;
};

std::set<Owner> owned(const Gateway& gateway) {
  std::set<Owner> all;
  for (const auto& [name, interface] : gateway.interfaces)
    for (const Peer& peer : interface.peers)
      for (const Prefix& prefix : peer.allowed_ips) all.insert({name, prefix});
  return all;
}

std::set<Owner> in_both(const Gateway& running, const Gateway& next) {
  std::set<Owner> both;
  const auto a = owned(runtime_view(running));
  const auto b = owned(runtime_view(next));
  std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), std::inserter(both, both.end()));
  return both;
}

// Prefixes of a peer, or kept without one: their packets leave in clear under no circumstances.
std::set<Owner> guarded(const Gateway& gateway) {
  std::set<Owner> all = owned(gateway);
  for (const auto& [name, interface] : gateway.interfaces)
    for (const Prefix& prefix : interface.kept) all.insert({name, prefix});
  return all;
}

std::set<Owner> guarded_in_both(const Gateway& running, const Gateway& next) {
  std::set<Owner> both;
  const auto a = guarded(runtime_view(running));
  const auto b = guarded(runtime_view(next));
  std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), std::inserter(both, both.end()));
  return both;
}

bool all_guarded(const std::set<Owner>& wanted, const Gateway& gateway) {
  const auto now = guarded(gateway);
  return std::includes(now.begin(), now.end(), wanted.begin(), wanted.end());
}

bool all_owned(const std::set<Owner>& wanted, const Gateway& gateway) {
  const auto now = owned(gateway);
  return std::includes(now.begin(), now.end(), wanted.begin(), wanted.end());
}

TEST(DiffProperty, ReachesTheNextValueAndNoKeptPrefixIsEverOwnerless) {
  constexpr int kPairs = 3'000;
  std::size_t actions = 0, moves = 0, restarts = 0, ownerless = 0;
  for (int pair = 0; pair < kPairs; ++pair) {
    Generator generate(static_cast<unsigned>(pair));
    const Gateway running = generate.gateway();
    const Gateway next = pair % 2 == 0 ? generate.mutated(running) : generate.gateway();
    const Plan plan = diff(running, next);
    const auto kept = in_both(running, next);
    const auto guarded = guarded_in_both(running, next);
    Model model(runtime_view(running));
    for (const Action& action : plan.actions) {
      ASSERT_NO_THROW(model.apply(action)) << "pair " << pair << "\n" << describe(plan);
      ASSERT_TRUE(all_owned(kept, model.gateway())) << "pair " << pair << " after " << describe(action);
      ASSERT_TRUE(all_guarded(guarded, model.gateway())) << "pair " << pair << " after " << describe(action);
      ownerless += std::holds_alternative<KeepPrefix>(action) ? 1 : 0;
      moves += std::holds_alternative<MoveAllowedIp>(action) ? 1 : 0;
    }
    ASSERT_TRUE(runtime_view(model.gateway()) == reachable(next, running)) << "pair " << pair << "\n"
                                                                           << describe(plan);
    const bool restart =
        running.dpdk.workers != next.dpdk.workers || running.dpdk.memory != next.dpdk.memory ||
        running.dpdk.hugepages != next.dpdk.hugepages || running.dpdk.eal != next.dpdk.eal ||
        running.dpdk.spread != next.dpdk.spread || running.control.user != next.control.user ||
        running.control.sandbox != next.control.sandbox;
    ASSERT_EQ(plan.needs_restart(), restart) << "pair " << pair;
    actions += plan.actions.size();
    restarts += restart ? 1 : 0;
  }
  EXPECT_GT(actions, 20'000U);  // the pairs must be worth comparing
  EXPECT_GT(moves, 500U);
  EXPECT_GT(ownerless, 500U);
  EXPECT_GT(restarts, 500U);
}

TEST(DiffProperty, OfEqualViewsIsEmpty) {
  for (unsigned seed = 0; seed < 300; ++seed) {
    const Gateway gateway = Generator(seed).gateway();
    EXPECT_TRUE(diff(gateway, gateway).empty());
    EXPECT_TRUE(diff(gateway, runtime_view(gateway)).empty())
        << describe(diff(gateway, runtime_view(gateway)));
  }
}

// ---------------------------------------------------------------- single cases

Gateway with_peers(std::vector<Peer> peers) {
  Gateway gateway;
  gateway.interfaces["wg0"].peers = std::move(peers);
  return gateway;
}

Peer peer(unsigned key, const std::string& name, std::vector<std::string> prefixes) {
  Peer out;
  out.public_key = public_key(key);
  out.name = name;
  for (const auto& prefix : prefixes) out.allowed_ips.push_back(*parse_prefix(prefix));
  return out;
}

TEST(Diff, APrefixThatChangesHandsIsOneMove) {
  const auto running = with_peers({peer(1, "alice", {"10.0.0.0/24"}), peer(2, "bob", {})});
  const auto next = with_peers({peer(1, "alice", {}), peer(2, "bob", {"10.0.0.0/24"})});
  EXPECT_EQ(describe(diff(running, next)), "wg0: peer bob: takes 10.0.0.0/24 from alice\n");
}

TEST(Diff, ThePrefixOfADisabledPeerIsKept) {
  const auto running = with_peers({peer(1, "alice", {"10.0.0.0/24"})});
  auto next = running;
  next.interfaces["wg0"].peers[0].enabled = false;
  EXPECT_EQ(describe(diff(running, next)),
            "wg0: keep 10.0.0.0/24 unreachable, no peer has it\n"
            "wg0: peer alice: remove\n");
  EXPECT_EQ(describe(diff(next, running)),
            "wg0: peer alice: add, allowed IPs 10.0.0.0/24\n"
            "wg0: no longer keep 10.0.0.0/24 unreachable\n");
  next.interfaces["wg0"].on_loss = OnLoss::kWithdraw;
  EXPECT_EQ(describe(diff(running, next)), "wg0: on loss withdraw\nwg0: peer alice: remove\n");
}

TEST(Diff, AnotherMetricIsAnotherGateway) {
  Gateway running;
  running.ports["wan"].gateways = {{*parse_address("10.0.0.254")}};
  Gateway next = running;
  next.ports["wan"].gateways[0].metric = 100;
  EXPECT_EQ(describe(diff(running, next)), "wan: gateway 10.0.0.254 metric 100\n");
}

TEST(Diff, ARemovedPeerHandsOverToANewOneFirst) {
  const auto running = with_peers({peer(1, "alice", {"10.0.0.0/24", "10.0.9.0/24"})});
  const auto next = with_peers({peer(2, "bob", {"10.0.0.0/24", "10.0.1.0/24"})});
  EXPECT_EQ(describe(diff(running, next)),
            "wg0: peer bob: add, allowed IPs 10.0.1.0/24\n"
            "wg0: peer bob: takes 10.0.0.0/24 from alice\n"
            "wg0: peer alice: remove\n");
}

// ---------------------------------------------------------------- what two values cannot say

TEST(DiffEffects, ARecreatedPeerGoesBeforeAnythingComes) {
  const auto running =
      with_peers({peer(1, "alice", {"10.0.0.0/24", "10.0.9.0/24"}), peer(2, "bob", {"10.0.1.0/24"})});
  const auto next =
      with_peers({peer(1, "alice", {"10.0.0.0/24", "10.0.1.0/24"}), peer(2, "bob", {"10.0.9.0/24"})});
  PeerEffects effects;
  effects.recreated = {public_key(1)};
  const Plan plan = diff(running, next, effects);
  EXPECT_EQ(describe(plan),
            "wg0: peer alice: remove\n"
            "wg0: peer alice: add, allowed IPs 10.0.0.0/24\n"
            "wg0: peer alice: takes 10.0.1.0/24 from bob\n"
            "wg0: peer bob: add 10.0.9.0/24\n");
  Model model(running);
  for (const Action& action : plan.actions) ASSERT_NO_THROW(model.apply(action)) << describe(action);
  EXPECT_EQ(runtime_view(model.gateway()), runtime_view(next));
}

TEST(DiffEffects, ARecreatedPeerIsRecreatedThoughNothingDiffers) {
  const auto gateway = with_peers({peer(1, "alice", {"10.0.0.0/24"}), peer(2, "bob", {})});
  PeerEffects effects;
  effects.recreated = {public_key(1)};
  EXPECT_EQ(describe(diff(gateway, gateway, effects)),
            "wg0: peer alice: remove\n"
            "wg0: peer alice: add, allowed IPs 10.0.0.0/24\n");
}

TEST(DiffEffects, AnExplicitEndpointIsSetThoughItIsTheSame) {
  auto gateway = with_peers({peer(1, "alice", {}), peer(2, "bob", {})});
  for (Peer& peer : gateway.interfaces["wg0"].peers) peer.endpoint = parse_endpoint("192.0.2.1:1").value();
  PeerEffects effects;
  effects.endpoint_explicit = {public_key(2)};
  const Plan plan = diff(gateway, gateway, effects);
  EXPECT_EQ(describe(plan), "wg0: peer bob: endpoint 192.0.2.1:1\n");
  EXPECT_TRUE(std::get<SetPeerEndpoint>(plan.actions.front()).forced);
  auto next = gateway;
  next.interfaces["wg0"].peers[0].endpoint.reset();
  EXPECT_FALSE(std::get<SetPeerEndpoint>(diff(gateway, next).actions.front()).forced);
}

TEST(DiffProperty, WithEffectsReachesTheNextValueToo) {
  std::size_t recreated = 0, forced = 0;
  for (unsigned pair = 0; pair < 500; ++pair) {
    Generator generate(pair);
    const Gateway running = generate.gateway();
    const Gateway next = generate.mutated(running);
    PeerEffects effects;
    for (const auto& [name, interface] : next.interfaces)
      for (const Peer& peer : interface.peers)
        (peer.public_key.bytes[0] % 2 == pair % 2 ? effects.recreated : effects.endpoint_explicit)
            .push_back(peer.public_key);
    const Plan plan = diff(running, next, effects);
    Model model(runtime_view(running));
    std::set<std::pair<std::string, Key>> gone;
    for (const Action& action : plan.actions) {
      ASSERT_NO_THROW(model.apply(action)) << "pair " << pair << "\n" << describe(plan);
      if (const auto* a = std::get_if<RemovePeer>(&action)) gone.emplace(a->peer.interface, a->peer.key);
      if (const auto* a = std::get_if<AddPeer>(&action))
        recreated += gone.contains({a->peer.interface, a->peer.key}) ? 1 : 0;
      if (const auto* a = std::get_if<SetPeerEndpoint>(&action)) forced += a->forced ? 1 : 0;
    }
    ASSERT_TRUE(runtime_view(model.gateway()) == reachable(next, running)) << "pair " << pair << "\n"
                                                                           << describe(plan);
  }
  EXPECT_GT(recreated, 200U);
  EXPECT_GT(forced, 200U);
}

// Decision 4: actions are idempotent, so the plan back leads back, whatever was reached.
TEST(DiffProperty, TheWayBackLeadsBackFromAnyPoint) {
  std::size_t points = 0;
  for (unsigned pair = 0; pair < 300; ++pair) {
    Generator generate(pair);
    const Gateway running = generate.gateway();
    const Gateway next = generate.mutated(running);
    const Plan plan = diff(running, next), back = diff(next, running);
    Model model(runtime_view(running));
    for (std::size_t reached = 0; reached < plan.actions.size(); ++reached, ++points) {
      const Gateway again = carried_out_again(model.gateway(), back);
      ASSERT_TRUE(runtime_view(again) == runtime_view(running))
          << "pair " << pair << ", " << reached << " of\n"
          << describe(plan) << "back:\n"
          << describe(back);
      model.apply(plan.actions[reached]);
    }
  }
  EXPECT_GT(points, 1000u);
}

TEST(Diff, InterfacesExchangeListenPortsOverAFreeOne) {
  Gateway running, next;
  running.interfaces["wg0"].listen_port = next.interfaces["wg1"].listen_port = UdpPort{1};
  running.interfaces["wg1"].listen_port = next.interfaces["wg0"].listen_port = UdpPort{2};
  EXPECT_EQ(describe(diff(running, next)), "wg0: listen port any\nwg1: listen port 1\nwg0: listen port 2\n");
}

TEST(Diff, APeerDisabledIsRemovedAndReturns) {
  auto off = peer(1, "alice", {"10.0.0.0/24"});
  off.enabled = false;
  const auto on = with_peers({peer(1, "alice", {"10.0.0.0/24"})});
  EXPECT_EQ(describe(diff(on, with_peers({off}))),
            "wg0: keep 10.0.0.0/24 unreachable, no peer has it\nwg0: peer alice: remove\n");
  EXPECT_EQ(describe(diff(with_peers({off}), on)),
            "wg0: peer alice: add, allowed IPs 10.0.0.0/24\nwg0: no longer keep 10.0.0.0/24 unreachable\n");
}

TEST(Diff, ListsChangesThatNeedARestart) {
  Gateway running, next;
  next.dpdk.workers = {2, {1, 3}};
  next.dpdk.memory = {1ULL << 30};
  next.control.user = "linegate";
  const Plan plan = diff(running, next);
  EXPECT_TRUE(plan.needs_restart());
  EXPECT_EQ(describe(plan),
            "needs a restart: dpdk.workers from '1' to '[1, 3]'\n"
            "needs a restart: dpdk.memory from '512M' to '1G'\n"
            "needs a restart: control.user from none to 'linegate'\n");
}

TEST(Diff, WordsNeverHoldASecret) {
  Gateway running, next;
  running.interfaces["wg0"].private_key = secret_key(7);
  next.interfaces["wg0"].private_key = secret_key(8);
  next.interfaces["wg1"].private_key = secret_key(9);
  Peer alice = peer(1, "alice", {});
  running.interfaces["wg0"].peers = {alice};
  alice.preshared_key = secret_key(10);
  next.interfaces["wg0"].peers = {alice};
  Peer bob = peer(2, "", {"10.0.0.0/24"});
  bob.preshared_key = secret_key(11);
  next.interfaces["wg1"].peers = {bob};
  const auto words = describe(diff(running, next));
  for (unsigned key = 7; key <= 11; ++key)
    EXPECT_EQ(words.find(reveal(secret_key(key))), std::string::npos) << words;
  EXPECT_NE(words.find("wg0: peer alice: set the preshared key\n"), std::string::npos) << words;
  EXPECT_NE(words.find(to_string(public_key_of(secret_key(8)))), std::string::npos) << words;
}

TEST(Diff, AnEmptyPlanIsDescribedAsEmpty) {
  EXPECT_EQ(describe(Plan{}), "nothing to change\n");
}

}  // namespace
}  // namespace wg::config
