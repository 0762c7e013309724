#include "config/validate.h"

#include <algorithm>
#include <array>
#include <map>
#include <string_view>
#include <unordered_map>

#include "config/paths.h"
#include "config/reader.h"
#include "config/scalars.h"

namespace wg::config {
namespace {

// Where a complaint about one value points, and the value it collides with.
class Checker {
 public:
  explicit Checker(const Gateway& gateway) : gateway_(gateway) {}

  void complain(const Position& at, std::string path, std::string message) {
    problems_.push_back({file_of(gateway_, at), at, std::move(path), std::move(message)});
  }
  // " (gw.yaml:12:5)", or nothing for a value without a position.
  std::string see(const Position& at) const {
    const auto text = cite(gateway_, at);
    return text.empty() ? text : " (" + text + ")";
  }
  const Gateway& gateway() const { return gateway_; }
  Problems take() { return std::move(problems_); }

 private:
  const Gateway& gateway_;
  Problems problems_;
};

// ---------------------------------------------------------------- names, devices, ports, addresses

void check_name(Checker& checker, const std::string& name, const Position& at, std::string_view section) {
  constexpr std::array<std::string_view, 3> kTaken{"all", "interfaces", "lo"};
  const std::string path = std::string(section) + "." + name;
  if (!is_interface_name(name))
    checker.complain(at, path,
                     "is not a name Linux accepts; allowed: 1 to 15 of letters, digits and _ = + . -");
  else if (std::find(kTaken.begin(), kTaken.end(), name) != kTaken.end())
    checker.complain(at, path, "is a name with a meaning of its own to wg(8) or Linux; allowed: any other");
}

void check_names(Checker& checker) {
  const Gateway& gateway = checker.gateway();
  for (const auto& [name, port] : gateway.ports) check_name(checker, name, port.where.self, "ports");
  for (const auto& [name, interface] : gateway.interfaces) {
    check_name(checker, name, interface.where.self, "interfaces");
    if (const auto port = gateway.ports.find(name); port != gateway.ports.end())
      checker.complain(interface.where.self, "interfaces." + name,
                       "is also the name of a port" + checker.see(port->second.where.self) +
                           "; allowed: different names, both become Linux interfaces");
  }
}

// In the order of the files. What stands in no file came later, at run time.
bool earlier(const Position& a, const Position& b) {
  if (a.known() != b.known()) return a.known();
  return std::tie(a.file, a.line, a.column) < std::tie(b.file, b.line, b.column);
}

// Two ports use the same hardware if this is equal: the PCI address, or the vdev's name without arguments.
std::string identity(const Device& device) {
  return device.kind == DeviceKind::kVdev ? device.text.substr(0, device.text.find(',')) : device.text;
}

void check_devices(Checker& checker) {
  std::map<std::string, const Port*> owners;
  std::vector<std::pair<std::string, const Port*>> ports;
  for (const auto& [name, port] : checker.gateway().ports) ports.emplace_back(name, &port);
  // In the order of the file, so that the second one written is the one complained about.
  std::stable_sort(ports.begin(), ports.end(), [](const auto& a, const auto& b) {
    return earlier(a.second->where.of("device"), b.second->where.of("device"));
  });
  for (const auto& [name, port] : ports) {
    if (port->device.kind == DeviceKind::kTap) continue;
    const auto [owner, fresh] = owners.emplace(identity(port->device), port);
    if (!fresh)
      checker.complain(port->where.of("device"), "ports." + name + ".device",
                       quoted(owner->first) + " is already the device of another port" +
                           checker.see(owner->second->where.of("device")) + "; allowed: one port per device");
  }
}

// The Linux interfaces that the gateway makes for a port of this name.
std::vector<std::string> made_for(const std::string& name, const Port& port) {
  std::vector<std::string> made{name};
  if (port.vlan) made.push_back(name.substr(0, 9) + ".trunk");
  if (port.device.kind == DeviceKind::kTap) made.push_back(name.substr(0, 10) + ".wire");
  return made;
}

// A wire must be there before the port, so it cannot be what a port or an interface brings with it.
void check_wires(Checker& checker) {
  std::map<std::string, Position> made;
  for (const auto& [name, port] : checker.gateway().ports)
    for (const std::string& own : made_for(name, port)) made.emplace(own, port.where.self);
  for (const auto& [name, interface] : checker.gateway().interfaces) made.emplace(name, interface.where.self);
  for (const auto& [name, port] : checker.gateway().ports) {
    if (port.device.kind != DeviceKind::kLinux) continue;
    const auto own = made.find(linux_interface(port.device));
    if (own == made.end()) continue;
    checker.complain(port.where.of("device"), "ports." + name + ".device",
                     quoted(port.device.text) + " is an interface that this gateway makes itself" +
                         checker.see(own->second) + "; allowed: one that is there without it");
  }
}

// `forwarding: kernel` and `flows` mean all plain packets of a port, those to other ports as well.
void check_port_to_port(Checker& checker) {
  for (const auto& [name, port] : checker.gateway().ports) {
    if (!port.port_to_port || port.forwarding == Forwarding::kShortCut) continue;
    checker.complain(port.where.of("port_to_port"), "ports." + name + ".port_to_port",
                     "is true, but forwarding is " + quoted(std::string(to_string(port.forwarding))) +
                         checker.see(port.where.of("forwarding")) +
                         "; allowed: false, or forwarding: short_cut");
  }
}

struct PlacedAddress {
  Address address;
  Position at;
  std::string path;
};

template <class Holder>
void place(std::vector<PlacedAddress>& all, const Holder& holder, const std::string& path) {
  for (std::size_t i = 0; i < holder.addresses.size(); ++i)
    if (is_unicast(holder.addresses[i].address))  // another one has been refused
      all.push_back({holder.addresses[i].address, nth(holder.where.addresses, i, holder.where.self),
                     path + ".addresses[" + std::to_string(i) + "]"});
}

void check_addresses(Checker& checker) {
  std::vector<PlacedAddress> all;
  for (const auto& [name, port] : checker.gateway().ports) place(all, port, "ports." + name);
  for (const auto& [name, interface] : checker.gateway().interfaces)
    place(all, interface, "interfaces." + name);
  std::stable_sort(all.begin(), all.end(), [](const auto& a, const auto& b) {
    return a.address != b.address ? a.address < b.address : earlier(a.at, b.at);
  });
  for (std::size_t i = 1; i < all.size(); ++i)
    if (all[i].address == all[i - 1].address)
      checker.complain(all[i].at, all[i].path,
                       to_string(all[i].address) + " is also an address at " + all[i - 1].path +
                           checker.see(all[i - 1].at) + "; allowed: once");
}

void check_gateways(Checker& checker) {
  std::vector<PlacedAddress> own;
  for (const auto& [name, port] : checker.gateway().ports) place(own, port, "ports." + name);
  for (const auto& [name, interface] : checker.gateway().interfaces)
    place(own, interface, "interfaces." + name);
  for (const auto& [name, port] : checker.gateway().ports)
    for (const PortGateway& hop : port.gateways)
      for (const PlacedAddress& placed : own)
        if (placed.address == hop.address)
          checker.complain(port.where.of("gateway"), "ports." + name + ".gateway",
                           to_string(hop.address) + " is our own address at " + placed.path +
                               checker.see(placed.at) + "; allowed: the address of the next router");
}

void check_listen_ports(Checker& checker) {
  std::vector<std::pair<std::string, const Interface*>> interfaces;
  for (const auto& [name, interface] : checker.gateway().interfaces)
    if (interface.listen_port != kAnyPort) interfaces.emplace_back(name, &interface);
  std::stable_sort(interfaces.begin(), interfaces.end(), [](const auto& a, const auto& b) {
    return earlier(a.second->where.of("listen_port"), b.second->where.of("listen_port"));
  });
  std::map<UdpPort, std::pair<std::string, const Interface*>> owners;
  for (const auto& [name, interface] : interfaces) {
    const auto [owner, fresh] = owners.try_emplace(interface->listen_port, name, interface);
    if (fresh) continue;
    checker.complain(interface->where.of("listen_port"), "interfaces." + name + ".listen_port",
                     std::to_string(number_of(interface->listen_port)) + " is already the listen port of " +
                         owner->second.first + checker.see(owner->second.second->where.of("listen_port")) +
                         "; allowed: one interface per port");
  }
}

void check_dpdk(Checker& checker) {
  struct Reserved {
    std::string_view argument, key;
  };
  constexpr std::array<Reserved, 8> kReserved{{{"-l", "dpdk.workers"},
                                               {"-c", "dpdk.workers"},
                                               {"--lcores", "dpdk.workers"},
                                               {"--main-lcore", "dpdk.workers"},
                                               {"-m", "dpdk.memory"},
                                               {"--socket-mem", "dpdk.memory"},
                                               {"--no-huge", "dpdk.hugepages"},
                                               {"--file-prefix", "control.state_directory"}}};
  const Dpdk& dpdk = checker.gateway().dpdk;
  for (const auto& argument : dpdk.eal) {
    const auto word = std::string_view(argument).substr(0, argument.find_first_of("= "));
    const auto found = std::find_if(kReserved.begin(), kReserved.end(), [&](const Reserved& reserved) {
      const bool is_short = reserved.argument.size() == 2;  // its value may follow at once: -l0
      if (is_short) return word.starts_with(reserved.argument);
      return word.size() > 2 && reserved.argument.starts_with(word);  // getopt_long(3) takes abbreviations
    });
    if (found != kReserved.end())
      checker.complain(
          dpdk.where.of("eal"), "dpdk.eal",
          quoted(argument) + " is set from " + std::string(found->key) + "; allowed: other EAL arguments");
  }
}

// ---------------------------------------------------------------- one interface

// The checks of one interface's peers share its name, and the peers' paths.
class PeerChecker {
 public:
  PeerChecker(Checker& checker, const std::string& name, const Interface& interface)
      : checker_(checker), name_(name), interface_(interface), paths_(name, interface) {}

  void check_own_key() {
    if (!interface_.private_key) return;
    const Key own = public_key_of(*interface_.private_key);
    for (std::size_t i = 0; i < interface_.peers.size(); ++i)
      if (interface_.peers[i].public_key == own)
        checker_.complain(interface_.peers[i].where.public_key, paths_.of(i) + ".public_key",
                          "is this interface's own key; allowed: the key of another peer");
  }

  void check_public_keys() {
    std::unordered_map<Key, std::size_t> owners;
    owners.reserve(interface_.peers.size());
    for (std::size_t i = 0; i < interface_.peers.size(); ++i) {
      const Peer& peer = interface_.peers[i];
      if (peer.public_key.is_zero()) continue;  // unreadable, already complained about
      const auto [owner, fresh] = owners.emplace(peer.public_key, i);
      if (!fresh)
        checker_.complain(peer.where.public_key, paths_.of(i) + ".public_key",
                          "is also the key of " + paths_.of(owner->second) +
                              checker_.see(interface_.peers[owner->second].where.public_key) +
                              "; allowed: one peer per key");
    }
  }

  void check_peer_names() {
    std::unordered_map<std::string_view, std::size_t> owners;
    for (std::size_t i = 0; i < interface_.peers.size(); ++i) {
      const Peer& peer = interface_.peers[i];
      if (peer.name.empty()) continue;
      const auto [owner, fresh] = owners.emplace(peer.name, i);
      if (!fresh)
        checker_.complain(peer.where.name, paths_.of(i) + ".name",
                          quoted(peer.name) + " is also the name of " + paths_.of(owner->second) +
                              checker_.see(interface_.peers[owner->second].where.name) +
                              "; allowed: one peer per name");
    }
  }

  void check_allowed_ips() {
    std::vector<Holding> all;
    for (std::size_t i = 0; i < interface_.peers.size(); ++i)
      if (interface_.peers[i].enabled) hold_allowed_ips(static_cast<std::uint32_t>(i), all);
    std::sort(all.begin(), all.end());
    for (std::size_t i = 1; i < all.size(); ++i)
      if (all[i].prefix == all[i - 1].prefix) complain_doubled(all[i], all[i - 1]);
  }

  void check_mtu() {
    const bool v6 = std::any_of(interface_.addresses.begin(), interface_.addresses.end(),
                                [](const InterfaceAddress& address) { return !address.address.is_v4(); });
    if (v6 && interface_.mtu && *interface_.mtu < 1280)
      checker_.complain(interface_.where.of("mtu"), "interfaces." + name_ + ".mtu",
                        std::to_string(*interface_.mtu) +
                            " is too small for the IPv6 address of this interface; "
                            "allowed: auto, or at least 1280");
  }

 private:
  struct Holding {
    Prefix prefix;
    std::uint32_t peer;
    std::uint32_t index;
    auto operator<=>(const Holding&) const = default;
  };

  void hold_allowed_ips(std::uint32_t peer, std::vector<Holding>& all) const {
    const auto& prefixes = interface_.peers[peer].allowed_ips;
    for (std::uint32_t k = 0; k < prefixes.size(); ++k)
      if (prefixes[k] != kRefusedPrefix) all.push_back({prefixes[k], peer, k});
  }

  Position position(const Holding& held) const {
    const auto& where = interface_.peers[held.peer].where;
    return nth(where.allowed_ips, held.index, where.self);
  }

  void complain_doubled(const Holding& second, const Holding& first) {
    const std::string path = paths_.of(second.peer) + ".allowed_ips[" + std::to_string(second.index) + "]";
    if (second.peer == first.peer)
      return checker_.complain(position(second), path,
                               to_string(second.prefix) + " is given twice; allowed: once");
    checker_.complain(position(second), path,
                      to_string(second.prefix) + " already belongs to peer " +
                          quoted(label_of(interface_.peers[first.peer])) + checker_.see(position(first)) +
                          "; allowed: one peer per prefix");
  }

  Checker& checker_;
  const std::string& name_;
  const Interface& interface_;
  PeerPaths paths_;
};

}  // namespace

Problems validate(const Gateway& gateway) {
  Checker checker(gateway);
  check_names(checker);
  check_devices(checker);
  check_wires(checker);
  check_port_to_port(checker);
  check_addresses(checker);
  check_gateways(checker);
  check_listen_ports(checker);
  check_dpdk(checker);
  for (const auto& [name, interface] : gateway.interfaces) {
    PeerChecker peers(checker, name, interface);
    peers.check_own_key();
    peers.check_public_keys();
    peers.check_peer_names();
    peers.check_allowed_ips();
    peers.check_mtu();
  }
  return checker.take();
}

}  // namespace wg::config
