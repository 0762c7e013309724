#include "control/kernel/route_table.h"

#include <linux/netlink.h>

#include <algorithm>
#include <string_view>

namespace wg::control {
namespace {

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

}  // namespace

std::size_t RouteTable::Hash::operator()(const Forwarding& f) const {
  std::uint64_t hash =
      mix(f.nexthop_id, std::uint64_t{f.mtu} << 32 | f.type << 16 | f.scope << 8 | f.protocol);
  for (const NextHop& hop : f.nexthops) hash = mix(mix(hash, hop.ifindex), hop.gateway);
  return mix(hash, f.source);
}

ForwardingRef RouteTable::share(const Forwarding& forwarding) {
  if (const auto known = forwardings_.find(forwarding); known != forwardings_.end()) return *known;
  if (forwardings_.size() >= sweep_at_) sweep_forwardings();
  return *forwardings_.insert(std::make_shared<const Forwarding>(forwarding)).first;
}

void RouteTable::sweep_forwardings() {
  std::erase_if(forwardings_, [](const ForwardingRef& forwarding) { return forwarding.use_count() == 1; });
  sweep_at_ = std::max<std::size_t>(64, forwardings_.size() * 2);
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

RouteTable::Picked RouteTable::pick(const ForwardingTest& test) const {
  Picked picked;
  for (const ForwardingRef& forwarding : forwardings_) {
    if (forwarding.use_count() > 1 && test(*forwarding)) picked.insert(forwarding);
  }
  return picked;
}

void RouteTable::visit_if(const ForwardingTest& test, const ChangeSink& sink) const {
  const Picked picked = pick(test);
  if (picked.empty()) return;
  for_each([&](std::uint32_t table, const IpPrefix& prefix, const std::vector<Route>& routes) {
    const auto taken = [&](const Route& route) { return picked.contains(route.forwarding); };
    if (std::any_of(routes.begin(), routes.end(), taken)) sink(table, prefix);
  });
}

void RouteTable::remove_if(const ForwardingTest& test, const Only& only, const ChangeSink& sink) {
  const Picked picked = pick(test);
  if (picked.empty()) return;
  for (auto& [key, table] : tables_) {
    if (only.table.value_or(key.first) != key.first || only.v6.value_or(key.second) != key.second) continue;
    for (auto at = table.prefixes.begin(); at != table.prefixes.end();) {
      const auto gone =
          std::erase_if(at->second, [&](const Route& route) { return picked.contains(route.forwarding); });
      routes_ -= gone;
      if (gone > 0) sink(key.first, at->first);
      at = at->second.empty() ? erase_prefix(table, at) : std::next(at);
    }
  }
}

void RouteTable::rewrite_if(bool v6, const ForwardingTest& test,
                            const std::function<void(Forwarding&)>& change, const ChangeSink& sink) {
  const Picked picked = pick(test);
  if (picked.empty()) return;
  for (auto& [key, table] : tables_) {
    if (key.second != v6) continue;
    for (auto& [prefix, routes] : table.prefixes) {
      for (Route& route : routes) {
        if (!picked.contains(route.forwarding)) continue;
        Forwarding changed = *route.forwarding;
        change(changed);
        route.forwarding = share(changed);
        sink(key.first, prefix);
      }
    }
  }
}

void RouteTable::clear() {
  tables_.clear();
  forwardings_.clear();
  sweep_at_ = 64;
  routes_ = 0;
}

}  // namespace wg::control
