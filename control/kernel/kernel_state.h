// A copy of the kernel's routing state: links, addresses, routes of every table, rules, neighbours, nexthop
// objects and forwarding switches, kept up to date message by message.
//
// The kernel does not announce every change (IPv4 routes vanish with their link or preferred source, nexthop
// objects with their link). This class repeats those changes by the kernel's own rules. One message may
// concern every route, so what it does to routes is done in steps.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "control/kernel/address_table.h"
#include "control/kernel/change_log.h"
#include "control/kernel/link_table.h"
#include "control/kernel/neighbour_table.h"
#include "control/kernel/netlink_parse.h"
#include "control/kernel/nexthop_table.h"
#include "control/kernel/route_table.h"
#include "control/kernel/rule_table.h"
#include "control/kernel/switch_table.h"

namespace wg::control {

class KernelState {
 public:
  // W: this class alone. `changes` outlives it.
  explicit KernelState(ChangeLog& changes) : changes_(changes) {}
  KernelState(const KernelState&) = delete;
  KernelState& operator=(const KernelState&) = delete;

  [[nodiscard]] const LinkTable& links() const { return links_; }
  [[nodiscard]] const AddressTable& addresses() const { return addresses_; }
  [[nodiscard]] const NeighbourTable& neighbours() const { return neighbours_; }
  [[nodiscard]] const NexthopTable& nexthops() const { return nexthops_; }
  [[nodiscard]] const RuleTable& rules() const { return rules_; }
  [[nodiscard]] const RouteTable& routes() const { return routes_; }
  [[nodiscard]] const SwitchTable& switches() const { return switches_; }

  // Applies one message and notes its changes. Messages of other types are ignored. The next message is not
  // taken before follow_on() has done all that this one does to routes.
  void take(const nlmsghdr* message);
  // Until this, messages are a dump's: they report state and not changes.
  void end_of_dump() { loading_ = false; }
  [[nodiscard]] bool has_more_to_follow() const { return routes_.has_walks(); }
  void follow_on(std::size_t most) { routes_.walk_on(most, noting_routes()); }
  // Reads net.ipv6.conf.NAME.mtu, which the kernel does not announce.
  void follow_ipv6_mtu(std::uint32_t ifindex);
  // A message was ambiguous, so that only a new dump can show.
  [[nodiscard]] bool unsure() const { return unsure_; }
  // Frees at most about `most` entries of a state that is not used any more. False: what is left is small.
  bool free_some(std::size_t most) { return routes_.free_some(most) || neighbours_.free_some(most); }

 private:
  // One function per message type.
  void take_link(const nlmsghdr* message);
  void take_gone_link(const nlmsghdr* message);
  void take_address(const nlmsghdr* message);
  void take_route(const nlmsghdr* message);
  void take_neighbour(const nlmsghdr* message);
  void take_rule(const nlmsghdr* message);
  void take_nexthop(const nlmsghdr* message);
  void take_gone_nexthop(const nlmsghdr* message);
  void take_switches(const nlmsghdr* message);

  // Changes that the kernel makes without a message.
  enum class Loss : std::uint8_t { kDown, kLastAddress, kUnregistered };
  void follow_link(const Link& old, const Link& link);
  void forget_routes_via(std::uint32_t ifindex, Loss loss);
  void forget_nexthops_via(std::uint32_t ifindex);
  void remove_nexthop(std::uint32_t id);
  void forget_source(const LocalAddress& address);
  void follow_ipv4_presence(std::uint32_t ifindex);
  void follow_link_mtu(std::uint32_t ifindex, std::uint32_t old_mtu, std::uint32_t new_mtu);
  void note_routes_with_choice_via(std::uint32_t ifindex, bool carrier_counts);
  void note_nexthop_routes(std::uint32_t id);
  [[nodiscard]] bool leads_via(const Forwarding& forwarding, std::uint32_t ifindex) const;
  void note(const Change& change);
  void walk(RouteTable::Walk walk);
  [[nodiscard]] RouteTable::ChangeSink noting_routes();

  ChangeLog& changes_;
  LinkTable links_;
  AddressTable addresses_;
  NeighbourTable neighbours_;
  NexthopTable nexthops_;
  RuleTable rules_;
  RouteTable routes_;
  SwitchTable switches_;
  bool loading_ = true, unsure_ = false;
};

}  // namespace wg::control
