#include "control/interface/netdev.h"

#include "control/ignore.h"
#include "control/interface/stable_index.h"
#include "control/kernel/sysctl.h"

namespace wg::control {

namespace {

std::unique_ptr<dataplane::TunDevice> create_tun(const std::string& name, std::size_t queues,
                                                 const std::string& id) {
  dataplane::TunOptions options;
  options.ifindex = id.empty() ? 0 : free_stable_index(id);
  options.name = name;
  options.queues = queues;
  return std::make_unique<dataplane::TunDevice>(options);
}

}  // namespace

Netdev::Netdev(Services& services, const std::string& name, std::uint16_t mtu,
               const std::vector<config::InterfaceAddress>& addresses, const std::string& id)
    : services_(services),
      tun_(create_tun(name, services.dataplane.workers().size(), id)),
      mtu_(mtu),
      wanted_mtu_(mtu),
      addresses_(services.netlink) {
  value_or_throw(services_.netlink.set_mtu(ifindex(), mtu_));
  set_parameters(name);
  for (const config::InterfaceAddress& address : addresses) value_or_throw(add_address(address));
}

void Netdev::set_parameters(const std::string& name) {
  sysctls_.set_v6(name, "addr_gen_mode", "1");  // no link-local address
  ignore(set_forwarding(name, IpVersion::kV4, Switch::kOn), "/proc/sys may be read-only and already set");
  sysctls_.set_v4(name, "rp_filter", "0");
  // An address stays when one of the same subnet that was there before it is removed.
  sysctls_.set_v4(name, "promote_secondaries", "1");
  // Otherwise Linux removes IPv6 addresses when the link goes down.
  sysctls_.set_v6(name, "keep_addr_on_down", "1");
  // Our own ICMP errors about our own packets (unreachable, too big) arrive by the TUN.
  sysctls_.set_v4(name, "accept_local", "1");
}

Expected<> Netdev::set_up(bool up) {
  return services_.netlink.set_up(ifindex(), up);
}

Expected<> Netdev::set_mtu(std::uint16_t mtu) {
  if (Expected<> set = services_.netlink.set_mtu(ifindex(), mtu); !set) return set;
  wanted_mtu_ = mtu_ = mtu;
  return {};
}

bool Netdev::follow_mtu(std::uint32_t mtu) {
  if (mtu == mtu_ || mtu == 0 || mtu > 65535) return false;
  mtu_ = static_cast<std::uint16_t>(mtu);
  return true;
}

Expected<> Netdev::add_address(const config::InterfaceAddress& address) {
  return addresses_.add(ifindex(), address);
}

Expected<> Netdev::remove_address(const config::InterfaceAddress& address, bool undone) {
  return addresses_.remove(ifindex(), address, undone);
}

}  // namespace wg::control
