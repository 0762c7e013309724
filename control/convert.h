// Between the configuration's addresses and the dataplane's: the same bytes in each folder's own type.
#pragma once

#include "config/address.h"
#include "control/kernel/netlink_mirror.h"
#include "dataplane/packet/address.h"

namespace wg::control {

inline dataplane::IpAddress to_dataplane(const config::Address& address) {
  dataplane::IpAddress out;
  out.bytes = address.bytes;
  out.v6 = !address.is_v4();
  return out;
}

inline config::Address to_config(const dataplane::IpAddress& address) {
  return {address.v6 ? config::Family::kIpv6 : config::Family::kIpv4, address.bytes};
}

inline IpPrefix to_dataplane(const config::Prefix& prefix) {
  return {to_dataplane(prefix.address), prefix.length};
}
inline IpPrefix to_dataplane(const config::InterfaceAddress& a) {
  return {to_dataplane(a.address), a.length};
}

// With the name of its link, as the kernel's WireGuard shows it.
inline config::Endpoint to_config(const dataplane::Endpoint& endpoint, const NetlinkMirror& mirror) {
  config::Endpoint out;
  if (const Link* link = endpoint.scope == 0 ? nullptr : mirror.link(endpoint.scope)) out.zone = link->name;
  out.host = to_config(endpoint.address);
  out.port = endpoint.port;
  return out;
}

}  // namespace wg::control
