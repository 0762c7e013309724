#include "config/lint.h"

#include <grp.h>
#include <net/if.h>
#include <pwd.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/timex.h>

#include <algorithm>
#include <map>
#include <utility>

#include "config/describe_values.h"
#include "config/lint_parts.h"
#include "config/paths.h"
#include "config/scalars.h"

namespace wg::config {
namespace {

constexpr unsigned kOuterV4 = 60;  // IPv4 20, UDP 8, transport data header 16, tag 16
constexpr unsigned kOuterV6 = 80;
constexpr unsigned kTcpIpV4 = 40;  // IPv4 20, TCP 20

class Linter {
 public:
  Linter(const Gateway& gateway, const Environment& environment)
      : gateway_(gateway), environment_(environment) {}

  Problems run() {
    lint_machine(gateway_, environment_, problems_);
    lint_network(gateway_, problems_);
    check_files();
    check_flows();
    check_port_to_port();
    if (gateway_.ports.empty()) warn({}, "ports", "no port is configured: nothing is received");
    for (const auto& [name, port] : gateway_.ports) check_shared_memory(name, port);
    for (const auto& [name, interface] : gateway_.interfaces) {
      const PeerPaths paths(name, interface);
      check_mtu(name, interface, paths);
      check_overlaps(interface, paths);
      for (std::size_t i = 0; i < interface.peers.size(); ++i)
        if (interface.peers[i].enabled) check_peer(interface, interface.peers[i], paths.of(i));
    }
    check_shared_prefixes();
    sort_by_position(problems_);
    return std::move(problems_);
  }

 private:
  void warn(const Position& at, std::string path, std::string message) {
    add_warning(gateway_, at, std::move(path), std::move(message), problems_);
  }

  std::string see(const Position& at) const {
    const auto text = cite(gateway_, at);
    return text.empty() ? text : " (" + text + ")";
  }

  // ---------------------------------------------------------------- flows

  // A connection is carried only when both of its sides ask for it; two peers of one interface are two
  // sides.
  void check_flows() {
    std::size_t sides = 0;
    const auto count = [&](const auto& named) {
      for (const auto& [name, value] : named) sides += value.forwarding == Forwarding::kFlows ? 1 : 0;
    };
    count(gateway_.ports);
    count(gateway_.interfaces);
    if (sides != 1) return;
    const auto complain = [&](const Marks& where, const std::string& path) {
      warn(where.of("forwarding"), path + ".forwarding",
           "is 'flows' here alone: workers carry a connection only between two ports or interfaces that have "
           "it");
    };
    for (const auto& [name, port] : gateway_.ports)
      if (port.forwarding == Forwarding::kFlows) complain(port.where, "ports." + name);
    for (const auto& [name, interface] : gateway_.interfaces)
      if (interface.forwarding == Forwarding::kFlows && interface.peers.size() < 2)
        complain(interface.where, "interfaces." + name);
  }

  // ---------------------------------------------------------------- port to port

  void check_port_to_port() {
    std::vector<std::pair<std::string, const Port*>> with;
    for (const auto& [name, port] : gateway_.ports)
      if (port.port_to_port) with.emplace_back(name, &port);
    if (with.size() != 1) return;
    const auto& [name, port] = with.front();
    warn(port->where.of("port_to_port"), "ports." + name + ".port_to_port",
         "is true here alone: workers forward between two ports that have it, so only between the VLANs of "
         "this one");
  }

  // ---------------------------------------------------------------- files

  void check_files() {
    if (!environment_.file_mode) return;
    for (std::size_t i = 0; i < gateway_.sources.files.size(); ++i) {
      const auto mode = environment_.file_mode(gateway_.sources.files[i]);
      if (!mode) continue;
      const Position whole{static_cast<std::uint32_t>(i), 0, 0};
      if ((*mode & 022) != 0)
        problems_.push_back({gateway_.sources.files[i],
                             whole,
                             {},
                             "can be written by its group or by others; "
                             "use mode 0640 or 0600",
                             Severity::kWarning});
      if ((*mode & 077) != 0) check_inline_secrets(static_cast<std::uint32_t>(i));
    }
  }

  void check_inline_secrets(std::uint32_t file) {
    constexpr const char* kMessage =
        "a secret in a file that its group or others can read; use mode 0600, or a key file";
    for (const auto& [name, interface] : gateway_.interfaces) {
      const Position key = interface.where.of("private_key");
      if (interface.private_key && interface.private_key_file.empty() && key.known() && key.file == file)
        warn(key, "interfaces." + name + ".private_key", kMessage);
      const PeerPaths paths(name, interface);
      for (std::size_t i = 0; i < interface.peers.size(); ++i) {
        const Peer& peer = interface.peers[i];
        const Position& psk = peer.where.preshared_key;
        if (peer.preshared_key && peer.preshared_key_file.empty() && psk.known() && psk.file == file)
          warn(psk, paths.of(i) + ".preshared_key", kMessage);
      }
    }
  }

  // ---------------------------------------------------------------- ports

  // DPDK's memif driver takes region, offset and length of a packet from memory that both sides write, and
  // compares none of them with the bounds.
  void check_shared_memory(const std::string& name, const Port& port) {
    if (!port.device.text.starts_with("net_memif") || port.peer == PortPeer::kTrusted) return;
    warn(port.where.of("device"), "ports." + name + ".device",
         "the program at the other side of a memif can read and write the gateway's memory, keys included; "
         "say peer: trusted if it is as trusted as the gateway");
  }

  // ---------------------------------------------------------------- MTU

  // The port the outer packets leave by: the one with a gateway; without any, each may be it.
  std::pair<std::string, const Port*> narrowest_port() const {
    const bool any_gateway = std::any_of(gateway_.ports.begin(), gateway_.ports.end(),
                                         [](const auto& entry) { return !entry.second.gateways.empty(); });
    std::pair<std::string, const Port*> narrowest;
    for (const auto& [name, port] : gateway_.ports) {
      if (any_gateway && port.gateways.empty()) continue;
      if (narrowest.second == nullptr || port.mtu < narrowest.second->mtu) narrowest = {name, &port};
    }
    return narrowest;
  }

  static bool has_v6(const Port& port) {
    return std::any_of(port.addresses.begin(), port.addresses.end(),
                       [](const InterfaceAddress& address) { return !address.address.is_v4(); });
  }

  void check_mtu(const std::string& name, const Interface& interface, const PeerPaths& paths) {
    const auto [port_name, port] = narrowest_port();
    if (port != nullptr && interface.mtu) {
      const unsigned most = port->mtu - (has_v6(*port) ? kOuterV6 : kOuterV4);
      if (*interface.mtu > most)
        warn(interface.where.of("mtu"), "interfaces." + name + ".mtu",
             std::to_string(*interface.mtu) + " does not fit port " + port_name + " with MTU " +
                 std::to_string(port->mtu) + see(port->where.of("mtu")) +
                 ": full packets leave in fragments; at most " + std::to_string(most));
    }
    if (!interface.mtu) return;
    for (std::size_t i = 0; i < interface.peers.size(); ++i)
      if (interface.peers[i].mtu && *interface.peers[i].mtu > *interface.mtu)
        warn(interface.peers[i].where.mtu, paths.of(i) + ".mtu",
             std::to_string(*interface.peers[i].mtu) + " has no effect above the interface's " +
                 std::to_string(*interface.mtu));
    if (interface.mss_clamp.mode == MssClamp::Mode::kFixed &&
        interface.mss_clamp.value + kTcpIpV4 > *interface.mtu)
      warn(interface.where.of("mss_clamp"), "interfaces." + name + ".mss_clamp",
           std::to_string(interface.mss_clamp.value) + " lets segments through that exceed the MTU of " +
               std::to_string(*interface.mtu) + "; at most " + std::to_string(*interface.mtu - kTcpIpV4));
  }

  // ---------------------------------------------------------------- prefixes

  struct Holding {
    Prefix prefix;
    std::uint32_t peer;
    std::uint32_t index;
  };

  // Sorted so that a prefix comes right before everything inside it.
  static std::vector<Holding> holdings(const Interface& interface) {
    std::vector<Holding> all;
    for (std::size_t i = 0; i < interface.peers.size(); ++i)
      if (interface.peers[i].enabled)
        for (std::size_t k = 0; k < interface.peers[i].allowed_ips.size(); ++k)
          all.push_back({interface.peers[i].allowed_ips[k], static_cast<std::uint32_t>(i),
                         static_cast<std::uint32_t>(k)});
    std::sort(all.begin(), all.end(), [](const Holding& a, const Holding& b) { return a.prefix < b.prefix; });
    return all;
  }

  static Position position(const Interface& interface, const Holding& held) {
    const auto& where = interface.peers[held.peer].where;
    return nth(where.allowed_ips, held.index, where.self);
  }

  struct Overlap {
    std::size_t count = 0;
    Holding first{};
  };

  // One warning per containing prefix, however many lie inside it. A default route contains
  // everything on purpose and is not mentioned.
  void check_overlaps(const Interface& interface, const PeerPaths& paths) {
    const auto all = holdings(interface);
    std::map<std::size_t, Overlap> overlaps;
    std::vector<std::size_t> open;  // prefixes that contain the one looked at, widest first
    for (std::size_t i = 0; i < all.size(); ++i) {
      while (!open.empty() && !contains(all[open.back()].prefix, all[i].prefix)) open.pop_back();
      if (!open.empty() && all[open.back()].peer != all[i].peer) {
        Overlap& overlap = overlaps[open.back()];
        if (overlap.count++ == 0) overlap.first = all[i];
      }
      if (all[i].prefix.length != 0) open.push_back(i);
    }
    for (const auto& [outer, overlap] : overlaps) warn_overlap(interface, paths, all[outer], overlap);
  }

  void warn_overlap(const Interface& interface, const PeerPaths& paths, const Holding& outer,
                    const Overlap& overlap) {
    const Peer& winner = interface.peers[overlap.first.peer];
    std::string more;
    if (overlap.count > 1) more = " (and " + std::to_string(overlap.count - 1) + " more inside it)";
    warn(position(interface, outer),
         paths.of(outer.peer) + ".allowed_ips[" + std::to_string(outer.index) + "]",
         to_string(outer.prefix) + " overlaps " + to_string(overlap.first.prefix) + " of peer " +
             quoted(label_of(winner)) + see(position(interface, overlap.first)) + more +
             ": the longer prefix wins, " + to_string(overlap.first.prefix) + " goes to " +
             quoted(label_of(winner)));
  }

  // Two interfaces that ask the kernel for the same route in the same table.
  void check_shared_prefixes() {
    std::map<std::pair<std::uint32_t, Prefix>, std::pair<std::string, Position>> owners;
    for (const auto& [name, interface] : gateway_.interfaces) {
      if (interface.routes == Routes::kOff || !interface.enabled) continue;
      const PeerPaths paths(name, interface);
      for (const Holding& held : holdings(interface)) {
        const Position at = position(interface, held);
        const auto [owner, fresh] =
            owners.try_emplace({interface.table.value_or(254), held.prefix}, name, at);
        if (!fresh && owner->second.first != name)
          warn(at, paths.of(held.peer) + ".allowed_ips[" + std::to_string(held.index) + "]",
               to_string(held.prefix) + " is also routed to " + owner->second.first +
                   see(owner->second.second) +
                   ": one routing table keeps one of the two; use routes: off or another table");
      }
    }
  }

  // ---------------------------------------------------------------- one peer

  bool behind_nat() const {
    bool any = false;
    for (const auto& [name, port] : gateway_.ports) {
      for (const InterfaceAddress& address : port.addresses) {
        if (!address.address.is_v4()) continue;
        if (!is_private_ipv4(address.address)) return false;
        any = true;
      }
    }
    return any;
  }

  void check_peer(const Interface& interface, const Peer& peer, const std::string& path) {
    if (peer.allowed_ips.empty())
      warn(peer.where.self, path, "has no allowed_ips: nothing is sent to it or accepted from it");
    if (peer.preshared_key && peer.preshared_key->is_zero())
      warn(peer.where.preshared_key, path + ".preshared_key", "is all zero, which is the same as none");
    if (peer.endpoint) {
      check_keepalive(peer, path);
      if (interface.routes == Routes::kAuto && !interface.table) check_endpoint_loop(peer, path);
    }
    check_own_addresses(peer, path);
  }

  void check_keepalive(const Peer& peer, const std::string& path) {
    const Address* address = peer.endpoint->address();
    const bool far = address == nullptr || (address->is_v4() && !is_private_ipv4(*address));
    if (far && peer.persistent_keepalive.count() == 0 && behind_nat())
      warn(peer.where.endpoint, path + ".endpoint",
           "is reached from behind NAT (every IPv4 address of our ports is private) without "
           "persistent_keepalive: "
           "the mapping expires and the peer cannot reach us; use persistent_keepalive: 25");
  }

  void check_endpoint_loop(const Peer& peer, const std::string& path) {
    const Address* address = peer.endpoint->address();
    if (address == nullptr) return;
    for (std::size_t k = 0; k < peer.allowed_ips.size(); ++k)
      if (contains(peer.allowed_ips[k], *address))
        return warn(peer.where.endpoint, path + ".endpoint",
                    to_string(*address) + " lies inside the peer's own allowed_ips " +
                        to_string(peer.allowed_ips[k]) +
                        see(nth(peer.where.allowed_ips, k, peer.where.self)) +
                        ": the route to it would lead through itself; use routes: off or a table of its own");
  }

  void check_own_addresses(const Peer& peer, const std::string& path) {
    for (const auto& [name, port] : gateway_.ports)
      for (const InterfaceAddress& own : port.addresses)
        for (std::size_t k = 0; k < peer.allowed_ips.size(); ++k)
          if (peer.allowed_ips[k].length != 0 && contains(peer.allowed_ips[k], own.address))
            warn(nth(peer.where.allowed_ips, k, peer.where.self),
                 path + ".allowed_ips[" + std::to_string(k) + "]",
                 to_string(peer.allowed_ips[k]) + " contains our own address " + to_string(own.address) +
                     " of port " + name + ": packets from it through the peer look like our own");
  }

  const Gateway& gateway_;
  const Environment& environment_;
  Problems problems_;
};

std::optional<bool> kernel_clock_synchronised() {
  struct timex state {};
  const int status = ::adjtimex(&state);
  if (status < 0) return std::nullopt;
  return status != TIME_ERROR && (state.status & STA_UNSYNC) == 0;
}

std::optional<mode_t> mode_on_disk(const std::string& path) {
  struct stat state {};
  if (::stat(path.c_str(), &state) != 0) return std::nullopt;
  return state.st_mode & 07777;
}

std::optional<std::vector<unsigned>> cpus_of_process() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return std::nullopt;
  std::vector<unsigned> cpus;
  for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
  return cpus;
}

std::optional<bool> interface_exists(const std::string& name) {
  return ::if_nametoindex(name.c_str()) != 0;
}

// nullopt when the name service does not answer.
template <class Entry, class Look>
std::optional<bool> name_exists(const std::string& name, const Look& look) {
  std::vector<char> buffer(16384);
  Entry entry{};
  Entry* found = nullptr;
  if (look(name.c_str(), &entry, buffer.data(), buffer.size(), &found) != 0) return std::nullopt;
  return found != nullptr;
}

std::optional<bool> group_exists(const std::string& name) {
  return name_exists<group>(name, ::getgrnam_r);
}

std::optional<bool> user_exists(const std::string& name) {
  return name_exists<passwd>(name, ::getpwnam_r);
}

}  // namespace

Environment system_environment() {
  return {kernel_clock_synchronised, mode_on_disk, cpus_of_process,
          interface_exists,          group_exists, user_exists};
}

Environment files_environment() {
  Environment environment;
  environment.file_mode = mode_on_disk;
  return environment;
}

Problems lint(const Gateway& gateway, const Environment& environment) {
  return Linter(gateway, environment).run();
}

}  // namespace wg::config
