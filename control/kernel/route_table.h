// The kernel's routes as mirrored: every table, both families, in the order in which the kernel would
// choose among the routes of one prefix. A plain ordered map: the control plane's copy, not the workers'.
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
  ForwardingRef forwarding;  // shared by the routes that forward alike

  friend bool operator==(const Route& a, const Route& b) {
    if (a.metric != b.metric || a.tos != b.tos) return false;
    return a.forwarding == b.forwarding || *a.forwarding == *b.forwarding;
  }
};

class RouteTable {
 public:
  using ForwardingTest = std::function<bool(const Forwarding&)>;
  using ChangeSink = std::function<void(std::uint32_t table, const IpPrefix&)>;

  // What a message said, by the kernel's rules for its `flags` (NLM_F_REPLACE, NLM_F_APPEND; a dump
  // appends). kUnchanged: known already. kUnsure: IPv6 replaced one of several equals and did not say
  // which; only a fresh dump tells.
  enum class Outcome : std::uint8_t { kUnchanged, kChanged, kUnsure };
  Outcome add(const ParsedRoute& route, std::uint16_t flags);
  Outcome remove(const ParsedRoute& route);

  // Routes of a prefix in order of preference; nullptr when there is none.
  [[nodiscard]] const std::vector<Route>* find(std::uint32_t table, const IpPrefix& prefix) const;
  // The longest prefix with a route that `accept` takes; a refused route gives way to the next one of its
  // prefix, then to shorter prefixes. route == nullptr: none.
  struct Match {
    IpPrefix prefix;
    const Route* route = nullptr;
  };
  [[nodiscard]] Match longest_match(std::uint32_t table, const IpAddress& address,
                                    const std::function<bool(const Route&)>& accept) const;

  // In the order of table, family, prefix.
  using Visitor = std::function<void(std::uint32_t table, const IpPrefix&, const std::vector<Route>&)>;
  void for_each(const Visitor& visit) const;
  // The prefixes with a route that `test` takes. The distinct forwardings are tested first; only when one
  // is taken the routes are walked (about 0.1 us each). So for the two below.
  void visit_if(const ForwardingTest& test, const ChangeSink& sink) const;
  // Removes those routes, of one table and family or of all.
  struct Only {
    std::optional<std::uint32_t> table = std::nullopt;
    std::optional<bool> v6 = std::nullopt;
  };
  void remove_if(const ForwardingTest& test, const Only& only, const ChangeSink& sink);
  // Replaces the forwarding of those of one family by what `change` makes of it.
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
  using Picked = std::unordered_set<ForwardingRef>;  // by pointer; keeps them from being swept

  ForwardingRef share(const Forwarding& forwarding);
  void sweep_forwardings();
  [[nodiscard]] Picked pick(const ForwardingTest& test) const;
  Outcome add_v4(std::vector<Route>& routes, Route route, std::uint16_t flags);
  Outcome add_v6(std::vector<Route>& routes, Route route, std::uint16_t flags);
  Outcome remove_v6_nexthops(std::vector<Route>& routes, const ParsedRoute& gone);
  Prefixes::iterator erase_prefix(FamilyTable& table, Prefixes::iterator at);

  std::map<Key, FamilyTable> tables_;
  std::unordered_set<ForwardingRef, Hash, Equal> forwardings_;
  std::size_t sweep_at_ = 64;
  std::size_t routes_ = 0;
};

}  // namespace wg::control
