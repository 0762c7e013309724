#include "tests/unit/kernel/mirror_oracle.h"

#include <linux/neighbour.h>
#include <poll.h>

#include <algorithm>
#include <chrono>

namespace wg::control {
namespace {

using Clock = std::chrono::steady_clock;

std::string in_words(const Forwarding& forwarding) {
  std::string text = "type " + std::to_string(forwarding.type) + " scope " +
                     std::to_string(forwarding.scope) + " proto " + std::to_string(forwarding.protocol) +
                     " mtu " + std::to_string(forwarding.mtu) + " nhid " +
                     std::to_string(forwarding.nexthop_id);
  if (forwarding.from) text += " from " + to_string(*forwarding.from);
  if (forwarding.kernel_only) text += " kernel only";
  if (forwarding.source) text += " src " + dataplane::to_string(*forwarding.source);
  for (const NextHop& hop : forwarding.nexthops) {
    text += " [dev " + std::to_string(hop.ifindex);
    if (hop.gateway) text += " via " + dataplane::to_string(*hop.gateway);
    text += "]";
  }
  return text;
}

std::string all_routes(const NetlinkMirror& mirror, std::vector<std::string>* lines) {
  mirror.routes().for_each(
      [&](std::uint32_t table, const IpPrefix& prefix, const std::vector<Route>& routes) {
        std::vector<std::string> here;
        for (const Route& route : routes) {
          here.push_back("table " + std::to_string(table) + " " + to_string(prefix) + " metric " +
                         std::to_string(route.metric) + " tos " + std::to_string(route.tos) + " " +
                         in_words(*route.forwarding));
        }
        // The order of IPv6 routes of one metric decides nothing that we show.
        if (prefix.address.v6) std::sort(here.begin(), here.end());
        lines->insert(lines->end(), here.begin(), here.end());
      });
  return {};
}

std::string route_difference(const NetlinkMirror& followed, const NetlinkMirror& fresh) {
  std::vector<std::string> ours, theirs;
  all_routes(followed, &ours);
  all_routes(fresh, &theirs);
  for (std::size_t i = 0; i < std::max(ours.size(), theirs.size()); ++i) {
    const std::string a = i < ours.size() ? ours[i] : "(nothing)";
    const std::string b = i < theirs.size() ? theirs[i] : "(nothing)";
    if (a != b) return "followed: " + a + "\nfresh:    " + b;
  }
  return followed.routes().size() == fresh.routes().size() ? "" : "route count";
}

std::string address_difference(const NetlinkMirror& followed, const NetlinkMirror& fresh) {
  for (const auto& [ifindex, link] : fresh.links()) {
    for (const bool v6 : {false, true}) {
      std::vector<LocalAddress> ours, theirs;
      const auto of_family = [v6](const LocalAddress& a) { return a.prefix.address.v6 == v6; };
      std::copy_if(followed.addresses(ifindex).begin(), followed.addresses(ifindex).end(),
                   std::back_inserter(ours), of_family);
      std::copy_if(fresh.addresses(ifindex).begin(), fresh.addresses(ifindex).end(),
                   std::back_inserter(theirs), of_family);
      if (ours != theirs) return "addresses of " + link.name;
    }
  }
  return {};
}

std::string neighbour_difference(const NetlinkMirror& followed, const NetlinkMirror& fresh) {
  for (const auto& [ifindex, link] : fresh.links()) {
    std::vector<std::string> ours, theirs;
    const auto into = [](std::vector<std::string>* list) {
      return [list](const Neighbour& n) {
        // The kernel does not announce multicast entries (NUD_NOARP), and no lookup uses them.
        if (n.usable() && n.state != NUD_NOARP)
          list->push_back(dataplane::to_string(n.address) + " " + to_string(*n.mac));
      };
    };
    followed.for_each_neighbour(ifindex, into(&ours));
    fresh.for_each_neighbour(ifindex, into(&theirs));
    if (ours != theirs) return "neighbours of " + link.name;
  }
  return {};
}

}  // namespace

std::string difference(const NetlinkMirror& followed, const NetlinkMirror& fresh) {
  if (followed.links() != fresh.links()) return "links";
  for (const bool v6 : {false, true}) {
    if (followed.rules(v6) != fresh.rules(v6)) return "rules";
  }
  for (const auto compare : {address_difference, route_difference, neighbour_difference}) {
    if (auto text = compare(followed, fresh); !text.empty()) return text;
  }
  return {};
}

std::string follow_until_fresh(NetlinkMirror& mirror, Pace pace) {
  std::string last;
  const auto is_fresh = [&] {
    last = difference(mirror, NetlinkMirror());
    return last.empty();
  };
  follow_until(mirror, is_fresh, pace);
  return last;
}

bool follow_until(NetlinkMirror& mirror, const std::function<bool()>& done, Pace pace) {
  const auto end = Clock::now() + std::chrono::seconds(2);
  while (true) {
    while (true) {
      pollfd readable{mirror.fd(), POLLIN, 0};
      if (poll(&readable, 1, 0) != 1) break;
      mirror.process(pace == Pace::kLeast ? Clock::time_point{} : Clock::time_point::max());
    }
    if (done()) return true;
    if (Clock::now() > end) return false;
    pollfd readable{mirror.fd(), POLLIN, 0};
    poll(&readable, 1, 20);
  }
}

std::string in_words(const Resolved& r) {
  return "type " + std::to_string(r.type) + " dev " + std::to_string(r.ifindex) + " via " +
         (r.gateway ? dataplane::to_string(*r.gateway) : "-") + " src " + dataplane::to_string(r.source) +
         " mtu " + std::to_string(r.mtu) + " prefix " + to_string(r.prefix) + " table " +
         std::to_string(r.table);
}

std::string disagreement(NetlinkMirror& mirror, const IpAddress& destination, const ResolveKey& key) {
  const Resolved ours = mirror.resolve(destination, key);
  const Resolved kernel = mirror.kernel_route(destination, key);
  bool same = ours.type == kernel.type;
  if (same && ours.type == RTN_UNICAST) {
    same = ours.mtu == kernel.mtu && ours.source == kernel.source;
    const auto* routes = mirror.routes().find(ours.table, ours.prefix);
    bool among = ours.ifindex == kernel.ifindex && ours.gateway == kernel.gateway;
    for (const Route& route : routes ? *routes : std::vector<Route>{}) {
      const auto& hops = route.forwarding->nexthops;
      if (hops.size() < 2) continue;
      among |= std::find(hops.begin(), hops.end(), NextHop{kernel.ifindex, kernel.gateway}) != hops.end();
      same = among;  // another nexthop may have another source and MTU
    }
    same = same && among;
  }
  if (same) return {};
  return dataplane::to_string(destination) + "\nmirror: " + in_words(ours) + "\nkernel: " + in_words(kernel);
}

}  // namespace wg::control
