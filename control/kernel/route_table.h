// The mirrored routes of the kernel: every table, both families, the routes of one prefix in the kernel's
// order of preference. A plain ordered map, because it is the control thread's copy and not the workers'
// table.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <unordered_set>
#include <utility>
#include <vector>

#include "control/kernel/netlink_parse.h"

namespace wg::control {

using ForwardingRef = std::shared_ptr<const Forwarding>;

struct Route {
  std::uint32_t metric = 0;
  std::uint8_t tos = 0;
  ForwardingRef forwarding;  // shared by routes with equal forwarding

  // Only for packets of one TOS or from one source prefix.
  [[nodiscard]] bool is_selective() const { return tos != 0 || forwarding->from; }

  friend bool operator==(const Route& a, const Route& b) {
    if (a.metric != b.metric || a.tos != b.tos) return false;
    return a.forwarding == b.forwarding || *a.forwarding == *b.forwarding;
  }
};

class RouteTable {
 public:
  using ForwardingTest = std::function<bool(const Forwarding&)>;
  using ChangeSink = std::function<void(std::uint32_t table, const IpPrefix&)>;

  // Applies a message by the kernel's rules for its `flags` (NLM_F_REPLACE, NLM_F_APPEND; a dump appends).
  // kUnchanged: the route was known. kUnsure: IPv6 replaced one of several equal routes without naming it, so
  // only a new dump can show.
  enum class Effect : std::uint8_t { kUnchanged, kChanged, kUnsure };
  Effect add(const ParsedRoute& route, std::uint16_t flags);
  Effect remove(const ParsedRoute& route);

  // The routes of a prefix in order of preference; nullptr: none.
  [[nodiscard]] const std::vector<Route>* find(std::uint32_t table, const IpPrefix& prefix) const;
  // Finds the longest prefix with a route that `accept` accepts. After a rejected route the next one of its
  // prefix is tried, then shorter prefixes. route == nullptr: none.
  struct Match {
    IpPrefix prefix;
    const Route* route = nullptr;
  };
  [[nodiscard]] Match longest_match(std::uint32_t table, const IpAddress& address,
                                    const std::function<bool(const Route&)>& accept) const;
  // Whether a route, of any kind, leads to the whole of `prefix`.
  [[nodiscard]] bool covers(std::uint32_t table, const IpPrefix& prefix) const;

  // In the order of table, family, prefix.
  using Visitor = std::function<void(std::uint32_t table, const IpPrefix&, const std::vector<Route>&)>;
  void for_each(const Visitor& visit) const;
  // A walk in steps, while routes come and go: of one table and family, those after `last`, or from the first
  // on. The walk goes on while `visit` returns true. The last prefix visited; nullopt: that was all.
  using SomeVisitor = std::function<bool(const IpPrefix&)>;
  [[nodiscard]] std::optional<IpPrefix> for_some(std::uint32_t table, bool v6,
                                                 const std::optional<IpPrefix>& last,
                                                 const SomeVisitor& visit) const;
  // Visits the prefixes with a route that passes `test`. The distinct forwardings are tested first, and the
  // routes are walked (about 0.1 us each) only when one passes. The two functions below do the same.
  void visit_if(const ForwardingTest& test, const ChangeSink& sink) const;
  // Removes the routes that pass, from one table and family or from all.
  struct Only {
    std::optional<std::uint32_t> table = std::nullopt;
    std::optional<bool> v6 = std::nullopt;
  };
  void remove_if(const ForwardingTest& test, const Only& only, const ChangeSink& sink);
  // Replaces the forwarding of the passing routes of one family by the result of `change`.
  void rewrite_if(bool v6, const ForwardingTest& test, const std::function<void(Forwarding&)>& change,
                  const ChangeSink& sink);

  [[nodiscard]] std::size_t size() const { return routes_; }
  void clear();

 private:
  using Prefixes = std::map<IpPrefix, std::vector<Route>>;
  struct FamilyTable {
    Prefixes prefixes;
    std::array<std::uint32_t, 129> per_length{};  // prefixes of each length, to skip the empty ones
  };
  using Key = std::pair<std::uint32_t, bool>;  // table id, IPv6
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(const Forwarding& forwarding) const;
    std::size_t operator()(const ForwardingRef& forwarding) const { return (*this)(*forwarding); }
  };
  struct Equal {
    using is_transparent = void;
    bool operator()(const ForwardingRef& a, const ForwardingRef& b) const { return *a == *b; }
    bool operator()(const Forwarding& a, const ForwardingRef& b) const { return a == *b; }
    bool operator()(const ForwardingRef& a, const Forwarding& b) const { return *a == b; }
  };
  using Picked = std::unordered_set<ForwardingRef>;  // by pointer; holding them prevents their sweep

  ForwardingRef share(const Forwarding& forwarding);
  void sweep_forwardings();
  [[nodiscard]] Picked pick(const ForwardingTest& test) const;
  Effect add_v4(std::vector<Route>& routes, Route route, std::uint16_t flags);
  Effect add_v6(std::vector<Route>& routes, Route route, std::uint16_t flags);
  Effect remove_v6_nexthops(std::vector<Route>& routes, const ParsedRoute& gone);
  Prefixes::iterator erase_prefix(FamilyTable& table, Prefixes::iterator at);

  std::map<Key, FamilyTable> tables_;
  std::unordered_set<ForwardingRef, Hash, Equal> forwardings_;
  std::size_t sweep_at_ = 64;
  std::size_t routes_ = 0;
};

}  // namespace wg::control
