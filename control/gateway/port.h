// A port as the daemon holds it: the DPDK device, Linux's counterpart (a TAP of the port's name), addresses.
//
// A port on top of a kernel netdev (linux:NAME, af_packet, af_xdp) uses that netdev as a mere wire: it is
// kept from answering ARP and neighbour discovery, and our TAP has a MAC address of its own, so that the
// kernel sees each frame once, on the TAP. With `vlan`, the TAP is NAME.trunk and Linux's VLAN device on it
// is NAME.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/types.h"
#include "control/gateway/machine_state.h"
#include "control/interface/own_addresses.h"
#include "control/interface/own_sysctls.h"
#include "control/kernel/wanted_link.h"
#include "control/kernel/wire_claim.h"
#include "control/services.h"
#include "dataplane/io/tun.h"

namespace wg::control {

class GatewayPort {
 public:
  // Throws std::runtime_error; nothing is left behind then.
  GatewayPort(Services& services, MachineState& machine, std::string name, const config::Port& value);
  ~GatewayPort();
  GatewayPort(const GatewayPort&) = delete;
  GatewayPort& operator=(const GatewayPort&) = delete;

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] dataplane::Port& port() { return *port_; }
  [[nodiscard]] const config::Port& value() const { return value_; }
  [[nodiscard]] std::uint32_t ifindex() const { return ifindex_; }
  // False once its wire or its Linux interface has been removed: no packet passes any more.
  [[nodiscard]] bool whole() const;
  // Both ends have a link: the device and, where a netdev is the wire, that netdev.
  [[nodiscard]] bool link_up() const;

  // ---- the wire and Linux
  // Shows Linux whether the wire has a carrier. True: that has changed.
  bool follow_carrier();
  [[nodiscard]] bool has_carrier() const { return carrier_; }
  // The device's, or that of the netdev that is the wire; 0: unknown.
  [[nodiscard]] std::uint32_t speed_mbps() const;
  // Shows it to Linux.
  void follow_speed();
  // The smaller of the configured MTU and that of the netdev that is the wire.
  [[nodiscard]] std::uint16_t mtu_in_force() const;
  Expected<> follow_wire_mtu();
  // Has the card pass what Linux listens to on the TAP: unicast and multicast addresses, VLANs.
  void listen(const LinkFilters& filters);
  // udev gave the new TAP another MAC address: its MACAddressPolicy does so when it has read that the address
  // is random just before ours is set. Undoes that once; true: it has.
  Expected<bool> keep_mac();
  // Restarts a card that is paused and no worker's. Its MAC address may be another then; the TAP
  // follows.
  Expected<> restart_device();
  // The wanted state of Linux's counterpart.
  [[nodiscard]] WantedLink wanted() const;
  // Sentences for `show`.
  [[nodiscard]] std::vector<std::string> warnings() const;

  Expected<> add_address(const config::InterfaceAddress& address);
  // `undone`: on the way back from a plan; an address that was there before stays.
  Expected<> remove_address(const config::InterfaceAddress& address, bool undone);
  Expected<> set_gateways(const std::vector<config::PortGateway>& gateways);
  Expected<> set_mtu(std::uint16_t mtu);
  // All live settings at once (config/settings.h); other members of `settings` are ignored.
  void apply(const config::Port& settings);

 private:
  void publish_settings();
  void prepare_wire();
  Expected<> raise_wire_mtu(std::uint16_t mtu);
  void open_device();
  void create_tap();
  void configure_linux();
  [[nodiscard]] std::string address_of_wire() const;
  void give_way_without_carrier(bool on);
  [[nodiscard]] std::optional<WantedWire> wanted_wire() const;
  [[nodiscard]] RouteSpec route_of(const config::PortGateway& gateway) const;

  Services& services_;
  MachineState& machine_;
  std::string name_;
  config::Port value_;
  WireClaim wire_claim_;
  std::uint32_t wire_ifindex_ = 0;   // the netdev under a linux:, af_packet or af_xdp port
  dataplane::Port* port_ = nullptr;  // owned by the dataplane
  std::unique_ptr<dataplane::TapDevice> tap_;
  MacAddress given_mac_{};  // to the TAP
  bool mac_was_kept_ = false;
  std::chrono::steady_clock::time_point made_at_{};
  OwnAddresses addresses_;
  OwnSysctls sysctls_;
  std::uint32_t ifindex_ = 0;  // Linux's netdev with the addresses
  dataplane::PortIndex index_{};
  bool published_ = false;
  bool carrier_ = true;                 // as set in Linux
  std::optional<std::uint32_t> speed_;  // the same; nullopt: not set yet
  std::uint16_t applied_mtu_ = 0;       // what the TAP was given last
};

}  // namespace wg::control
