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

void set_parameters(const std::string& name) {
  ignore(set_addr_gen_mode(name, 1), "the kernel may lack IPv6");
  ignore(set_forwarding(name, IpVersion::kV4, Switch::kOn), "/proc/sys may be read-only and already set");
  ignore(set_rp_filter(name, 0), "/proc/sys may be read-only and already set");
  ignore(control::set_promote_secondaries(name, Switch::kOn), "/proc/sys may be read-only and already set");
  // Otherwise Linux removes IPv6 addresses when the link goes down.
  ignore(write_sysctl("net/ipv6/conf/" + name + "/keep_addr_on_down", "1"), "the kernel may lack IPv6");
  // Our own ICMP errors about our own packets (unreachable, too big) arrive by the TUN.
  ignore(write_sysctl("net/ipv4/conf/" + name + "/accept_local", "1"),
         "/proc/sys may be read-only and already set");
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
