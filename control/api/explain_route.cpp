#include "control/api/explain_route.h"

#include <cstdlib>

namespace wg::control {
namespace {

std::string by_way_of(const RouteFacts& facts) {
  const std::string hop = facts.gateway.empty() ? "on the link" : "by next hop " + facts.gateway;
  return hop + " (route " + facts.prefix + ")";
}

std::string owner_of(const RouteFacts& facts) {
  return "peer " + facts.peer + " of " + facts.peer_interface + " has it in its allowed IPs (" +
         facts.peer_prefix + ")";
}

// "192.0.2.0/24": 24
int length_of(const std::string& prefix) {
  return std::atoi(prefix.c_str() + prefix.find('/') + 1);
}

// The longest prefix is the one that counts: a LAN beside a peer that has 0.0.0.0/0 is meant to be a LAN.
bool is_longer_than_the_peers(const RouteFacts& facts) {
  return length_of(facts.prefix) > length_of(facts.peer_prefix);
}

RouteExplanation without_route(const RouteFacts& facts) {
  RouteExplanation out;
  out.verdict = facts.refusal.empty() ? "there is no route to " + facts.address
                                      : "packets to " + facts.address + " are refused: route " +
                                            facts.prefix + " is " + facts.refusal;
  if (facts.peer.empty()) {
    out.verdict += ".";
    return out;
  }
  out.verdict += ", although " + owner_of(facts) + ".";
  out.advice.emplace_back(
      "`linegate reload` sets the routes of `routes: auto` again; with `routes: off` they are yours");
  return out;
}

RouteExplanation into_tunnel(const RouteFacts& facts) {
  RouteExplanation out;
  if (facts.peer.empty()) {
    out.verdict = "route " + facts.prefix + " leads " + facts.address + " into " + facts.link +
                  ", but no peer has it in its allowed IPs: packets are dropped (no_peer).";
    out.advice.emplace_back("add it to the allowed_ips of a peer, or take the route away");
    return out;
  }
  if (facts.peer_interface != facts.link) {
    out.verdict = "route " + facts.prefix + " leads " + facts.address + " into " + facts.link + ", but " +
                  owner_of(facts) + ": packets are dropped (no_peer).";
    out.advice.emplace_back("let the route lead into " + facts.peer_interface);
    return out;
  }
  out.ok = facts.interface_up && facts.peer_active;
  out.verdict = facts.address + " goes to peer " + facts.peer + " (allowed IP " + facts.peer_prefix +
                ") through " + facts.link;
  if (!facts.interface_up) out.verdict += ", which is down";
  if (facts.interface_up && !facts.peer_active) out.verdict += "; the peer has no session";
  out.verdict += ".";
  if (!out.ok)
    out.advice.emplace_back(facts.interface_up ? "linegate explain peer " + facts.peer
                                               : "linegate interface up " + facts.link);
  return out;
}

}  // namespace

RouteExplanation explain_route(const RouteFacts& facts) {
  RouteExplanation out;
  if (facts.local) {
    out.ok = true;
    out.verdict = facts.address + " is an address of this machine (" + facts.link + ").";
    return out;
  }
  if (!facts.routed) return without_route(facts);
  if (facts.interface) return into_tunnel(facts);
  out.ok = facts.peer.empty();
  out.verdict =
      facts.address + " leaves by " + (facts.port ? "port " : "") + facts.link + " " + by_way_of(facts);
  if (!facts.port) out.verdict += ", which is no port of Linegate: Linux forwards it";
  if (facts.peer.empty()) {
    out.verdict += ".";
    return out;
  }
  if (is_longer_than_the_peers(facts)) {
    out.ok = true;
    out.verdict += "; the route is longer than " + facts.peer_prefix + " of peer " + facts.peer + " (" +
                   facts.peer_interface + "), which has everything else in it.";
    return out;
  }
  out.verdict += ", outside the tunnel and in clear, although " + owner_of(facts) + ".";
  out.advice.emplace_back(
      "`linegate reload` sets the routes of `routes: auto` again; look for a longer or cheaper route: "
      "ip route get " +
      facts.address);
  return out;
}

}  // namespace wg::control
