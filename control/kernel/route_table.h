// The kernel's routes as mirrored: every table, both families, in the order in which the kernel would
// choose among routes of one prefix. A plain ordered map: the control plane's copy, not the workers' one.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "control/kernel/netlink_parse.h"

namespace wg::control {

using ForwardingRef = std::shared_ptr<const Forwarding>;

struct Route {
  std::uint32_t metric = 0;
  std::uint8_t tos = 0;
  ForwardingRef forwarding;  // shared by the routes that forward alike

  friend bool operator==(const Route& a, const Route& b) {
    return a.metric == b.metric && a.tos == b.tos && *a.forwarding == *b.forwarding;
  }
};

class RouteTable {
 public:
  using Prefixes = std::map<IpPrefix, std::vector<Route>>;
  struct Change {
    std::uint32_t table;
    IpPrefix prefix;
  };
  using ChangeSink = std::function<void(std::uint32_t table, const IpPrefix&)>;

  // What a message said, by the kernel's rules for its `flags` (NLM_F_REPLACE, NLM_F_APPEND; a dump
  // appends). kUnchanged: known already. kUnsure: IPv6 replaced one of several equals and did not say
  // which; only a fresh dump tells.
  enum class Outcome : std::uint8_t { kUnchanged, kChanged, kUnsure };
  Outcome add(const ParsedRoute& route, std::uint16_t flags);
  Outcome remove(const ParsedRoute& route);

  // Routes of a prefix in order of preference; nullptr when there is none.
  [[nodiscard]] const std::vector<Route>* find(std::uint32_t table, const IpPrefix& prefix) const;
  // Longest match at which `accept` takes a route; a refused one gives way to shorter prefixes.
  struct Match {
    IpPrefix prefix;
    const Route* route = nullptr;
  };
  [[nodiscard]] Match longest_match(std::uint32_t table, const IpAddress& address,
                                    const std::function<bool(const IpPrefix&, const Route&)>& accept) const;
  void for_each(const std::function<void(std::uint32_t table, const IpPrefix&, const std::vector<Route>&)>&
                    visit) const;
  // Every prefix with a route that `pick` takes; costs a walk of the distinct forwardings first.
  void visit_if(const std::function<bool(const Forwarding&)>& pick, const ChangeSink& sink) const;
  // Removes the routes that `pick` takes, reporting their prefixes.
  void remove_if(const std::function<bool(std::uint32_t table, const IpPrefix&, const Forwarding&)>& pick,
                 const ChangeSink& sink);
  // Rewrites the forwardings that `pick` takes (a preferred source that is gone, for instance).
  void rewrite(const std::function<bool(std::uint32_t table, const IpPrefix&, const Forwarding&)>& pick,
               const std::function<void(Forwarding&)>& change, const ChangeSink& sink);
  [[nodiscard]] bool any_forwarding(const std::function<bool(const Forwarding&)>& pick) const;

  [[nodiscard]] std::size_t size() const { return routes_; }
  void clear();

 private:
  struct FamilyTable {
    Prefixes prefixes;
    std::array<std::uint32_t, 129> per_length{};  // prefixes of each length, to skip the empty ones
  };
  struct ByValue {
    bool operator()(const ForwardingRef& a, const ForwardingRef& b) const;
  };
  using Key = std::pair<std::uint32_t, bool>;  // table id, IPv6

  ForwardingRef share(const Forwarding& forwarding);
  void sweep_forwardings();
  void insert(std::vector<Route>& routes, Route route, bool after_equals);
  Outcome add_v4(std::vector<Route>& routes, Route route, std::uint16_t flags);
  Outcome add_v6(std::vector<Route>& routes, Route route, std::uint16_t flags);
  Outcome remove_v6_nexthops(std::vector<Route>& routes, const Route& gone);
  void erase_prefix(FamilyTable& table, Prefixes::iterator at);

  std::map<Key, FamilyTable> tables_;
  std::set<ForwardingRef, ByValue> forwardings_;
  std::size_t sweep_at_ = 64;
  std::size_t routes_ = 0;
};

}  // namespace wg::control
