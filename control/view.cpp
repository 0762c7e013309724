#include "control/view.h"

namespace wg::control {

namespace {

constexpr int kTcpIpHeaders = 40;  // IPv4 20, TCP 20, both without options

std::uint16_t largest_segment(const config::MssClamp& clamp, std::uint16_t mtu) {
  switch (clamp.mode) {
    case config::MssClamp::Mode::kOff:
      return 0;
    case config::MssClamp::Mode::kFixed:
      return clamp.value;
    case config::MssClamp::Mode::kAuto:
      break;
  }
  return static_cast<std::uint16_t>(mtu - kTcpIpHeaders);
}

}  // namespace

dataplane::InterfaceSettings view_of(const config::Interface& value, std::uint16_t mtu) {
  dataplane::InterfaceSettings view;
  view.short_cut = value.forwarding == config::Forwarding::kShortCut;
  view.flows = value.forwarding == config::Forwarding::kFlows;
  view.hairpin = value.hairpin;
  view.copy_dscp = value.dscp == config::Dscp::kCopy;
  view.udp_checksum4 = value.udp_checksum4;
  view.mtu = mtu;
  view.mss_clamp = largest_segment(value.mss_clamp, mtu);
  return view;
}

dataplane::PortSettings view_of(const config::Port& value) {
  dataplane::PortSettings view;
  view.short_cut = value.forwarding == config::Forwarding::kShortCut;
  view.flows = value.forwarding == config::Forwarding::kFlows;
  view.port_to_port = view.short_cut && value.port_to_port;
  view.mtu = value.mtu;
  return view;
}

}  // namespace wg::control
