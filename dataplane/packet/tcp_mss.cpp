#include "dataplane/packet/tcp_mss.h"

#include "dataplane/packet/checksum.h"
#include "dataplane/packet/headers.h"

namespace wg::dataplane {

namespace {

constexpr std::uint8_t kOptionEnd = 0, kOptionNop = 1, kOptionMss = 2;
constexpr std::uint8_t kMssOptionLength = 4;
constexpr std::uint16_t kIpv6HeaderIsLongerBy = kIpv6HeaderSize - kIpv4HeaderSize;

bool may_be_tcp(const std::uint8_t* l3, bool v6) {
  if (v6) return header_at<Ipv6Header>(l3)->next_header == ip_protocol::kTcp;
  const auto* ip = header_at<Ipv4Header>(l3);
  return ip->protocol == ip_protocol::kTcp && ip->fragment_offset() == 0;
}

// The MSS option's value within the options [option, end), or null.
Be16* find_mss(std::uint8_t* option, const std::uint8_t* end) {
  while (option < end && *option != kOptionEnd) {
    if (*option == kOptionNop) {
      ++option;
      continue;
    }
    if (end - option < 2 || option[1] < 2 || option[1] > end - option) return nullptr;
    if (*option == kOptionMss && option[1] == kMssOptionLength) return header_at<Be16>(option + 2);
    option += option[1];
  }
  return nullptr;
}

// A value at an odd offset straddles two words of the checksum: its bytes count swapped there.
Be16 as_summed(std::uint16_t value, bool odd) {
  return Be16{odd ? static_cast<std::uint16_t>(value << 8 | value >> 8) : value};
}

}  // namespace

void clamp_tcp_mss(std::uint8_t* l3, std::size_t length, bool v6, std::uint16_t mss) {
  if (!may_be_tcp(l3, v6)) return;
  const std::size_t ip_length = v6 ? kIpv6HeaderSize : kIpv4HeaderSize;
  std::uint8_t* const segment = l3 + ip_length;
  TcpView tcp;
  if (parse_tcp({segment, length - ip_length}, &tcp) != Parse::kOk ||
      (tcp.header->flags & TcpHeader::kSyn) == 0)
    return;
  Be16* const value = find_mss(segment + kTcpHeaderSize, segment + tcp.header_length);
  const auto limit = static_cast<std::uint16_t>(v6 ? mss - kIpv6HeaderIsLongerBy : mss);
  if (value == nullptr || value->value() <= limit) return;
  auto* header = header_at<TcpHeader>(segment);
  const bool odd = ((reinterpret_cast<std::uint8_t*>(value) - segment) & 1) != 0;
  header->checksum = checksum_update(header->checksum, as_summed(value->value(), odd), as_summed(limit, odd));
  *value = Be16{limit};
}

}  // namespace wg::dataplane
