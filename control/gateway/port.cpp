#include "control/gateway/port.h"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <stdexcept>
#include <utility>

#include "config/settings.h"
#include "control/convert.h"
#include "control/ignore.h"
#include "control/kernel/sysctl.h"
#include "control/surely.h"
#include "control/view.h"
#include "dataplane/io/link_speed.h"

namespace wg::control {

namespace {

// So long after an interface was made udev may still be busy with it, on a machine that boots. It writes down
// what it knows of one when it has done with it.
constexpr auto kNew = std::chrono::minutes(1);
constexpr auto kJustNow = std::chrono::seconds(2);

bool udev_may_be_busy_with(std::uint32_t ifindex) {
  std::error_code error;
  if (!std::filesystem::exists("/run/udev/control", error)) return false;
  const auto written = std::filesystem::last_write_time("/run/udev/data/n" + std::to_string(ifindex), error);
  return error || std::filesystem::file_time_type::clock::now() - written < kJustNow;
}

bool contains(const std::vector<config::PortGateway>& list, const config::PortGateway& gateway) {
  return std::find(list.begin(), list.end(), gateway) != list.end();
}

}  // namespace

GatewayPort::GatewayPort(Services& services, MachineState& machine, std::string name,
                         const config::Port& value)
    : services_(services),
      machine_(machine),
      name_(std::move(name)),
      value_(value),
      addresses_(services.netlink) {
  if (services_.netlink.find_link(name_)) {
    throw std::runtime_error("port " + name_ +
                             ": a network interface of that name exists already; a port's name must " +
                             "be free, Linux's counterpart of the port gets it");
  }
  try {
    prepare_wire();
    open_device();
    create_tap();
    configure_linux();
  } catch (...) {
    if (published_) services_.publisher.remove_port(index_);
    if (port_ != nullptr) services_.dataplane.remove_port(port_, services_.drops);
    machine_.put_back_link(wire_ifindex_);
    throw;
  }
}

GatewayPort::~GatewayPort() {
  services_.publisher.remove_port(index_);
  surely([this] { services_.publisher.flush(); });
  surely([this] { services_.dataplane.remove_port(port_, services_.drops); });
  surely([this] { services_.dataplane.quiescence().retire([tap = tap_.get()] { delete tap; }); });
  static_cast<void>(tap_.release());  // its worker's, until it has let go of it
  surely([this] { machine_.put_back_link(wire_ifindex_); });
}

bool GatewayPort::whole() const {
  // The mirror may not have read of the netdev's creation yet, so the kernel itself is asked.
  const auto there = [&](std::uint32_t ifindex) {
    return services_.mirror.link(ifindex) != nullptr || services_.netlink.find_link(ifindex).has_value();
  };
  return !port_->is_gone() && there(ifindex_) && there(tap_->ifindex()) &&
         (wire_ifindex_ == 0 || there(wire_ifindex_));
}

bool GatewayPort::link_up() const {
  if (!whole() || !port_->link_up()) return false;
  const Link* wire = wire_ifindex_ == 0 ? nullptr : services_.mirror.link(wire_ifindex_);
  return wire == nullptr || (wire->up && wire->carrier);
}

std::uint32_t GatewayPort::speed_mbps() const {
  if (port_->speed_mbps() != 0) return port_->speed_mbps();
  const Link* wire = wire_ifindex_ == 0 ? nullptr : services_.mirror.link(wire_ifindex_);
  return wire == nullptr || !link_up() ? 0 : dataplane::link_speed(wire->name);
}

// Linux's protocols choose by it: the cost of a route in OSPF, the active link of a bond.
void GatewayPort::follow_speed() {
  const std::uint32_t speed = speed_mbps();
  if (std::exchange(speed_, speed) != speed)
    ignore(dataplane::set_link_speed(tap_->name(), speed), "Linux before 4.20 knows no speed of a TAP");
}

bool GatewayPort::follow_carrier() {
  const bool present = link_up();
  if (present == carrier_ || !tap_->set_carrier(present)) return false;
  carrier_ = present;
  return true;
}

std::uint16_t GatewayPort::mtu_in_force() const {
  const Link* wire = wire_ifindex_ == 0 ? nullptr : services_.mirror.link(wire_ifindex_);
  if (wire == nullptr) return value_.mtu;
  return static_cast<std::uint16_t>(std::min<std::uint32_t>(value_.mtu, wire->mtu));
}

Expected<> GatewayPort::follow_wire_mtu() {
  const std::uint16_t mtu = mtu_in_force();
  if (mtu == applied_mtu_) return {};
  applied_mtu_ = mtu;
  return services_.netlink.set_mtu(ifindex_, mtu);
}

void GatewayPort::listen(const LinkFilters& filters) {
  const Link* tap = services_.mirror.link(tap_->ifindex());
  if (tap == nullptr || !port_->is_card()) return;
  dataplane::WantedFrames wanted;
  wanted.mac = tap->mac.value_or(port_->facts().mac);
  wanted.other_addresses = tap->promiscuity != 0 || filters.unicast.contains(tap->ifindex);
  wanted.all_groups = tap->all_multicast;
  if (const auto groups = filters.groups.find(tap->ifindex); groups != filters.groups.end())
    wanted.groups = groups->second;
  for (const auto& [ifindex, link] : services_.mirror.links()) {
    if (link.parent == tap->ifindex && link.vlan_id) wanted.vlans.insert(*link.vlan_id);
  }
  port_->listen(wanted);
}

Expected<bool> GatewayPort::keep_mac() {
  if (mac_was_kept_ || std::chrono::steady_clock::now() - made_at_ > kNew) return false;
  const Link* tap = services_.mirror.link(tap_->ifindex());
  if (tap == nullptr || !tap->mac || *tap->mac == given_mac_) return false;
  // The mirror may still have the address that Linux gave it at first.
  const auto asked = services_.netlink.find_link(tap_->ifindex());
  if (!asked || asked->mac == given_mac_ || !udev_may_be_busy_with(tap_->ifindex())) return false;
  mac_was_kept_ = true;
  if (Expected<> set = services_.netlink.set_mac(tap_->ifindex(), given_mac_); !set)
    return std::move(set).error();
  return true;
}

Expected<> GatewayPort::restart_device() {
  const MacAddress before = port_->facts().mac;
  if (Expected<> started = port_->restart_device(); !started) return started;
  const MacAddress now = port_->facts().mac;
  const Link* tap = services_.mirror.link(tap_->ifindex());
  const bool follows = !value_.mac && tap != nullptr && tap->mac == before;
  if (!follows || now == before) return {};
  given_mac_ = now;
  return services_.netlink.set_mac(tap_->ifindex(), now);
}

std::vector<std::string> GatewayPort::warnings() const {
  std::vector<std::string> out;
  if (!carrier_) out.push_back("port " + name_ + ": no carrier");
  if (const std::uint16_t mtu = mtu_in_force(); mtu < value_.mtu) {
    out.push_back("port " + name_ + ": its wire " + config::wire_of(value_.device) + " has an MTU of " +
                  std::to_string(mtu) + ", which is in force instead of " + std::to_string(value_.mtu));
  }
  if (const std::string address = address_of_wire(); !address.empty())
    out.push_back("port " + name_ + ": its wire " + config::wire_of(value_.device) + " keeps the address " +
                  address + ": Linux sends by the wire and not by the port (ip addr flush dev " +
                  config::wire_of(value_.device) + ")");
  for (const std::string& concern : port_->concerns()) out.push_back("port " + name_ + ": " + concern);
  return out;
}

// Empty: it has none.
std::string GatewayPort::address_of_wire() const {
  if (wire_ifindex_ == 0) return {};
  for (const LocalAddress& address : services_.mirror.addresses(wire_ifindex_))
    if (!is_link_local(address.prefix.address)) return to_string(address.prefix);
  return {};
}

// "net_af_packet0,iface=eth1": eth1 carries our frames and must not take part in them.
void GatewayPort::prepare_wire() {
  const std::string wire = config::wire_of(value_.device);
  if (wire.empty()) return;
  const auto link = services_.netlink.find_link(wire);
  if (!link)
    throw std::runtime_error("port " + name_ + ": no network interface " + wire + " (its device is " +
                             value_.device.text + ")");
  Expected<WireClaim> claim = WireClaim::take(link->ifindex, wire);
  if (!claim) throw std::runtime_error(claim.error().about("port " + name_).text);
  wire_claim_ = *std::move(claim);
  wire_ifindex_ = link->ifindex;
  using Setting = MachineState::LinkSetting;
  const Link* before = services_.mirror.link(wire_ifindex_);
  const std::string without_ipv6 = "net/ipv6/conf/" + wire + "/disable_ipv6";
  const Expected<> set = machine_.set_sysctl(without_ipv6, "1");
  ignore(set, "the kernel may lack IPv6");
  if (set) sysctls_.keep(without_ipv6, "1");
  value_or_throw(machine_.set_link(wire_ifindex_, Setting::kNoArp, 1, before != nullptr && before->noarp));
  if (value_.device.kind == config::DeviceKind::kLinux) {
    // A membership of the packet sockets makes the wire promiscuous. Without `mtu` its own MTU is in force.
    if (value_.where.of("mtu").known()) value_or_throw(raise_wire_mtu(value_.mtu));
  } else {
    value_or_throw(machine_.set_link(wire_ifindex_, Setting::kPromiscuous, 1, 0));
  }
  value_or_throw(machine_.set_link(wire_ifindex_, Setting::kUp, 1, link->up));
}

// A wire of a smaller MTU would refuse the port's full packets.
Expected<> GatewayPort::raise_wire_mtu(std::uint16_t mtu) {
  const auto link = services_.netlink.find_link(wire_ifindex_);
  if (!link || link->mtu >= mtu) return {};
  const Expected<> raised = machine_.set_link(wire_ifindex_, MachineState::LinkSetting::kMtu, mtu, link->mtu);
  if (!raised)
    return Refusal{raised.error().code, "port " + name_ + ": mtu " + std::to_string(mtu) +
                                            " is more than its wire " + link->name + " takes (" +
                                            raised.error().text + ")"};
  return {};
}

void GatewayPort::open_device() {
  dataplane::PortOptions options;
  options.name = name_;
  options.device = value_.device.text;
  options.queues = static_cast<std::uint16_t>(value_.queues.value_or(0));
  options.mtu = value_.mtu;
  options.promiscuous = value_.device.kind != config::DeviceKind::kPci;
  if (value_.device.kind == config::DeviceKind::kTap) {
    options.device = name_.substr(0, 10) + ".wire";
    port_ = services_.dataplane.add_tap_port(options);
    value_or_throw(services_.netlink.set_mtu(port_->tap()->ifindex(), value_.mtu));
  } else if (value_.device.kind == config::DeviceKind::kLinux) {
    options.device = config::wire_of(value_.device);
    port_ = services_.dataplane.add_linux_port(options);
  } else {
    port_ = services_.dataplane.add_port(options);
  }
}

void GatewayPort::create_tap() {
  dataplane::TunOptions options;
  options.name = value_.vlan ? name_.substr(0, 9) + ".trunk" : name_;
  options.queues = services_.dataplane.workers().size();
  // A NIC filters on its own address. A virtual wire is promiscuous and gets an address other than its
  // netdev's.
  dataplane::MacAddress mac =
      value_.device.kind == config::DeviceKind::kPci ? port_->facts().mac : dataplane::stable_mac(name_);
  if (value_.mac) mac = value_.mac->bytes;
  tap_ = std::make_unique<dataplane::TapDevice>(options, mac);
  given_mac_ = mac;
  made_at_ = std::chrono::steady_clock::now();

  dataplane::PortView view;
  view.port = port_;
  view.tap = tap_.get();
  static_cast<dataplane::PortSettings&>(view) = view_of(value_);
  view.has_own_vlan = value_.vlan.has_value();
  view.mac = mac;
  view.udp_checksum_offload = port_->facts().tx_udp_checksum && port_->facts().tx_ipv4_checksum;
  index_ = services_.publisher.add_port(view, tap_->ifindex());
  published_ = true;
}

void GatewayPort::configure_linux() {
  ifindex_ = tap_->ifindex();
  applied_mtu_ = mtu_in_force();
  value_or_throw(services_.netlink.set_mtu(ifindex_, applied_mtu_));
  sysctls_.set_v6(tap_->name(), "accept_dad", "0");
  value_or_throw(services_.netlink.set_up(ifindex_, true));
  if (value_.vlan) {
    value_or_throw(services_.netlink.add_vlan(tap_->ifindex(), name_, *value_.vlan));
    const auto link = services_.netlink.find_link(name_);
    if (!link) throw std::runtime_error("port " + name_ + ": its VLAN device did not appear");
    ifindex_ = link->ifindex;
    sysctls_.set_v6(name_, "accept_dad", "0");
    value_or_throw(services_.netlink.set_up(ifindex_, true));
  }
  ignore(control::set_forwarding(name_, IpVersion::kV4, Switch::kOn),
         "/proc/sys may be read-only and already set");
  sysctls_.set_v4(name_, "rp_filter", "0");
  // An address stays when one of the same subnet that was there before it is removed.
  sysctls_.set_v4(name_, "promote_secondaries", "1");
  // Otherwise Linux removes IPv6 addresses when the link goes down.
  sysctls_.set_v6(name_, "keep_addr_on_down", "1");
  const std::vector<config::InterfaceAddress> addresses = value_.addresses;
  for (const config::InterfaceAddress& address : addresses) value_or_throw(add_address(address));
  const std::vector<config::PortGateway> gateways = std::exchange(value_.gateways, {});
  value_or_throw(set_gateways(gateways));
}

// A gateway without a carrier is none: the default route with the next metric takes over. On other ports what
// is meant for their hosts must not leave by a default route instead.
void GatewayPort::give_way_without_carrier(bool on) {
  sysctls_.set_v4(name_, "ignore_routes_with_linkdown", on ? "1" : "0");
  sysctls_.set_v6(name_, "ignore_routes_with_linkdown", on ? "1" : "0");
}

RouteSpec GatewayPort::route_of(const config::PortGateway& gateway) const {
  const IpAddress address = to_dataplane(gateway.address);
  IpPrefix everywhere;
  everywhere.address.v6 = address.v6;
  RouteSpec route = RouteSpec::via_gateway(everywhere, address, ifindex_);
  route.metric = gateway.metric;
  // A hoster's gateway outside of every subnet of ours is on the link all the same.
  route.nexthops.front().on_link =
      !is_link_local(address) &&
      std::none_of(value_.addresses.begin(), value_.addresses.end(), [&](const auto& own) {
        return config::contains(config::prefix_of(own.address, own.length), gateway.address);
      });
  return route;
}

// restart_port() recreates the port from value().
Expected<> GatewayPort::add_address(const config::InterfaceAddress& address) {
  Expected<> added = addresses_.add(ifindex_, address);
  value_.addresses = addresses_.all();
  return added;
}

Expected<> GatewayPort::remove_address(const config::InterfaceAddress& address, bool undone) {
  Expected<> removed = addresses_.remove(ifindex_, address, undone);
  value_.addresses = addresses_.all();
  return removed;
}

WantedLink GatewayPort::wanted() const {
  WantedLink wanted{"port " + name_, name_, ifindex_};
  wanted.mtu = applied_mtu_;
  if (value_.mac) wanted.mac = value_.mac->bytes;
  for (const config::InterfaceAddress& own : value_.addresses) wanted.addresses.push_back(to_dataplane(own));
  for (const config::PortGateway& gateway : value_.gateways) wanted.routes.push_back(route_of(gateway));
  wanted.sysctls = sysctls_.all();
  wanted.allow_ipv6();
  wanted.wire = wanted_wire();
  return wanted;
}

std::optional<WantedWire> GatewayPort::wanted_wire() const {
  if (wire_ifindex_ == 0) return std::nullopt;
  const bool is_linux = value_.device.kind == config::DeviceKind::kLinux;
  WantedWire wire{config::wire_of(value_.device), wire_ifindex_, !is_linux, 0};
  if (is_linux && value_.where.of("mtu").known()) wire.least_mtu = value_.mtu;
  return wire;
}

// New ones first, so that a way that only gets another metric is never missing. One of the same metric takes
// the place of the old one, but never that of another program's route: the drift in `show` reports it.
Expected<> GatewayPort::set_gateways(const std::vector<config::PortGateway>& gateways) {
  const std::vector<config::PortGateway> before = std::exchange(value_.gateways, gateways);
  give_way_without_carrier(!gateways.empty());
  Expected<> failure;
  for (const config::PortGateway& gateway : gateways) {
    if (contains(before, gateway)) continue;
    const bool replaces = std::any_of(before.begin(), before.end(), [&](const config::PortGateway& old) {
      return old.metric == gateway.metric && old.address.family == gateway.address.family;
    });
    const RouteVerb verb = replaces ? RouteVerb::kReplace : RouteVerb::kAdd;
    Expected<> result = services_.netlink.change_route(verb, route_of(gateway));
    if (!result && result.error().code != EEXIST && failure) failure = std::move(result);
  }
  for (const config::PortGateway& gateway : before) {
    if (contains(gateways, gateway)) continue;
    RouteSpec gone = route_of(gateway);
    gone.metric = gone.metric_in_force();  // without a metric IPv6 would take the first of any
    ignore(services_.netlink.remove_route(gone), "it may be gone, or replaced");
  }
  return failure;
}

Expected<> GatewayPort::set_mtu(std::uint16_t mtu) {
  if (value_.device.kind == config::DeviceKind::kLinux) {
    if (Expected<> raised = raise_wire_mtu(mtu); !raised) return raised;
  }
  const std::uint16_t before = std::exchange(value_.mtu, mtu);
  Expected<> result = services_.netlink.set_mtu(ifindex_, mtu_in_force());
  if (result && port_->tap() != nullptr) result = services_.netlink.set_mtu(port_->tap()->ifindex(), mtu);
  if (!result) {
    value_.mtu = before;
    return result;
  }
  applied_mtu_ = mtu_in_force();
  publish_settings();
  return result;
}

void GatewayPort::apply(const config::Port& settings) {
  config::copy_settings(settings, value_, config::Change::kLive);
  publish_settings();
}

void GatewayPort::publish_settings() {
  static_cast<dataplane::PortSettings&>(services_.publisher.port(index_)) = view_of(value_);
}

}  // namespace wg::control
