// A live copy of the kernel's routing state. It follows rtnetlink: the control thread polls fd() and calls
// process(). kernel_state.h holds the state, route_lookup.h answers where packets go, change_log.h lists what
// has changed.
//
// When notifications overflow (ENOBUFS) the mirror dumps everything again and reports Resynced.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "control/kernel/change_log.h"
#include "control/kernel/kernel_state.h"
#include "control/kernel/netlink_socket.h"
#include "control/kernel/route_lookup.h"

namespace wg::control {

struct MirrorOptions {
  std::size_t receive_buffer = 16u << 20;   // bytes; when full the kernel drops messages and a resync follows
  std::size_t messages_per_process = 8192;  // limit per process() call; epoll reports the rest
};

class NetlinkMirror {
 public:
  // Opens the sockets and takes the first full dump. Throws std::system_error.
  explicit NetlinkMirror(const MirrorOptions& options = {});

  [[nodiscard]] int fd() const;  // readable: call process()
  // Applies at most messages_per_process pending messages, until `until` but for a few; the rest is still
  // readable. Returns true when there are changes to take. After an overflow this call also takes the new
  // dump (about 1 us per route).
  using Clock = std::chrono::steady_clock;
  bool process(Clock::time_point until = Clock::time_point::max());
  // The kernel has said something that process() has not read.
  [[nodiscard]] bool has_unread() const;
  // Returns the changes since the last call, in order, without consecutive repeats.
  [[nodiscard]] std::vector<Change> take_changes() { return changes_.take(); }
  // Dumps everything again and reports Resynced.
  void resync();
  // Reads what the kernel does not tell of: the MTU for IPv6 packets that leave by the link.
  void follow_ipv6_mtu(std::uint32_t ifindex) { state_.follow_ipv6_mtu(ifindex); }

  // ---- state
  [[nodiscard]] const KernelState& state() const { return state_; }
  [[nodiscard]] const std::map<std::uint32_t, Link>& links() const { return state_.links().all(); }
  [[nodiscard]] const Link* link(std::uint32_t ifindex) const { return state_.links().find(ifindex); }
  [[nodiscard]] const Link* link(const std::string& name) const { return state_.links().find(name); }
  // In the kernel's order of preference for source addresses.
  [[nodiscard]] const std::vector<LocalAddress>& addresses(std::uint32_t ifindex) const {
    return state_.addresses().of(ifindex);
  }
  [[nodiscard]] bool is_local(const IpAddress& address) const { return state_.addresses().is_local(address); }
  // The first link that has the address; 0: none.
  [[nodiscard]] std::uint32_t link_of(const IpAddress& address) const {
    return state_.addresses().link_of(address);
  }
  [[nodiscard]] const RouteTable& routes() const { return state_.routes(); }
  [[nodiscard]] const Neighbour* neighbour(std::uint32_t ifindex, const IpAddress& address) const {
    return state_.neighbours().find(ifindex, address);
  }
  // Calls visit(neighbour) for each entry of the link.
  void for_each_neighbour(std::uint32_t ifindex, const std::function<void(const Neighbour&)>& visit) const {
    state_.neighbours().for_each(ifindex, visit);
  }
  [[nodiscard]] const std::vector<RoutingRule>& rules(bool v6) const { return state_.rules().of(v6); }
  [[nodiscard]] bool rules_are_default(bool v6) const { return state_.rules().are_default(v6); }
  [[nodiscard]] std::uint32_t vrf_of_link(std::uint32_t ifindex) const {
    return state_.links().vrf_of_link(ifindex);
  }

  // ---- lookups, see route_lookup.h
  [[nodiscard]] Resolved best(std::uint32_t table, const IpPrefix& prefix) const {
    return lookup_.best(table, prefix);
  }
  [[nodiscard]] Resolved resolve(const IpAddress& destination, const ResolveKey& key = {}) const {
    return lookup_.resolve(destination, key);
  }
  [[nodiscard]] NeighbourState neighbour_state(std::uint32_t ifindex, const IpAddress& address,
                                               MacAddress* mac) const {
    return lookup_.neighbour_state(ifindex, address, mac);
  }

  // The kernel's own answer (RTM_GETROUTE, a system call), as an oracle for tests and checks. Errors become
  // types: EINVAL RTN_BLACKHOLE, EACCES RTN_PROHIBIT, EHOSTUNREACH RTN_UNREACHABLE, ENETUNREACH RTN_UNSPEC.
  // For RTN_LOCAL the kernel reports the loopback interface. prefix, table and neighbour are not filled.
  [[nodiscard]] Resolved kernel_route(const IpAddress& destination, const ResolveKey& key = {});

  // Resyncs after overflows, without the first dump.
  [[nodiscard]] std::uint64_t resyncs() const { return resyncs_; }

 private:
  void open_monitor();
  void dump_all();
  void dump(std::uint16_t type, std::uint8_t family);
  void drain(Clock::time_point until);
  void discard_pending();
  [[nodiscard]] bool stale() const { return overrun_ || state_.unsure(); }

  struct Closer {
    void operator()(mnl_socket* socket) const { mnl_socket_close(socket); }
  };

  MirrorOptions options_;
  std::unique_ptr<mnl_socket, Closer> monitor_;
  NetlinkSocket requests_;
  std::vector<char> buffer_;
  bool overrun_ = false;  // notifications were lost: dump again
  std::uint64_t resyncs_ = 0;
  ChangeLog changes_;
  KernelState state_;
  RouteLookup lookup_;
};

}  // namespace wg::control
