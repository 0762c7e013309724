// A live copy of the kernel's routing state. It follows rtnetlink: the control thread polls fd() and calls
// process(). kernel_state.h holds the state, route_lookup.h answers where packets go, change_log.h lists what
// has changed.
//
// When notifications overflow (ENOBUFS) the mirror dumps everything again, in steps, and reports Resynced.
// Until then its users see the state from before.
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
#include "control/kernel/readiness.h"
#include "control/kernel/route_lookup.h"
#include "control/kernel/state_dump.h"

namespace wg::control {

struct MirrorOptions {
  std::size_t receive_buffer = 16u << 20;  // bytes; when full the kernel drops messages and a resync follows
  // Limits per process() call; epoll reports the rest. A step is a message, or some routes that one concerns.
  std::size_t steps_per_process = 8192;
  // A call ends with so many changes, or some more: what they bring about takes longer than to note them.
  std::size_t changes_per_process = 512;
};

class NetlinkMirror {
 public:
  // Opens the sockets and takes the first full dump. Throws std::system_error.
  explicit NetlinkMirror(const MirrorOptions& options = {});

  [[nodiscard]] int fd() const { return readiness_.fd(); }  // readable: call process()
  // Does what is to be done in steps, until `until` but for one: applies pending messages, all that each does
  // to routes before the next; dumps everything again after an overflow; frees the state from before. Returns
  // true when there are changes to take.
  using Clock = std::chrono::steady_clock;
  bool process(Clock::time_point until = Clock::time_point::max());
  // The kernel has said something that process() has not read, or not done.
  [[nodiscard]] bool has_unread() const;
  // Returns the changes since the last call, in order, without consecutive repeats.
  [[nodiscard]] std::vector<Change> take_changes() { return changes_.take(); }
  // Dumps everything again, in one go, and reports Resynced.
  void resync();
  // Reads what the kernel does not tell of: the MTU for IPv6 packets that leave by the link.
  void follow_ipv6_mtu(std::uint32_t ifindex) { state_->follow_ipv6_mtu(ifindex); }

  // ---- state
  [[nodiscard]] const KernelState& state() const { return *state_; }
  [[nodiscard]] const std::map<std::uint32_t, Link>& links() const { return state_->links().all(); }
  [[nodiscard]] const Link* link(std::uint32_t ifindex) const { return state_->links().find(ifindex); }
  [[nodiscard]] const Link* link(const std::string& name) const { return state_->links().find(name); }
  // In the kernel's order of preference for source addresses.
  [[nodiscard]] const std::vector<LocalAddress>& addresses(std::uint32_t ifindex) const {
    return state_->addresses().of(ifindex);
  }
  [[nodiscard]] bool is_local(const IpAddress& address) const {
    return state_->addresses().is_local(address);
  }
  // The first link that has the address; 0: none.
  [[nodiscard]] std::uint32_t link_of(const IpAddress& address) const {
    return state_->addresses().link_of(address);
  }
  [[nodiscard]] const RouteTable& routes() const { return state_->routes(); }
  [[nodiscard]] const Neighbour* neighbour(std::uint32_t ifindex, const IpAddress& address) const {
    return state_->neighbours().find(ifindex, address);
  }
  // Calls visit(neighbour) for each entry of the link.
  void for_each_neighbour(std::uint32_t ifindex, const std::function<void(const Neighbour&)>& visit) const {
    state_->neighbours().for_each(ifindex, visit);
  }
  [[nodiscard]] const std::vector<RoutingRule>& rules(bool v6) const { return state_->rules().of(v6); }
  [[nodiscard]] bool rules_are_default(bool v6) const { return state_->rules().are_default(v6); }
  [[nodiscard]] std::uint32_t vrf_of_link(std::uint32_t ifindex) const {
    return state_->links().vrf_of_link(ifindex);
  }

  // ---- lookups, see route_lookup.h
  [[nodiscard]] Resolved best(std::uint32_t table, const IpPrefix& prefix) const {
    return lookup().best(table, prefix);
  }
  [[nodiscard]] Resolved resolve(const IpAddress& destination, const ResolveKey& key = {}) const {
    return lookup().resolve(destination, key);
  }
  [[nodiscard]] NeighbourState neighbour_state(std::uint32_t ifindex, const IpAddress& address,
                                               MacAddress* mac) const {
    return lookup().neighbour_state(ifindex, address, mac);
  }

  // The kernel's own answer (RTM_GETROUTE, a system call), as an oracle for tests and checks. Errors become
  // types: EINVAL RTN_BLACKHOLE, EACCES RTN_PROHIBIT, EHOSTUNREACH RTN_UNREACHABLE, ENETUNREACH RTN_UNSPEC.
  // For RTN_LOCAL the kernel reports the loopback interface. prefix, table and neighbour are not filled.
  [[nodiscard]] Resolved kernel_route(const IpAddress& destination, const ResolveKey& key = {});

  // Dumps that have taken the place of the state, without the first one.
  [[nodiscard]] std::uint64_t resyncs() const { return resyncs_; }

 private:
  struct Closer {
    void operator()(mnl_socket* socket) const { mnl_socket_close(socket); }
  };
  using Monitor = std::unique_ptr<mnl_socket, Closer>;

  static Monitor open_monitor(const MirrorOptions& options);
  [[nodiscard]] RouteLookup lookup() const { return RouteLookup(*state_); }
  [[nodiscard]] bool stale() const { return overrun_ || state_->unsure(); }
  [[nodiscard]] bool is_behind() const;
  bool do_some();
  bool read_datagram();
  bool begin_resync();
  bool discard_some();
  bool read_dump();
  void free_some();

  MirrorOptions options_;
  Monitor monitor_;
  Readiness readiness_{mnl_socket_get_fd(monitor_.get())};
  NetlinkSocket requests_;
  std::vector<char> buffer_;        // a datagram of the monitor
  const nlmsghdr* next_ = nullptr;  // message in it
  int left_ = 0;                    // bytes from there
  bool overrun_ = false;            // notifications were lost: dump again
  bool discarding_ = false;         // what is queued, before a dump
  std::uint64_t resyncs_ = 0;
  ChangeLog changes_;
  StateDump dump_;
  std::unique_ptr<KernelState> state_;
  std::unique_ptr<KernelState> old_;  // being freed
};

}  // namespace wg::control
