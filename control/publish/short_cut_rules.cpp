#include "control/publish/short_cut_rules.h"

#include <net/if_arp.h>

#include <algorithm>

#include "control/kernel/sysctl.h"

namespace wg::control {

bool ShortCutRules::keeps_its_frames(const Link& link) const {
  if (link.has_xdp || (link.master != 0 && mirror_.state().links().table_of_vrf(link.master) == 0))
    return false;
  return std::none_of(mirror_.links().begin(), mirror_.links().end(), [&](const auto& other) {
    return other.second.parent == link.ifindex && other.second.takes_frames;
  });
}

bool ShortCutRules::has_address(const Link& link, bool v6) const {
  const auto& addresses = mirror_.addresses(link.ifindex);
  return std::any_of(addresses.begin(), addresses.end(),
                     [v6](const LocalAddress& address) { return address.prefix.address.v6 == v6; });
}

std::optional<std::string> ShortCutRules::forwarding_is_off(const Link& link, bool v6) const {
  if (mirror_.state().switches().forwards(link.ifindex, v6)) return std::nullopt;
  return v6 ? "net.ipv6.conf.all.forwarding is 0" : "net.ipv4.conf." + link.name + ".forwarding is 0";
}

std::optional<std::string> ShortCutRules::source_is_checked(const Link& link, bool v6) const {
  const int mode = v6 ? 0 : mirror_.state().switches().rp_filter(link.ifindex);
  if (mode == 0) return std::nullopt;
  return "net.ipv4.conf." + link.name + ".rp_filter or all.rp_filter is " + std::to_string(mode);
}

std::optional<std::string> ShortCutRules::hindrance(const Link& link, bool v6) const {
  if (!link.up) return link.name + " is down";
  if (!keeps_its_frames(link)) return link.name + " belongs to another interface or an XDP program";
  if (auto off = forwarding_is_off(link, v6)) return off;
  if (auto checked = source_is_checked(link, v6)) return checked;
  // A DHCP client on such a link waits for a datagram to an address that is not ours yet. Without an IPv6
  // address Linux takes no IPv6 packet from a link (disable_ipv6).
  if (link.hardware == ARPHRD_ETHER && !has_address(link, v6))
    return link.name + (v6 ? " has no IPv6 address" : " has no IPv4 address");
  if (v6 && link.hardware != ARPHRD_ETHER &&
      read_sysctl("net/ipv6/conf/" + link.name + "/disable_ipv6").value_or("1") != "0")
    return "net.ipv6.conf." + link.name + ".disable_ipv6 is 1";
  return std::nullopt;
}

bool ShortCutRules::destination_decides(bool v6) const {
  return mirror_.state().rules().are_default_for_forwarded(
      v6, [this](const IpAddress& address) { return mirror_.is_local(address); });
}

Resolved ShortCutRules::route_for(const IpPrefix& prefix) const {
  const Resolved local = mirror_.best(RT_TABLE_LOCAL, prefix);
  if (local.type != RTN_UNSPEC || local.unsure) return local;
  Resolved main = mirror_.best(RT_TABLE_MAIN, prefix);
  // The table local comes first. Only while no rule was ever added does IPv4 keep both as one.
  main.unsure |= main.type != RTN_UNSPEC && mirror_.routes().covers(RT_TABLE_LOCAL, prefix);
  return main;
}

}  // namespace wg::control
