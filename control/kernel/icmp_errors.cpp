#include "control/kernel/icmp_errors.h"

#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstring>

#include "dataplane/packet/headers.h"

namespace wg::control {

namespace {

using Octets = std::span<const std::uint8_t>;
using Kind = IcmpError::Kind;
using namespace dataplane;

constexpr std::uint8_t kUnreachable4 = 3, kUnreachable6 = 1, kTooBig6 = 2;
constexpr int kIcmpFilter = 1;          // ICMP_FILTER of linux/icmp.h, which conflicts with the C library's
constexpr int kReceiveBuffer = 65536;   // bytes
constexpr std::size_t kLargest = 1500;  // RFC 4443 2.4 (c) ends an error at 1280

Kind kind_of4(std::uint8_t code) {
  switch (code) {
    case 3:
      return Kind::kPortUnreachable;
    case 4:
      return Kind::kTooBig;
    case 9:
    case 10:
    case 13:
      return Kind::kProhibited;
    default:
      return Kind::kUnreachable;
  }
}

Kind kind_of6(std::uint8_t type, std::uint8_t code) {
  if (type == kTooBig6) return Kind::kTooBig;
  switch (code) {
    case 4:
      return Kind::kPortUnreachable;
    case 1:
    case 5:
    case 6:
      return Kind::kProhibited;
    default:
      return Kind::kUnreachable;
  }
}

bool read_ports(Octets udp, IcmpError* out) {
  if (udp.size() < 2 * sizeof(Be16)) return false;
  const auto& header = *header_at<UdpHeader>(udp.data());
  out->local.port = UdpPort{header.source_port.value()};
  out->remote.port = UdpPort{header.destination_port.value()};
  return out->local.port != kAnyPort && out->remote.port != kAnyPort;
}

// The begin of the datagram that the error is about.
bool read_datagram4(Octets ip, IcmpError* out) {
  if (ip.size() < kIpv4HeaderSize) return false;
  const auto& header = *header_at<Ipv4Header>(ip.data());
  if (header.version() != 4 || header.header_length() < kIpv4HeaderSize ||
      ip.size() < header.header_length() || header.protocol != ip_protocol::kUdp ||
      header.fragment_offset() != 0)
    return false;
  out->local.address = IpAddress::from_v4(header.source.data());
  out->remote.address = IpAddress::from_v4(header.destination.data());
  return read_ports(ip.subspan(header.header_length()), out);
}

bool read_datagram6(Octets ip, IcmpError* out) {
  if (ip.size() < kIpv6HeaderSize) return false;
  const auto& header = *header_at<Ipv6Header>(ip.data());
  if (header.version() != 6 || header.next_header != ip_protocol::kUdp) return false;
  out->local.address = IpAddress::from_v6(header.source.data());
  out->remote.address = IpAddress::from_v6(header.destination.data());
  return read_ports(ip.subspan(kIpv6HeaderSize), out);
}

int open_raw(bool v6) {
  const int protocol = v6 ? int{IPPROTO_ICMPV6} : int{IPPROTO_ICMP};
  const int fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
  if (fd < 0) return fd;
  int set;
  if (v6) {
    icmp6_filter filter;
    ICMP6_FILTER_SETBLOCKALL(&filter);
    ICMP6_FILTER_SETPASS(kUnreachable6, &filter);
    ICMP6_FILTER_SETPASS(kTooBig6, &filter);
    set = setsockopt(fd, IPPROTO_ICMPV6, ICMP6_FILTER, &filter, sizeof filter);
  } else {
    const std::uint32_t blocked = ~(1u << kUnreachable4);
    set = setsockopt(fd, SOL_RAW, kIcmpFilter, &blocked, sizeof blocked);
  }
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &kReceiveBuffer, sizeof kReceiveBuffer);
  if (set == 0) return fd;
  ::close(fd);
  return -1;
}

}  // namespace

std::optional<IcmpError> parse_icmp4_error(Octets packet) {
  if (packet.size() < kIpv4HeaderSize) return std::nullopt;
  const auto& ip = *header_at<Ipv4Header>(packet.data());
  const std::size_t at = ip.header_length();
  if (at < kIpv4HeaderSize || packet.size() < at + sizeof(IcmpHeader)) return std::nullopt;
  const auto& icmp = *header_at<IcmpHeader>(packet.data() + at);
  IcmpError error;
  if (icmp.type != kUnreachable4 || !read_datagram4(packet.subspan(at + sizeof icmp), &error))
    return std::nullopt;
  error.kind = kind_of4(icmp.code);
  error.from = IpAddress::from_v4(ip.source.data());
  if (error.kind == Kind::kTooBig) error.mtu = icmp.rest.value() & 0xffff;  // RFC 1191 section 4
  return error;
}

std::optional<IcmpError> parse_icmp6_error(Octets message, const IpAddress& from) {
  if (message.size() < sizeof(IcmpHeader)) return std::nullopt;
  const auto& icmp = *header_at<IcmpHeader>(message.data());
  IcmpError error;
  if ((icmp.type != kUnreachable6 && icmp.type != kTooBig6) ||
      !read_datagram6(message.subspan(sizeof icmp), &error))
    return std::nullopt;
  error.kind = kind_of6(icmp.type, icmp.code);
  error.from = from;
  if (error.kind == Kind::kTooBig) error.mtu = icmp.rest.value();
  return error;
}

IcmpErrors::IcmpErrors() : fds_{open_raw(false), open_raw(true)} {}

IcmpErrors::~IcmpErrors() {
  for (const int fd : fds_)
    if (fd >= 0) ::close(fd);
}

void IcmpErrors::receive(std::size_t limit, const std::function<void(const IcmpError&)>& visit) {
  for (const bool v6 : {false, true}) receive_family(v6, limit, visit);
}

void IcmpErrors::receive_family(bool v6, std::size_t limit,
                                const std::function<void(const IcmpError&)>& visit) {
  const int fd = fds_[v6 ? 1 : 0];
  std::array<std::uint8_t, kLargest> bytes;
  for (std::size_t n = 0; fd >= 0 && n < limit; ++n) {
    sockaddr_in6 from{};
    socklen_t size = sizeof from;
    const auto got = recvfrom(fd, bytes.data(), bytes.size(), 0, reinterpret_cast<sockaddr*>(&from), &size);
    if (got < 0) return;
    const Octets message(bytes.data(), static_cast<std::size_t>(got));
    const auto error =
        v6 ? parse_icmp6_error(message, IpAddress::from_v6(&from.sin6_addr)) : parse_icmp4_error(message);
    if (error) visit(*error);
  }
}

}  // namespace wg::control
