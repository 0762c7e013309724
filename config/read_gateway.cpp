// Reads the root of the file, `dpdk` and `ports`.
#include <algorithm>

#include "config/reader.h"

namespace wg::config {
namespace {

constexpr unsigned kMaxLcore = 127;  // RTE_MAX_LCORE of the distribution's DPDK is 128
constexpr std::string_view kWorkersAllowed =
    "a number of workers (1 to 127) or a list of lcores such as [1, 2]";
constexpr std::string_view kDeviceAllowed =
    "a PCI address such as 0000:03:00.0, a Linux interface such as linux:eth1, a DPDK virtual device such as "
    "net_memif0, or tap";

void read_lcores(const Value& value, Workers& workers) {
  std::vector<unsigned> lcores;
  for (const Value& element : value.elements(kWorkersAllowed)) {
    const auto lcore = read_number(element, 0, kMaxLcore, "an lcore from 0 to 127");
    if (!lcore) continue;
    if (std::find(lcores.begin(), lcores.end(), *lcore) != lcores.end())
      element.complain("lcore " + std::to_string(*lcore) + " is named twice; allowed: once");
    else
      lcores.push_back(static_cast<unsigned>(*lcore));
  }
  if (value.node().children == 0)
    value.complain("is an empty list; allowed: " + std::string(kWorkersAllowed));
  workers = {static_cast<unsigned>(lcores.size()), lcores};
}

void read_workers(const Value& value, Dpdk& dpdk) {
  if (value.is_sequence()) return read_lcores(value, dpdk.workers);
  if (const auto count = read_number(value, 1, kMaxLcore, kWorkersAllowed))
    dpdk.workers = {static_cast<unsigned>(*count), {}};
}

void read_eal(const Value& value, Dpdk& dpdk) {
  constexpr std::string_view kAllowed = "a list of EAL arguments such as [\"--log-level=lib.eal:debug\"]";
  for (const Value& element : value.elements(kAllowed)) {
    if (auto argument = read_string(element, "one EAL argument")) dpdk.eal.push_back(*std::move(argument));
  }
}

void read_dpdk(const Value& value, Dpdk& dpdk) {
  static constexpr Field<Dpdk> kFields[] = {
      {"workers", read_workers},
      {"eal", read_eal},
      {"idle",
       [](const Value& v, Dpdk& d) { read_map<Dpdk>(v, {}, "a map with mode and max_sleep", d, "idle"); }},
  };
  dpdk.where.self = value.at();
  if (!value.is_null())
    read_map(value, kFields, "a map with workers, memory, hugepages, eal, spread, idle", dpdk);
}

void read_flows(const Value& value, Flows& flows) {
  flows.where.self = value.at();
  if (!value.is_null()) read_map<Flows>(value, {}, "a map with mark and max", flows);
}

void read_device(const Value& value, Port& port) {
  const auto text = value.scalar(kDeviceAllowed);
  if (!text) return;
  if (auto device = parse_device(*text))
    port.device = std::move(*device);
  else if (text->starts_with(kLinuxDevice))
    value.refuse(*text, "does not name a network interface",
                 "linux: and a name of 1 to 15 characters without / : and spaces");
  else
    value.refuse(*text, "is not a device", kDeviceAllowed);
}

// Linux refuses ::1 for anything but lo, and packets with 127.0.0.0/8 on a wire.
bool is_loopback(const Address& address) {
  constexpr Address kIpv6{Family::kIpv6, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};
  return address.is_v4() ? address.bytes[0] == 127 : address == kIpv6;
}

constexpr std::string_view kGatewayAllowed =
    "an IPv4 or IPv6 address, { address: ADDRESS, metric: NUMBER }, or a list of one of each";

void read_gateway_address(const Value& value, PortGateway& gateway) {
  const auto text = value.scalar(kGatewayAllowed);
  if (!text) return;
  const auto address = parse_address(*text);
  if (!address || !is_unicast(*address) || is_loopback(*address))
    value.refuse(*text, "is not the address of a gateway", kGatewayAllowed);
  else
    gateway.address = *address;
}

void read_gateway_metric(const Value& value, PortGateway& gateway) {
  if (const auto metric = read_number(value, 0, kGreatestMetric, "0 (the kernel's own) to 1999999999"))
    gateway.metric = static_cast<std::uint32_t>(*metric);
}

void read_one_gateway(const Value& value, Port& port) {
  static constexpr Field<PortGateway> kFields[] = {{"address", read_gateway_address, true},
                                                   {"metric", read_gateway_metric}};
  PortGateway gateway;
  if (value.node().kind == NodeKind::kMap) {
    read_map(value, kFields, kGatewayAllowed, gateway);
  } else {
    read_gateway_address(value, gateway);
  }
  if (gateway.address == Address{}) return;  // it was refused
  const auto same = [&](const PortGateway& other) { return other.address.family == gateway.address.family; };
  if (std::any_of(port.gateways.begin(), port.gateways.end(), same))
    return value.refuse(to_string(gateway.address), "is a second gateway of its family", kGatewayAllowed);
  port.gateways.push_back(gateway);
}

void read_gateways(const Value& value, Port& port) {
  if (!value.is_sequence()) return read_one_gateway(value, port);
  for (const Value& element : value.elements({})) read_one_gateway(element, port);
}

void read_queues(const Value& value, Port& port) {
  constexpr std::string_view kAllowed = "auto or 1 to 128";
  if (value.node().text == "auto") return port.queues.reset();
  if (const auto count = read_number(value, 1, 128, kAllowed)) port.queues = static_cast<unsigned>(*count);
}

void read_port_mtu(const Value& value, Port& port) {
  if (const auto mtu = read_number(value, 576, 9600, "576 to 9600"))
    port.mtu = static_cast<std::uint16_t>(*mtu);
}

void read_vlan(const Value& value, Port& port) {
  if (const auto vlan = read_number(value, 1, 4094, "1 to 4094"))
    port.vlan = static_cast<std::uint16_t>(*vlan);
}

void read_mac(const Value& value, Port& port) {
  constexpr std::string_view kAllowed = "a unicast MAC address such as 02:00:00:00:00:01";
  const auto text = value.scalar(kAllowed);
  if (!text) return;
  const auto mac = parse_mac_address(*text);
  if (!mac || (mac->bytes[0] & 1) != 0 || *mac == MacAddress{})
    value.refuse(*text, "is not a unicast MAC address", kAllowed);
  else
    port.mac = mac;
}

void read_port(const Value& value, Port& port) {
  static constexpr Field<Port> kFields[] = {
      {"device", read_device, true},
      {"addresses", [](const Value& v, Port& p) { read_addresses(v, p.addresses, p.where.addresses); }},
      {"gateway", read_gateways},
      {"queues", read_queues},
      {"mtu", read_port_mtu},
      {"vlan", read_vlan},
      {"mac", read_mac},
  };
  read_map(value, kFields, "a map with at least device", port);
}

void read_ports(const Value& value, Gateway& gateway) {
  for (const auto& [name, entry] : named_entries(value, "a map from port name to its keys")) {
    Port& port = gateway.ports[std::string(name)];
    port.where.self = entry.at();
    read_port(entry, port);
  }
}

void read_interfaces(const Value& value, Gateway& gateway) {
  for (const auto& [name, entry] : named_entries(value, "a map from interface name to its keys")) {
    Interface& interface = gateway.interfaces[std::string(name)];
    interface.where.self = entry.at();
    read_interface(entry, interface);
  }
}

}  // namespace

// A refused one keeps its place, as an address that is not used, so that the others keep their numbers.
void read_addresses(const Value& value, std::vector<InterfaceAddress>& out, std::vector<Position>& where) {
  constexpr std::string_view kAllowed = "a list of address/length such as [192.0.2.1/24, \"2001:db8::1/64\"]";
  for (const Value& element : value.elements(kAllowed)) {
    where.push_back(element.at());
    InterfaceAddress& own = out.emplace_back();
    const auto text = element.scalar("address/length");
    if (!text) continue;
    const auto address = parse_interface_address(*text);
    if (!address) {
      element.refuse(*text,
                     text->find('/') == std::string_view::npos ? "has no prefix length" : "is not an address",
                     "address/length such as 192.0.2.1/24 or 2001:db8::1/64");
    } else if (!is_unicast(address->address) || is_loopback(address->address)) {
      element.refuse(*text, "is not the address of a host", "a unicast address");
    } else if (std::find(out.begin(), out.end(), *address) != out.end()) {
      element.refuse(*text, "is given twice", "once");
    } else {
      own = *address;
    }
  }
}

void read_gateway(const Value& root, Gateway& gateway) {
  static constexpr Field<Gateway> kFields[] = {
      {"dpdk", [](const Value& v, Gateway& g) { read_dpdk(v, g.dpdk); }},
      {"ports", read_ports},
      {"interfaces", read_interfaces},
      {"flows", [](const Value& v, Gateway& g) { read_flows(v, g.flows); }},
      {"control", [](const Value& v, Gateway& g) { read_control(v, g.control); }},
  };
  read_map(root, kFields, "a map with dpdk, ports, interfaces, flows, control", gateway);
}

}  // namespace wg::config
