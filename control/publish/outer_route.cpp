#include "control/publish/outer_route.h"

#include <algorithm>

#include "dataplane/packet/checksum.h"
#include "dataplane/packet/headers.h"

namespace wg::control {

std::uint8_t write_ethernet(std::uint8_t* out, const MacAddress& to, const MacAddress& from,
                            const std::optional<std::uint16_t>& vlan, bool v6) {
  using namespace dataplane;
  auto* ethernet = header_at<EthernetHeader>(out);
  ethernet->destination = to;
  ethernet->source = from;
  const Be16 type{v6 ? ether_type::kIpv6 : ether_type::kIpv4};
  if (!vlan) {
    ethernet->type = type;
    return kEthernetHeaderSize;
  }
  ethernet->type = Be16{ether_type::kVlan};
  auto* tag = header_at<VlanTag>(out + kEthernetHeaderSize);
  tag->control = Be16{*vlan};
  tag->type = type;
  return kEthernetHeaderSize + kVlanTagSize;
}

std::unique_ptr<dataplane::Path> make_path(const OuterRoute& route, const Endpoint& remote,
                                           const Endpoint& local, std::uint8_t tos) {
  using namespace dataplane;
  auto path = std::make_unique<Path>();
  path->remote = remote;
  path->local = local;
  path->mtu = route.mtu;
  if (route.kind == OuterRoute::Kind::kLoop) path->port = kLoopPath;
  if (route.kind != OuterRoute::Kind::kPort) return path;
  const IpAddress& source = local.address.is_zero() ? route.source : local.address;
  if (source.is_zero() || source.v6 != remote.address.v6) return path;  // the kernel will know, or refuse
  path->port = route.port;
  std::uint8_t* out = path->header.data();
  path->l3_offset =
      write_ethernet(out, route.destination_mac, route.source_mac, route.vlan, remote.address.v6);
  std::uint8_t* l3 = out + path->l3_offset;
  std::uint8_t l3_length;
  if (remote.address.v6) {
    auto* ip = header_at<Ipv6Header>(l3);
    *ip = {};
    ip->version_class_flow = Be32{6u << 28};
    ip->set_traffic_class(tos);
    ip->next_header = ip_protocol::kUdp;
    ip->hop_limit = 64;
    std::copy_n(source.bytes.begin(), 16, ip->source.begin());
    std::copy_n(remote.address.bytes.begin(), 16, ip->destination.begin());
    l3_length = kIpv6HeaderSize;
  } else {
    auto* ip = header_at<Ipv4Header>(l3);
    *ip = {};
    ip->version_ihl = 0x45;
    ip->ttl = 64;  // DF stays clear (protocol C5-10)
    ip->protocol = ip_protocol::kUdp;
    std::copy_n(source.bytes.begin(), 4, ip->source.begin());
    std::copy_n(remote.address.bytes.begin(), 4, ip->destination.begin());
    ipv4_checksum_fill(ip);  // with length, id and ECN still zero: the worker adds them
    l3_length = kIpv4HeaderSize;
  }
  auto* udp = header_at<UdpHeader>(l3 + l3_length);
  udp->source_port = Be16{number_of(local.port)};
  udp->destination_port = Be16{number_of(remote.port)};
  path->header_length = static_cast<std::uint8_t>(path->l3_offset + l3_length + kUdpHeaderSize);
  return path;
}

}  // namespace wg::control
