#include "control/kernel/route_table.h"

#include <linux/netlink.h>

#include <algorithm>
#include <iterator>
#include <set>
#include <string_view>

namespace wg::control {
namespace {

constexpr int kSweptAtOnce = 2;

// The kernel's order within a prefix: TOS descending, then metric ascending. The kernel keeps routes for a
// source prefix apart; here they come before the others.
bool precedes(const Route& a, const Route& b) {
  if (a.forwarding->from != b.forwarding->from) return a.forwarding->from > b.forwarding->from;
  return a.tos != b.tos ? a.tos > b.tos : a.metric < b.metric;
}

bool same_slot(const Route& a, const Route& b) {
  return a.tos == b.tos && a.metric == b.metric && a.forwarding->from == b.forwarding->from;
}

void insert_ordered(std::vector<Route>& routes, Route route, bool after_equals) {
  const auto at = after_equals ? std::upper_bound(routes.begin(), routes.end(), route, precedes)
                               : std::lower_bound(routes.begin(), routes.end(), route, precedes);
  routes.insert(at, std::move(route));
}

bool contains_hop(const Forwarding& forwarding, const NextHop& hop) {
  return std::find(forwarding.nexthops.begin(), forwarding.nexthops.end(), hop) != forwarding.nexthops.end();
}

bool contains_hops(const Forwarding& all, const Forwarding& some) {
  return std::all_of(some.nexthops.begin(), some.nexthops.end(),
                     [&](const NextHop& hop) { return contains_hop(all, hop); });
}

bool rejects(const Forwarding& forwarding) {
  return forwarding.type == RTN_BLACKHOLE || forwarding.type == RTN_UNREACHABLE ||
         forwarding.type == RTN_PROHIBIT || forwarding.type == RTN_THROW;
}

// Messages about one IPv6 multipath route list its nexthops in varying order.
bool hop_precedes(const NextHop& a, const NextHop& b) {
  if (a.ifindex != b.ifindex) return a.ifindex < b.ifindex;
  return compare(a.gateway.value_or(IpAddress{}), b.gateway.value_or(IpAddress{})) < 0;
}

Forwarding canonical(const ParsedRoute& route) {
  Forwarding forwarding = route.forwarding;
  if (route.prefix.address.v6)
    std::sort(forwarding.nexthops.begin(), forwarding.nexthops.end(), hop_precedes);
  return forwarding;
}

std::uint64_t mix(std::uint64_t hash, std::uint64_t value) {
  hash = (hash ^ value) * 0x9e3779b97f4a7c15u;
  return hash ^ (hash >> 29);
}

std::uint64_t mix(std::uint64_t hash, const std::optional<IpAddress>& address) {
  if (!address) return mix(hash, 1u);
  const auto* chars = reinterpret_cast<const char*>(address->bytes.data());
  return mix(hash, std::hash<std::string_view>{}({chars, address->bytes.size()}));
}

std::uint64_t hash_of(const Forwarding& f) {
  std::uint64_t hash =
      mix(f.nexthop_id, std::uint64_t{f.mtu} << 32 | f.type << 16 | f.scope << 8 | f.protocol);
  for (const NextHop& hop : f.nexthops) hash = mix(mix(hash, hop.ifindex), hop.gateway);
  if (f.from) hash = mix(mix(hash, f.from->length), f.from->address);
  return mix(hash, f.source);
}

}  // namespace

ForwardingRef RouteTable::share(const Forwarding& forwarding) {
  const std::uint64_t hash = hash_of(forwarding);
  const auto [first, last] = forwardings_.equal_range(hash);
  const auto known = std::find_if(first, last, [&](const auto& held) { return *held.second == forwarding; });
  if (known != last) return known->second;
  auto held = std::make_shared<Held>(forwarding);
  forwardings_.emplace_hint(last, hash, held);
  sweep_some();
  return held;
}

// Those without a route are forgotten, two looked at for each that comes. So they are never many more than
// the others.
void RouteTable::sweep_some() {
  for (int looked_at = 0; looked_at < kSweptAtOnce; ++looked_at) {
    if (next_swept_ == forwardings_.end()) next_swept_ = forwardings_.begin();
    const bool used = next_swept_->second.use_count() > 1;
    next_swept_ = used ? std::next(next_swept_) : forwardings_.erase(next_swept_);
  }
}

RouteTable::Effect RouteTable::add(const ParsedRoute& parsed, std::uint16_t flags) {
  const IpPrefix prefix = parsed.prefix.network();
  FamilyTable& table = tables_[{parsed.table, prefix.address.v6}];
  const auto [at, is_new] = table.prefixes.try_emplace(prefix);
  if (is_new) ++table.per_length[prefix.length];
  std::vector<Route>& routes = at->second;
  Route route{parsed.metric, parsed.tos, share(canonical(parsed))};
  if (std::find(routes.begin(), routes.end(), route) != routes.end()) return Effect::kUnchanged;
  const std::size_t before = routes.size();
  const bool v6 = prefix.address.v6;
  const auto outcome = v6 ? add_v6(routes, std::move(route), flags) : add_v4(routes, std::move(route), flags);
  routes_ += routes.size() - before;
  return outcome;
}

RouteTable::Effect RouteTable::add_v4(std::vector<Route>& routes, Route route, std::uint16_t flags) {
  if (flags & NLM_F_REPLACE) {
    const auto old =
        std::find_if(routes.begin(), routes.end(), [&](const Route& r) { return same_slot(r, route); });
    if (old != routes.end()) {
      *old = std::move(route);
      return Effect::kChanged;
    }
  }
  insert_ordered(routes, std::move(route), (flags & NLM_F_APPEND) != 0);
  return Effect::kChanged;
}

// Routes of equal metric with gateways form one multipath route, which each message contains as a whole.
// Routes without gateways stay separate (fe80::/64 of every link).
RouteTable::Effect RouteTable::add_v6(std::vector<Route>& routes, Route route, std::uint16_t flags) {
  const auto [first, last] = std::equal_range(routes.begin(), routes.end(), route, precedes);
  if ((flags & NLM_F_REPLACE) && last - first > 1) return Effect::kUnsure;
  // Some kernels combine an unreachable route and a gateway route of one metric; only a dump shows those.
  const bool mixed = std::any_of(
      first, last, [&](const Route& r) { return rejects(*r.forwarding) != rejects(*route.forwarding); });
  if (mixed) {
    routes.insert(last, std::move(route));
    return Effect::kUnsure;
  }
  if ((flags & NLM_F_REPLACE) && first != last) {
    *first = std::move(route);
    return Effect::kChanged;
  }
  const auto grown = std::find_if(first, last, [&](const Route& r) {
    return !r.forwarding->nexthops.empty() && contains_hops(*route.forwarding, *r.forwarding);
  });
  if (grown != last) {
    // The message carries the metrics of the new nexthop, but a dump shows those of the first one.
    Forwarding merged = *grown->forwarding;
    merged.nexthops = route.forwarding->nexthops;
    grown->forwarding = share(merged);
  } else {
    routes.insert(last, std::move(route));
  }
  return Effect::kChanged;
}

RouteTable::Effect RouteTable::remove(const ParsedRoute& parsed) {
  const IpPrefix prefix = parsed.prefix.network();
  const auto table = tables_.find({parsed.table, prefix.address.v6});
  if (table == tables_.end()) return Effect::kUnchanged;
  const auto at = table->second.prefixes.find(prefix);
  if (at == table->second.prefixes.end()) return Effect::kUnchanged;
  std::vector<Route>& routes = at->second;
  const std::size_t before = routes.size();
  const Forwarding gone = canonical(parsed);
  const auto exact = std::find_if(routes.begin(), routes.end(), [&](const Route& r) {
    return r.tos == parsed.tos && r.metric == parsed.metric && *r.forwarding == gone;
  });
  auto outcome = Effect::kChanged;
  if (exact != routes.end()) {
    routes.erase(exact);
  } else {
    outcome = prefix.address.v6 ? remove_v6_nexthops(routes, parsed) : Effect::kUnchanged;
  }
  routes_ -= before - routes.size();
  if (routes.empty()) erase_prefix(table->second, at);
  return outcome;
}

// Removes some nexthops of a multipath route.
RouteTable::Effect RouteTable::remove_v6_nexthops(std::vector<Route>& routes, const ParsedRoute& gone) {
  const auto at = std::find_if(routes.begin(), routes.end(), [&](const Route& r) {
    return r.metric == gone.metric && r.forwarding->type == gone.forwarding.type &&
           r.forwarding->from == gone.forwarding.from && !gone.forwarding.nexthops.empty() &&
           contains_hops(*r.forwarding, gone.forwarding);
  });
  if (at == routes.end()) return Effect::kUnchanged;
  Forwarding left = *at->forwarding;
  std::erase_if(left.nexthops, [&](const NextHop& hop) { return contains_hop(gone.forwarding, hop); });
  if (left.nexthops.empty()) {
    routes.erase(at);
  } else {
    at->forwarding = share(left);
  }
  return Effect::kChanged;
}

RouteTable::Prefixes::iterator RouteTable::erase_prefix(FamilyTable& table, Prefixes::iterator at) {
  --table.per_length[at->first.length];
  return table.prefixes.erase(at);
}

const std::vector<Route>* RouteTable::find(std::uint32_t table, const IpPrefix& prefix) const {
  const auto found = tables_.find({table, prefix.address.v6});
  if (found == tables_.end()) return nullptr;
  const auto at = found->second.prefixes.find(prefix.network());
  return at == found->second.prefixes.end() ? nullptr : &at->second;
}

RouteTable::Match RouteTable::longest_match(std::uint32_t table, const IpAddress& address,
                                            const std::function<bool(const Route&)>& accept) const {
  const auto found = tables_.find({table, address.v6});
  if (found == tables_.end()) return {};
  for (unsigned below = address_bits(address) + 1; below > 0; --below) {
    const unsigned length = below - 1;
    if (found->second.per_length[length] == 0) continue;
    const auto at = found->second.prefixes.find({masked(address, length), static_cast<std::uint8_t>(length)});
    if (at == found->second.prefixes.end()) continue;
    for (const Route& route : at->second) {
      if (accept(route)) return {at->first, &route};
    }
  }
  return {};
}

bool RouteTable::covers(std::uint32_t table, const IpPrefix& prefix) const {
  const auto found = tables_.find({table, prefix.address.v6});
  if (found == tables_.end()) return false;
  for (unsigned length = 0; length <= prefix.length; ++length) {
    if (found->second.per_length[length] == 0) continue;
    if (found->second.prefixes.contains({masked(prefix.address, length), static_cast<std::uint8_t>(length)}))
      return true;
  }
  return false;
}

void RouteTable::for_each(const Visitor& visit) const {
  for (const auto& [key, table] : tables_) {
    for (const auto& [prefix, routes] : table.prefixes) visit(key.first, prefix, routes);
  }
}

std::optional<IpPrefix> RouteTable::for_some(std::uint32_t table, bool v6,
                                             const std::optional<IpPrefix>& last,
                                             const SomeVisitor& visit) const {
  const auto known = tables_.find(Key{table, v6});
  if (known == tables_.end()) return std::nullopt;
  const Prefixes& prefixes = known->second.prefixes;
  for (auto at = last ? prefixes.upper_bound(*last) : prefixes.begin(); at != prefixes.end(); ++at)
    if (!visit(at->first)) return at->first;
  return std::nullopt;
}

void RouteTable::visit_if(const ForwardingTest& test, const ChangeSink& sink) const {
  std::set<const Forwarding*> picked;
  for (const auto& [hash, held] : forwardings_)
    if (held.use_count() > 1 && test(*held)) picked.insert(held.get());
  if (picked.empty()) return;
  for_each([&](std::uint32_t table, const IpPrefix& prefix, const std::vector<Route>& routes) {
    const auto taken = [&](const Route& route) { return picked.contains(route.forwarding.get()); };
    if (std::any_of(routes.begin(), routes.end(), taken)) sink(table, prefix);
  });
}

// ---------------------------------------------------------------- walks

void RouteTable::walk_on(std::size_t most, const ChangeSink& sink) {
  while (most != 0 && has_walks()) {
    if (!progress_.begun) begin_walk();
    most = pick_some(most);
    if (progress_.picked_all) most = visit_some(most, sink);
  }
}

// Only now, because the walk before may have made other forwardings.
void RouteTable::begin_walk() {
  ++walk_number_;
  progress_ = {true, false, false, forwardings_.begin(), tables_.begin(), std::nullopt};
}

void RouteTable::end_walk() {
  walks_.pop_front();
  progress_ = {};
}

// Returns what is left of `most`.
std::size_t RouteTable::pick_some(std::size_t most) {
  auto& at = progress_.next_forwarding;
  for (; !progress_.picked_all && most != 0; --most) {
    progress_.picked_all = at == forwardings_.end();
    if (progress_.picked_all) break;
    const std::shared_ptr<Held>& held = at++->second;
    if (held.use_count() == 1 || !walks_.front().test(*held)) continue;
    held->picked_by = walk_number_;
    progress_.picked_any = true;
  }
  return most;
}

bool RouteTable::is_picked(const Route& route) const {
  return static_cast<const Held&>(*route.forwarding).picked_by == walk_number_;
}

// True: a route passes.
bool RouteTable::carry_out(const Walk& walk, std::vector<Route>& routes) {
  const auto picked = [this](const Route& route) { return is_picked(route); };
  if (std::none_of(routes.begin(), routes.end(), picked)) return false;
  if (walk.task == Walk::Task::kRemove) routes_ -= std::erase_if(routes, picked);
  if (walk.task != Walk::Task::kRewrite) return true;
  for (Route& route : routes) {
    if (!is_picked(route)) continue;
    Forwarding changed = *route.forwarding;
    walk.change(changed);
    route.forwarding = share(changed);
  }
  return true;
}

// Returns what is left of `most`.
std::size_t RouteTable::visit_some(std::size_t most, const ChangeSink& sink) {
  const Walk& walk = walks_.front();
  for (auto& at = progress_.table; at != tables_.end() && progress_.picked_any;
       ++at, progress_.last.reset()) {
    auto& [key, table] = *at;
    if (walk.table.value_or(key.first) != key.first || walk.v6.value_or(key.second) != key.second) continue;
    Prefixes& prefixes = table.prefixes;
    auto next = progress_.last ? prefixes.upper_bound(*progress_.last) : prefixes.begin();
    for (; next != prefixes.end(); --most) {
      if (most == 0) return 0;
      progress_.last = next->first;
      if (carry_out(walk, next->second)) sink(key.first, next->first);
      next = next->second.empty() ? erase_prefix(table, next) : std::next(next);
    }
  }
  end_walk();
  return most == 0 ? 0 : most - 1;
}

// ---------------------------------------------------------------- the end

bool RouteTable::free_some(std::size_t most) {
  walks_.clear();
  for (; most != 0 && !tables_.empty(); --most) {
    Prefixes& prefixes = tables_.begin()->second.prefixes;
    if (prefixes.empty()) {
      tables_.erase(tables_.begin());
    } else {
      prefixes.erase(prefixes.begin());
    }
  }
  for (; most != 0 && !forwardings_.empty(); --most) forwardings_.erase(forwardings_.begin());
  next_swept_ = forwardings_.end();
  return !tables_.empty() || !forwardings_.empty();
}

}  // namespace wg::control
