#include "control/gateway/port_watch.h"

#include <algorithm>
#include <chrono>
#include <vector>

namespace wg::control {

namespace {

constexpr std::size_t kInterfacesASecond = 8;

}  // namespace

PortWatch::PortWatch(Services& services, const Objects& objects, Logger log)
    : services_(services), objects_(objects), log_(std::move(log)) {}

void PortWatch::follow() {
  keep_macs();
  follow_carriers();
  follow_mtus();
  follow_filters();
  announce_addresses();
}

void PortWatch::every_second() {
  follow_carriers();
  for (const auto& [name, port] : objects_.ports()) port->follow_speed();
  follow_filters();
  follow_ipv6_mtus();
  for (auto& [key, announced] : announced_) {
    if (std::exchange(announced.repeat, false)) announce(key.first, announced.mac, key.second);
  }
}

void PortWatch::follow_carriers() {
  for (const auto& [name, port] : objects_.ports()) {
    if (!port->follow_carrier()) continue;
    const bool present = port->has_carrier();
    if (present) {
      log_->write(log_event::carrier_back, {.port = name}, "port {}: the carrier is back", name);
    } else {
      log_->write(log_event::carrier_lost, {.port = name}, "port {}: the carrier is lost", name);
    }
    if (!services_.has_subscribers()) continue;
    GatewayEvent event;
    event.at = std::chrono::system_clock::now();
    event.kind = present ? GatewayEventKind::kCarrierBack : GatewayEventKind::kCarrierLost;
    event.detail = name;
    services_.emit(std::move(event));
  }
}

void PortWatch::keep_macs() {
  for (const auto& [name, port] : objects_.ports()) {
    const Expected<bool> kept = port->keep_mac();
    if (!kept) {
      log_->write(log_event::put_back_failed, {.port = name}, "port {}: its MAC address: {}", name,
                  kept.error().text);
    } else if (*kept) {
      log_->write(log_event::put_back, {.port = name},
                  "port {}: udev gave the new interface another MAC address: undone", name);
    }
  }
}

void PortWatch::follow_mtus() {
  for (const auto& [name, port] : objects_.ports()) {
    if (const Expected<> followed = port->follow_wire_mtu(); !followed)
      log_->write(log_event::port_mtu_failed, {.port = name}, "port {}: {}", name, followed.error().text);
  }
}

void PortWatch::follow_filters() {
  const auto filters = services_.netlink.link_filters();
  services_.publisher.set_filters(filters.unicast);
  for (const auto& [name, port] : objects_.ports()) port->listen(filters);
}

// All ports, and some interfaces in turn: a look takes a few microseconds.
void PortWatch::follow_ipv6_mtus() {
  for (const auto& [name, port] : objects_.ports()) services_.mirror.follow_ipv6_mtu(port->ifindex());
  std::vector<std::uint32_t> interfaces;
  for (const auto& [name, interface] : objects_.interfaces()) interfaces.push_back(interface->ifindex());
  for (std::size_t i = 0; i < std::min(kInterfacesASecond, interfaces.size()); ++i)
    services_.mirror.follow_ipv6_mtu(interfaces[next_interface_++ % interfaces.size()]);
}

// Every usable address of a port or of a VLAN device on one, when it is new there, when its MAC address is
// another, and when the link comes up.
void PortWatch::announce_addresses() {
  decltype(announced_) present;
  for (const auto& [ifindex, link] : services_.mirror.links()) {
    if (!link.up || !link.carrier || !link.mac || !services_.publisher.port_of(ifindex)) continue;
    for (const LocalAddress& address : services_.mirror.addresses(ifindex)) {
      if (!address.usable()) continue;
      const auto key = std::pair(ifindex, address.prefix.address);
      const auto before = announced_.find(key);
      const bool known = before != announced_.end() && before->second.mac == *link.mac;
      present[key] = known ? before->second : Announced{*link.mac};
      if (!known) announce(ifindex, *link.mac, address.prefix.address);
    }
  }
  announced_ = std::move(present);
}

void PortWatch::announce(std::uint32_t ifindex, const MacAddress& mac, const IpAddress& address) {
  const bool router = services_.mirror.state().switches().forwards(ifindex, true);
  if (const Expected<> sent = announcer_.announce({ifindex, mac, address, router}); !sent)
    log_->write(log_event::announcement_failed, {}, "{}", sent.error().text);
}

}  // namespace wg::control
