#include "dataplane/stage/icmp.h"

#include <rte_mbuf.h>

#include <algorithm>
#include <chrono>
#include <cstring>

#include "dataplane/packet/address_class.h"
#include "dataplane/packet/build.h"

namespace wg::dataplane {

namespace {

constexpr std::size_t kQuoteV4 = 576 - kIpv4HeaderSize - sizeof(IcmpHeader);   // RFC 1812 4.3.2.3
constexpr std::size_t kQuoteV6 = 1280 - kIpv6HeaderSize - sizeof(IcmpHeader);  // RFC 4443 2.4 (c)
constexpr std::uint64_t kIcmpBurst = 50;
constexpr std::chrono::nanoseconds kSecond = std::chrono::seconds(1);
constexpr std::uint8_t kInternetworkControl = 0xc0;  // RFC 1812 4.3.2.5: precedence 6

struct TypeCode {
  std::uint8_t type, code;
};
// Types and codes by family and IcmpError: RFC 792, RFC 4443.
constexpr TypeCode kTypeCodes[2][2] = {
    {{3, 1}, {3, 4}},  // host unreachable, fragmentation needed
    {{1, 3}, {2, 0}},  // address unreachable, packet too big
};

// RFC 1122 3.2.2, RFC 4443 2.4 (e): by the addresses.
bool may_answer_v4(const IpView& ip) {
  return header_at<Ipv4Header>(ip.source - offsetof(Ipv4Header, source))->fragment_offset() == 0 &&
         !is_group_v4(ip.destination) && !is_special_v4(ip.source);
}

bool may_answer_v6(const IpView& ip) {
  return !is_group_v6(ip.destination) && !is_special_v6(ip.source);
}

// Never an error about an error.
bool is_error(const IpView& ip) {
  if (ip.protocol != (ip.v6 ? ip_protocol::kIcmp6 : ip_protocol::kIcmp4)) return false;
  IcmpView icmp;
  return parse_icmp(ip.payload, &icmp) != Parse::kOk || (ip.v6 ? icmp.is_error6() : icmp.is_error4());
}

bool may_answer(const IpView& ip) {
  return (ip.v6 ? may_answer_v6(ip) : may_answer_v4(ip)) && !is_error(ip);
}

// The box's address towards the packet's sender; zero: none known.
const IpAddress& source_of(const Snapshot& view, const PacketOrigin& origin, bool v6) {
  if (origin.from == From::kPort) {
    const PortView& port = view.ports[origin.port()];
    return v6 ? port.icmp_source6 : port.icmp_source4;
  }
  const InterfaceView& interface = view.interfaces[origin.interface()];
  return v6 ? interface.icmp_source6 : interface.icmp_source4;
}

// Message and quote; the IP header lies in front, complete.
void write_icmp(std::uint8_t* l3, bool v6, TypeCode what, std::uint32_t rest, const std::uint8_t* quote,
                std::size_t quoted) {
  const std::size_t ip_length = v6 ? kIpv6HeaderSize : kIpv4HeaderSize;
  const std::size_t length = sizeof(IcmpHeader) + quoted;
  auto* icmp = header_at<IcmpHeader>(l3 + ip_length);
  *icmp = {what.type, what.code, Be16{0}, Be32{rest}};
  std::memcpy(l3 + ip_length + sizeof(IcmpHeader), quote, quoted);
  const ChecksumSum pseudo =
      v6 ? pseudo_header(*header_at<Ipv6Header>(l3), ip_protocol::kIcmp6, static_cast<std::uint16_t>(length))
         : ChecksumSum{0};
  icmp->checksum = checksum_finish(checksum_add(pseudo, l3 + ip_length, length));
}

// Back the way it came: its own Ethernet header, still in front of the IP header, with the addresses swapped.
void prepend_ethernet(rte_mbuf* answer, const std::uint8_t* arrived, std::size_t l2_length,
                      const MacAddress& own) {
  auto* ethernet =
      reinterpret_cast<std::uint8_t*>(rte_pktmbuf_prepend(answer, static_cast<std::uint16_t>(l2_length)));
  std::memcpy(ethernet, arrived, l2_length);
  header_at<EthernetHeader>(ethernet)->destination = header_at<EthernetHeader>(arrived)->source;
  header_at<EthernetHeader>(ethernet)->source = own;
}

}  // namespace

// A token bucket per worker, refilled by time.
bool Icmp::take_token(BootTime now) {
  const std::chrono::nanoseconds per_token = kSecond / std::max(core_.options.icmp_per_second, 1u);
  if (refilled_ == kNever) {
    refilled_ = now;
    tokens_ = kIcmpBurst;
  }
  const std::int64_t earned = (now - refilled_) / per_token;
  refilled_ += earned * per_token;
  tokens_ = std::min(kIcmpBurst, tokens_ + static_cast<std::uint64_t>(earned));
  if (tokens_ == 0) {
    core_.counters.icmp_suppressed.add(1);
    return false;
  }
  --tokens_;
  return true;
}

void Icmp::answer(const BurstContext& at, IcmpError error, const rte_mbuf* packet, std::size_t l3_offset,
                  const PacketOrigin& origin, std::uint16_t mtu) {
  const auto* l3 = rte_pktmbuf_mtod_offset(packet, const std::uint8_t*, l3_offset);
  const std::size_t l2_length = l3_offset != 0 ? l3_offset : origin.l2_length;
  if (origin.from == From::kPort && l2_length == 0) return;  // a fragment: no header to answer by
  IpView ip;
  if (parse_ip({l3, packet->data_len - l3_offset}, &ip) != Parse::kOk || !may_answer(ip)) return;
  if (source_of(*at.view, origin, ip.v6).is_zero() || n_ == kBurst || !take_token(at.now)) return;
  rte_mbuf* answer = write_answer(at, error, ip, l3, origin, mtu);
  if (answer == nullptr) return core_.counters.drop(DropReason::no_mbuf);
  if (core_.watcher.on()) [[unlikely]]
    core_.watcher.made(answer, nullptr);
  if (origin.from == From::kPort)
    prepend_ethernet(answer, l3 - l2_length, l2_length, at.view->ports[origin.port()].mac);
  packet_[n_] = answer;
  origin_[n_++] = origin;
  core_.counters.icmp_sent.add(1);
}

rte_mbuf* Icmp::write_answer(const BurstContext& at, IcmpError error, const IpView& ip,
                             const std::uint8_t* l3, const PacketOrigin& origin, std::uint16_t mtu) {
  rte_mbuf* answer = rte_pktmbuf_alloc(core_.pool);
  if (answer == nullptr) return nullptr;
  const std::size_t headers = (ip.v6 ? kIpv6HeaderSize : kIpv4HeaderSize) + sizeof(IcmpHeader);
  const std::size_t quoted = std::min(
      {ip.total_length, ip.v6 ? kQuoteV6 : kQuoteV4, std::size_t{rte_pktmbuf_tailroom(answer)} - headers});
  const auto length = static_cast<std::uint16_t>(headers + quoted);
  auto* out = reinterpret_cast<std::uint8_t*>(rte_pktmbuf_append(answer, length));
  IpFields fields;
  fields.source = source_of(*at.view, origin, ip.v6);
  fields.destination = ip.v6 ? IpAddress::from_v6(ip.source) : IpAddress::from_v4(ip.source);
  fields.protocol = ip.v6 ? ip_protocol::kIcmp6 : ip_protocol::kIcmp4;
  fields.tos = ip.v6 ? 0 : kInternetworkControl;
  fields.packet_length = length;
  build_ip(out, fields);
  write_icmp(out, ip.v6, kTypeCodes[ip.v6 ? 1 : 0][static_cast<std::size_t>(error)],
             error == IcmpError::kTooBig ? mtu : 0, l3, quoted);
  return answer;
}

bool Icmp::move_into(const BurstContext& at, SendBurst& send, Egress& egress) {
  if (n_ == 0) return false;
  for (std::size_t i = 0; i < n_; ++i) {
    const PacketOrigin& origin = origin_[i];
    switch (origin.from) {
      case From::kPort:
        egress.transmit(at, origin.port(), packet_[i]);
        break;
      case From::kKernel:
        egress.punt_to_tun(at, origin.interface(), packet_[i]);
        break;
      case From::kTunnel:
        send.push(packet_[i], PacketOrigin::at_interface(From::kKernel, origin.interface()));
        break;
    }
  }
  n_ = 0;
  return true;
}

void Icmp::drop_rest() {
  for (std::size_t i = 0; i < n_; ++i) core_.drop(packet_[i], DropReason::too_big);
  n_ = 0;
}

}  // namespace wg::dataplane
