// The mirrored routes of the kernel: every table, both families, the routes of one prefix in the kernel's
// order of preference. A plain ordered map, because it is the control thread's copy and not the workers'
// table.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
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
  RouteTable() = default;
  RouteTable(const RouteTable&) = delete;
  RouteTable& operator=(const RouteTable&) = delete;

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
  // Visits the prefixes with a route that passes `test`, all in one go. The distinct forwardings are tested
  // first, and the routes are walked (about 0.1 us each) only when one passes.
  void visit_if(const ForwardingTest& test, const ChangeSink& sink) const;

  // ---- what one change of a link, an address or a nexthop object does to many routes
  // A walk over all routes, in steps. The distinct forwardings are tested when it begins.
  struct Walk {
    enum class Task : std::uint8_t { kReport, kRemove, kRewrite };
    Task task = Task::kReport;
    ForwardingTest test;
    // One table and family, or all.
    std::optional<std::uint32_t> table = std::nullopt;
    std::optional<bool> v6 = std::nullopt;
    std::function<void(Forwarding&)> change = {};  // kRewrite: what becomes of a forwarding that passes
  };
  // Walks are carried out in the order in which they were added. No route may be added or removed before the
  // last of them is over.
  void add_walk(Walk walk) { walks_.push_back(std::move(walk)); }
  [[nodiscard]] bool has_walks() const { return !walks_.empty(); }
  // Goes on for at most `most` forwardings or prefixes. `sink` learns the prefixes with a route that passed.
  void walk_on(std::size_t most, const ChangeSink& sink);

  [[nodiscard]] std::size_t size() const { return routes_; }
  // Distinct ones. Some that have lost their last route are among them, no more than there are others and a
  // few.
  [[nodiscard]] std::size_t forwardings() const { return forwardings_.size(); }
  // Frees at most about `most` routes and forwardings of a table that is not used any more. False: none is
  // left.
  bool free_some(std::size_t most);

 private:
  using Prefixes = std::map<IpPrefix, std::vector<Route>>;
  struct FamilyTable {
    Prefixes prefixes;
    std::array<std::uint32_t, 129> per_length{};  // prefixes of each length, to skip the empty ones
  };
  using Key = std::pair<std::uint32_t, bool>;  // table id, IPv6
  // A forwarding as this table holds it.
  struct Held : Forwarding {
    explicit Held(const Forwarding& forwarding) : Forwarding(forwarding) {}
    std::uint64_t picked_by = 0;  // the number of the last walk whose test it passed
  };
  // The keys are hashes. A tree, because a hash table grows for all of its entries at once.
  using Forwardings = std::multimap<std::uint64_t, std::shared_ptr<Held>>;
  // How far the first of `walks_` has come.
  struct Progress {
    bool begun = false, picked_all = false, picked_any = false;
    Forwardings::iterator next_forwarding;  // to test
    std::map<Key, FamilyTable>::iterator table;
    std::optional<IpPrefix> last;  // visited in that table
  };

  ForwardingRef share(const Forwarding& forwarding);
  void sweep_some();
  void begin_walk();
  std::size_t pick_some(std::size_t most);
  std::size_t visit_some(std::size_t most, const ChangeSink& sink);
  void end_walk();
  [[nodiscard]] bool is_picked(const Route& route) const;
  bool carry_out(const Walk& walk, std::vector<Route>& routes);
  Effect add_v4(std::vector<Route>& routes, Route route, std::uint16_t flags);
  Effect add_v6(std::vector<Route>& routes, Route route, std::uint16_t flags);
  Effect remove_v6_nexthops(std::vector<Route>& routes, const ParsedRoute& gone);
  Prefixes::iterator erase_prefix(FamilyTable& table, Prefixes::iterator at);

  std::map<Key, FamilyTable> tables_;
  Forwardings forwardings_;
  Forwardings::iterator next_swept_ = forwardings_.end();
  std::size_t routes_ = 0;
  std::deque<Walk> walks_;
  Progress progress_;
  std::uint64_t walk_number_ = 0;
};

}  // namespace wg::control
