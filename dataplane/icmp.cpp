// ICMP errors to the inside sender: RFC 1812 4.3, RFC 4443. Rate-limited, never about an error, a fragment
// that is not the first, a group address or a source nobody could answer.
#include <rte_mbuf.h>

#include <algorithm>

#include "dataplane/packet/checksum.h"
#include "dataplane/worker.h"

namespace wg::dataplane {

namespace {

constexpr std::size_t kQuoteV4 = 576 - kIpv4HeaderSize - sizeof(IcmpHeader);   // RFC 1812 4.3.2.3
constexpr std::size_t kQuoteV6 = 1280 - kIpv6HeaderSize - sizeof(IcmpHeader);  // RFC 4443 2.4 (c)
constexpr std::uint64_t kIcmpBurst = 50;
constexpr std::uint8_t kReplyTtl = 64;

struct TypeCode {
  std::uint8_t type, code;
};

// RFC 1122 3.2.2, RFC 4443 2.4 (e).
bool may_answer(const IpView& ip) {
  if (ip.fragment && !ip.v6 &&
      header_at<Ipv4Header>(ip.source - offsetof(Ipv4Header, source))->fragment_offset() != 0)
    return false;
  if (ip.v6) {
    if (ip.destination[0] == 0xff || ip.source[0] == 0xff) return false;
    if (std::all_of(ip.source, ip.source + 15, [](std::uint8_t b) { return b == 0; }) && ip.source[15] <= 1)
      return false;
  } else if (ip.destination[0] >= 224 || ip.source[0] >= 224 || ip.source[0] == 0 || ip.source[0] == 127) {
    return false;
  }
  IcmpView icmp;
  if (ip.protocol == ip_protocol::kIcmp4 && !ip.v6)
    return parse_icmp(ip.payload, &icmp) == Parse::kOk && !icmp.is_error4();
  if (ip.protocol == ip_protocol::kIcmp6 && ip.v6)
    return parse_icmp(ip.payload, &icmp) == Parse::kOk && !icmp.is_error6();
  return true;
}

void write_v4(std::uint8_t* out, const IpView& ip, const IpAddress& from, TypeCode what, std::uint32_t rest,
              const std::uint8_t* quote, std::size_t quoted) {
  auto* header = header_at<Ipv4Header>(out);
  *header = {};
  header->version_ihl = 0x45;
  header->tos = 0xc0;  // RFC 1812 4.3.2.5: precedence 6
  header->total_length = Be16{static_cast<std::uint16_t>(kIpv4HeaderSize + sizeof(IcmpHeader) + quoted)};
  header->ttl = kReplyTtl;
  header->protocol = ip_protocol::kIcmp4;
  std::copy_n(from.bytes.begin(), 4, header->source.begin());
  std::copy_n(ip.source, 4, header->destination.begin());
  ipv4_checksum_fill(header);
  auto* icmp = header_at<IcmpHeader>(out + kIpv4HeaderSize);
  *icmp = {what.type, what.code, Be16{0}, Be32{rest}};
  std::memcpy(out + kIpv4HeaderSize + sizeof(IcmpHeader), quote, quoted);
  icmp->checksum = checksum_finish(checksum_add(0, out + kIpv4HeaderSize, sizeof(IcmpHeader) + quoted));
}

void write_v6(std::uint8_t* out, const IpView& ip, const IpAddress& from, TypeCode what, std::uint32_t rest,
              const std::uint8_t* quote, std::size_t quoted) {
  auto* header = header_at<Ipv6Header>(out);
  *header = {};
  header->version_class_flow = Be32{6u << 28};
  const auto length = static_cast<std::uint16_t>(sizeof(IcmpHeader) + quoted);
  header->payload_length = Be16{length};
  header->next_header = ip_protocol::kIcmp6;
  header->hop_limit = kReplyTtl;
  std::copy_n(from.bytes.begin(), 16, header->source.begin());
  std::copy_n(ip.source, 16, header->destination.begin());
  auto* icmp = header_at<IcmpHeader>(out + kIpv6HeaderSize);
  *icmp = {what.type, what.code, Be16{0}, Be32{rest}};
  std::memcpy(out + kIpv6HeaderSize + sizeof(IcmpHeader), quote, quoted);
  icmp->checksum = checksum_finish(
      checksum_add(pseudo_header(*header, ip_protocol::kIcmp6, length), out + kIpv6HeaderSize, length));
}

}  // namespace

// A token bucket per worker, refilled by time.
bool Worker::icmp_allowed(const BurstContext& at) {
  const std::uint64_t per_token = 1'000'000'000u / std::max(options_.icmp_per_second, 1u);
  if (icmp_refilled_ == 0) {
    icmp_refilled_ = at.now;
    icmp_tokens_ = kIcmpBurst;
  }
  const std::uint64_t earned = (at.now - icmp_refilled_) / per_token;
  icmp_refilled_ += earned * per_token;
  icmp_tokens_ = std::min(kIcmpBurst, icmp_tokens_ + earned);
  if (icmp_tokens_ == 0) {
    counters_.icmp_suppressed.add(1);
    return false;
  }
  --icmp_tokens_;
  return true;
}

void Worker::send_icmp(const BurstContext& at, IcmpError error, rte_mbuf* packet, std::size_t l3_offset,
                       const SendOrigin& origin, std::uint16_t mtu) {
  const std::uint8_t* l3 = rte_pktmbuf_mtod_offset(packet, const std::uint8_t*, l3_offset);
  IpView ip;
  if (parse_ip({l3, packet->data_len - l3_offset}, &ip) != Parse::kOk || !may_answer(ip)) return;
  const PortView* port = origin.from == From::port ? &at.view->ports[origin.id] : nullptr;
  const InterfaceView* interface = port == nullptr ? &at.view->interfaces[origin.id] : nullptr;
  const IpAddress& source = port != nullptr ? (ip.v6 ? port->icmp_source6 : port->icmp_source4)
                                            : (ip.v6 ? interface->icmp_source6 : interface->icmp_source4);
  if (source.is_zero() || icmp_answers_.n == kBurst || !icmp_allowed(at)) return;
  rte_mbuf* answer = rte_pktmbuf_alloc(pool_);
  if (answer == nullptr) return counters_.drop(DropReason::no_mbuf);

  const TypeCode what = ip.v6 ? (error == IcmpError::no_route       ? TypeCode{1, 3}
                                 : error == IcmpError::ttl_exceeded ? TypeCode{3, 0}
                                                                    : TypeCode{2, 0})
                              : (error == IcmpError::no_route       ? TypeCode{3, 1}
                                 : error == IcmpError::ttl_exceeded ? TypeCode{11, 0}
                                                                    : TypeCode{3, 4});
  const std::size_t headers = (ip.v6 ? kIpv6HeaderSize : kIpv4HeaderSize) + sizeof(IcmpHeader);
  const std::size_t quoted = std::min(
      {ip.total_length, ip.v6 ? kQuoteV6 : kQuoteV4, std::size_t{rte_pktmbuf_tailroom(answer)} - headers});
  auto* out = reinterpret_cast<std::uint8_t*>(
      rte_pktmbuf_append(answer, static_cast<std::uint16_t>(headers + quoted)));
  const std::uint32_t rest = error == IcmpError::too_big ? mtu : 0;
  (ip.v6 ? write_v6 : write_v4)(out, ip, source, what, rest, l3, quoted);

  if (port != nullptr) {
    // Back the way it came: its own Ethernet header, still in front of the IP header, with the addresses
    // swapped.
    const std::size_t l2 = l3_offset != 0 ? l3_offset : origin.l2_length;
    const std::uint8_t* arrived = l3 - l2;
    auto* ethernet =
        reinterpret_cast<std::uint8_t*>(rte_pktmbuf_prepend(answer, static_cast<std::uint16_t>(l2)));
    std::memcpy(ethernet, arrived, l2);
    header_at<EthernetHeader>(ethernet)->destination = header_at<EthernetHeader>(arrived)->source;
    header_at<EthernetHeader>(ethernet)->source = port->mac;
  }
  icmp_answers_.packet[icmp_answers_.n] = answer;
  icmp_answers_.origin[icmp_answers_.n++] = origin;
  counters_.icmp_sent.add(1);
}

// After the burst that caused them, so that answers never mix with it. An answer causes no further answer.
void Worker::send_icmp_answers(const BurstContext& at) {
  if (icmp_answers_.n == 0 || sending_answers_) return;
  sending_answers_ = true;
  for (std::size_t i = 0; i < icmp_answers_.n; ++i) {
    const SendOrigin& origin = icmp_answers_.origin[i];
    rte_mbuf* packet = icmp_answers_.packet[i];
    switch (origin.from) {
      case From::port:
        transmit(at, origin.id, packet);
        break;
      case From::kernel:
        punt_to_tun(at, origin.id, packet);
        break;
      case From::tunnel:
        queue_send(packet, {From::kernel, origin.id, origin.id, 0});
        break;
    }
  }
  icmp_answers_.n = 0;
  if (send_.n != 0) send_burst(at);
  sending_answers_ = false;
}

}  // namespace wg::dataplane
