// The wire formats of the dataplane, and the only casts from packet bytes to types. Every structure consists
// of bytes (alignment 1), so any address is valid. parse_*() never read past the end of their span, and write
// *out only when they return kOk; the views point into the span. Ethernet II, 802.1Q, RFC 826, 791, 8200,
// 768, 9293, 792, 4443; WireGuard paper 5.4.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

#include "dataplane/packet/address.h"

namespace wg::dataplane {

using Bytes = std::span<const std::uint8_t>;
using MutableBytes = std::span<std::uint8_t>;

// An integer in the byte order of a packet. Conversions to and from host order are always explicit.
template <typename Host, std::endian Order>
class [[gnu::may_alias]] WireInteger {
 public:
  WireInteger() = default;
  constexpr explicit WireInteger(Host host) : bytes_(std::bit_cast<Raw>(swapped(host))) {}

  [[nodiscard]] constexpr Host value() const { return swapped(std::bit_cast<Host>(bytes_)); }
  // The bytes as a native load returns them, for arithmetic that is independent of the order (RFC 1071).
  [[nodiscard]] constexpr Host native() const { return std::bit_cast<Host>(bytes_); }
  static constexpr WireInteger from_native(Host raw) {
    WireInteger w{Host{0}};
    w.bytes_ = std::bit_cast<Raw>(raw);
    return w;
  }
  friend constexpr bool operator==(const WireInteger&, const WireInteger&) = default;

 private:
  using Raw = std::array<std::uint8_t, sizeof(Host)>;
  static constexpr Host swapped(Host v) {
    if constexpr (Order == std::endian::native) {
      return v;
    } else if constexpr (sizeof(Host) == 2) {
      return __builtin_bswap16(v);
    } else if constexpr (sizeof(Host) == 4) {
      return __builtin_bswap32(v);
    } else {
      return __builtin_bswap64(v);
    }
  }
  Raw bytes_;
};
using Be16 = WireInteger<std::uint16_t, std::endian::big>;
using Be32 = WireInteger<std::uint32_t, std::endian::big>;
using Le32 = WireInteger<std::uint32_t, std::endian::little>;
using Le64 = WireInteger<std::uint64_t, std::endian::little>;

using Ipv4Bytes = std::array<std::uint8_t, 4>;
using Ipv6Bytes = std::array<std::uint8_t, 16>;

enum class Parse : std::uint8_t {
  kOk,
  kTruncated,        // the span is shorter than the header's length
  kBadVersion,       // IP version nibble
  kBadHeaderLength,  // IHL or TCP data offset below its minimum
  kBadLength,        // a length field smaller than the header it counts
  kJumbogram,        // IPv6 payload length 0 with a hop-by-hop header
  kNestedTag,        // more than one VLAN tag
  kBadFormat,        // ARP that is not Ethernet/IPv4
};

namespace ether_type {
inline constexpr std::uint16_t kIpv4 = 0x0800, kArp = 0x0806, kVlan = 0x8100, kIpv6 = 0x86dd, kQinQ = 0x88a8;
}
inline constexpr std::uint8_t kIpv4WithoutOptions = 0x45;  // version and header length
inline constexpr std::uint8_t kEcnMask = 3;                // of the TOS and traffic class byte (RFC 3168)

namespace ip_protocol {
inline constexpr std::uint8_t kHopByHop = 0, kIcmp4 = 1, kTcp = 6, kUdp = 17, kRouting = 43, kFragment = 44,
                              kAuthentication = 51, kIcmp6 = 58, kNoNext = 59, kDestination = 60,
                              kMobility = 135, kHip = 139, kShim6 = 140;
}

struct [[gnu::may_alias]] EthernetHeader {
  MacAddress destination;
  MacAddress source;
  Be16 type;
};

struct [[gnu::may_alias]] VlanTag {
  Be16 control;  // priority 3, drop eligible 1, VLAN id 12
  Be16 type;
  [[nodiscard]] std::uint16_t id() const { return control.value() & 0x0fff; }
};

struct [[gnu::may_alias]] ArpPacket {
  Be16 hardware;
  Be16 protocol;
  std::uint8_t hardware_size;
  std::uint8_t protocol_size;
  Be16 operation;  // 1 request, 2 reply
  MacAddress sender_mac;
  Ipv4Bytes sender_ip;
  MacAddress target_mac;
  Ipv4Bytes target_ip;
};

struct [[gnu::may_alias]] Ipv4Header {
  static constexpr std::uint16_t kDontFragment = 0x4000, kMoreFragments = 0x2000, kOffsetMask = 0x1fff;

  std::uint8_t version_ihl;
  std::uint8_t tos;  // DSCP 6, ECN 2
  Be16 total_length;
  Be16 id;
  Be16 fragment;  // reserved, DF, MF, offset in 8-byte units
  std::uint8_t ttl;
  std::uint8_t protocol;
  Be16 checksum;
  Ipv4Bytes source;
  Ipv4Bytes destination;

  [[nodiscard]] std::uint8_t version() const { return version_ihl >> 4; }
  [[nodiscard]] std::size_t header_length() const { return (version_ihl & 0xfu) * 4u; }
  [[nodiscard]] bool dont_fragment() const { return (fragment.value() & kDontFragment) != 0; }
  [[nodiscard]] bool more_fragments() const { return (fragment.value() & kMoreFragments) != 0; }
  [[nodiscard]] std::size_t fragment_offset() const { return (fragment.value() & kOffsetMask) * 8u; }
  // Any part of a fragmented datagram. Only the first part has ports, and no part alone has a verifiable
  // checksum.
  [[nodiscard]] bool is_fragment() const { return (fragment.value() & (kMoreFragments | kOffsetMask)) != 0; }
};

struct [[gnu::may_alias]] Ipv6Header {
  Be32 version_class_flow;
  Be16 payload_length;  // without this header
  std::uint8_t next_header;
  std::uint8_t hop_limit;
  Ipv6Bytes source;
  Ipv6Bytes destination;

  [[nodiscard]] std::uint8_t version() const {
    return static_cast<std::uint8_t>(version_class_flow.value() >> 28);
  }
  [[nodiscard]] std::uint8_t traffic_class() const {
    return static_cast<std::uint8_t>(version_class_flow.value() >> 20);
  }
  [[nodiscard]] std::uint32_t flow_label() const { return version_class_flow.value() & 0xfffff; }
  void set_traffic_class(std::uint8_t value) {
    version_class_flow =
        Be32{(version_class_flow.value() & 0xf00fffffU) | static_cast<std::uint32_t>(value) << 20};
  }
};

struct [[gnu::may_alias]] UdpHeader {
  Be16 source_port;
  Be16 destination_port;
  Be16 length;    // with this header
  Be16 checksum;  // 0: none (IPv4 only)
};

struct [[gnu::may_alias]] TcpHeader {
  static constexpr std::uint8_t kFin = 0x01, kSyn = 0x02, kRst = 0x04, kPsh = 0x08, kAck = 0x10, kUrg = 0x20,
                                kEce = 0x40, kCwr = 0x80;

  Be16 source_port;
  Be16 destination_port;
  Be32 sequence;
  Be32 acknowledgment;
  std::uint8_t offset_reserved;  // data offset 4, reserved 3, AE 1
  std::uint8_t flags;
  Be16 window;
  Be16 checksum;
  Be16 urgent;

  [[nodiscard]] std::size_t header_length() const { return (offset_reserved >> 4) * 4u; }
};

// ICMP and ICMPv6 agree on the first eight bytes of every error and echo message.
struct [[gnu::may_alias]] IcmpHeader {
  std::uint8_t type;
  std::uint8_t code;
  Be16 checksum;
  Be32 rest;  // echo: id and sequence; errors: unused, MTU or pointer
};

// WireGuard paper 5.4.6. The reserved bytes are part of `type` and must be zero.
struct [[gnu::may_alias]] TransportDataHeader {
  Le32 type;
  Le32 receiver;
  Le64 counter;
};

static_assert(sizeof(EthernetHeader) == 14 && offsetof(EthernetHeader, type) == 12);
static_assert(sizeof(VlanTag) == 4);
static_assert(sizeof(ArpPacket) == 28 && offsetof(ArpPacket, sender_mac) == 8 &&
              offsetof(ArpPacket, sender_ip) == 14 && offsetof(ArpPacket, target_ip) == 24);
static_assert(sizeof(Ipv4Header) == 20 && offsetof(Ipv4Header, fragment) == 6 &&
              offsetof(Ipv4Header, ttl) == 8 && offsetof(Ipv4Header, checksum) == 10 &&
              offsetof(Ipv4Header, source) == 12 && offsetof(Ipv4Header, destination) == 16);
static_assert(sizeof(Ipv6Header) == 40 && offsetof(Ipv6Header, next_header) == 6 &&
              offsetof(Ipv6Header, source) == 8 && offsetof(Ipv6Header, destination) == 24);
static_assert(sizeof(UdpHeader) == 8 && offsetof(UdpHeader, checksum) == 6);
static_assert(sizeof(TcpHeader) == 20 && offsetof(TcpHeader, flags) == 13 &&
              offsetof(TcpHeader, checksum) == 16);
static_assert(sizeof(IcmpHeader) == 8 && offsetof(IcmpHeader, checksum) == 2);
static_assert(sizeof(TransportDataHeader) == 16 && offsetof(TransportDataHeader, counter) == 8);
static_assert(alignof(EthernetHeader) == 1 && alignof(Ipv4Header) == 1 && alignof(Ipv6Header) == 1 &&
              alignof(TcpHeader) == 1 && alignof(UdpHeader) == 1 && alignof(TransportDataHeader) == 1);

// The casts. The caller of header_at guarantees sizeof(Header) bytes; checked_header verifies them.
template <typename Header>
[[nodiscard]] const Header* header_at(const std::uint8_t* data) {
  static_assert(std::is_trivially_copyable_v<Header> && alignof(Header) == 1);
  return reinterpret_cast<const Header*>(data);
}
template <typename Header>
[[nodiscard]] Header* header_at(std::uint8_t* data) {
  static_assert(std::is_trivially_copyable_v<Header> && alignof(Header) == 1);
  return reinterpret_cast<Header*>(data);
}
template <typename Header>
[[nodiscard]] const std::uint8_t* bytes_of(const Header& header) {
  return reinterpret_cast<const std::uint8_t*>(&header);
}
template <typename Header>
[[nodiscard]] const Header* checked_header(Bytes bytes, std::size_t offset = 0) {
  if (offset > bytes.size() || bytes.size() - offset < sizeof(Header)) return nullptr;
  return header_at<Header>(bytes.data() + offset);
}

inline constexpr std::size_t kEthernetHeaderSize = sizeof(EthernetHeader);
inline constexpr std::size_t kVlanTagSize = sizeof(VlanTag);
inline constexpr std::size_t kIpv4HeaderSize = sizeof(Ipv4Header);
inline constexpr std::size_t kIpv6HeaderSize = sizeof(Ipv6Header);
inline constexpr std::size_t kUdpHeaderSize = sizeof(UdpHeader);
inline constexpr std::size_t kTcpHeaderSize = sizeof(TcpHeader);

struct EthernetView {
  const EthernetHeader* header = nullptr;
  const VlanTag* tag = nullptr;  // null: untagged
  std::uint16_t type = 0;        // EtherType of the payload, after the tag; < 0x600 is an 802.3 length
  Bytes payload;                 // may end in padding
  [[nodiscard]] std::size_t l3_offset() const {
    return kEthernetHeaderSize + (tag == nullptr ? 0 : kVlanTagSize);
  }
};

[[nodiscard]] inline Parse parse_ethernet(Bytes frame, EthernetView* out) {
  const auto* ethernet = checked_header<EthernetHeader>(frame);
  if (ethernet == nullptr) return Parse::kTruncated;
  EthernetView view{ethernet, nullptr, ethernet->type.value(), frame.subspan(kEthernetHeaderSize)};
  if (view.type == ether_type::kVlan) {
    view.tag = checked_header<VlanTag>(view.payload);
    if (view.tag == nullptr) return Parse::kTruncated;
    view.type = view.tag->type.value();
    view.payload = view.payload.subspan(kVlanTagSize);
    if (view.type == ether_type::kVlan) return Parse::kNestedTag;
  }
  if (view.type == ether_type::kQinQ) return Parse::kNestedTag;
  *out = view;
  return Parse::kOk;
}

// RFC 826 for Ethernet and IPv4, the only combination in use.
[[nodiscard]] inline Parse parse_arp(Bytes bytes, const ArpPacket** out) {
  const auto* arp = checked_header<ArpPacket>(bytes);
  if (arp == nullptr) return Parse::kTruncated;
  if (arp->hardware.value() != 1 || arp->protocol.value() != ether_type::kIpv4 || arp->hardware_size != 6 ||
      arp->protocol_size != 4) {
    return Parse::kBadFormat;
  }
  *out = arp;
  return Parse::kOk;
}

struct Ipv4View {
  const Ipv4Header* header = nullptr;
  std::size_t header_length = 0;
  std::size_t total_length = 0;  // the rest of the span is padding
  Bytes payload;
  [[nodiscard]] bool has_options() const { return header_length > kIpv4HeaderSize; }
};

// RFC 1812 5.2.2 (1) (3) (4) (5); (2), the header checksum, is ipv4_checksum_valid() in checksum.h.
[[nodiscard]] inline Parse parse_ipv4(Bytes bytes, Ipv4View* out) {
  const auto* header = checked_header<Ipv4Header>(bytes);
  if (header == nullptr) return Parse::kTruncated;
  if (header->version() != 4) return Parse::kBadVersion;
  const std::size_t header_length = header->header_length();
  const std::size_t total_length = header->total_length.value();
  if (header_length < kIpv4HeaderSize) return Parse::kBadHeaderLength;
  if (total_length < header_length) return Parse::kBadLength;
  if (total_length > bytes.size()) return Parse::kTruncated;
  *out = {header, header_length, total_length, bytes.subspan(header_length, total_length - header_length)};
  return Parse::kOk;
}

[[nodiscard]] constexpr bool is_ipv6_extension(std::uint8_t next_header) {
  using namespace ip_protocol;
  return next_header == kHopByHop || next_header == kRouting || next_header == kFragment ||
         next_header == kAuthentication || next_header == kDestination || next_header == kMobility ||
         next_header == kHip || next_header == kShim6;
}

struct Ipv6View {
  const Ipv6Header* header = nullptr;
  std::size_t total_length = 0;  // header included; the rest of the span is padding
  Bytes payload;                 // extension headers included
  [[nodiscard]] bool has_extension() const { return is_ipv6_extension(header->next_header); }
};

// RFC 8200 section 3. Extension headers are recognised but not followed: the caller punts such packets.
[[nodiscard]] inline Parse parse_ipv6(Bytes bytes, Ipv6View* out) {
  const auto* header = checked_header<Ipv6Header>(bytes);
  if (header == nullptr) return Parse::kTruncated;
  if (header->version() != 6) return Parse::kBadVersion;
  const std::size_t payload_length = header->payload_length.value();
  if (payload_length == 0 && header->next_header == ip_protocol::kHopByHop) return Parse::kJumbogram;
  if (payload_length > bytes.size() - kIpv6HeaderSize) return Parse::kTruncated;
  *out = {header, kIpv6HeaderSize + payload_length, bytes.subspan(kIpv6HeaderSize, payload_length)};
  return Parse::kOk;
}

// The fields of an IP packet of either version that routing needs.
struct IpView {
  bool v6 = false;
  bool fragment = false;     // v4: any fragment; v6: a fragment header comes first
  bool has_options = false;  // v4: options; v6: an extension header comes first
  std::uint8_t protocol = 0;
  std::uint8_t ttl = 0;
  std::uint8_t tos = 0;
  std::size_t header_length = 0;
  std::size_t total_length = 0;
  const std::uint8_t* source = nullptr;  // 4 or 16 bytes
  const std::uint8_t* destination = nullptr;
  Bytes payload;
};

[[nodiscard]] inline Parse parse_ip(Bytes bytes, IpView* out) {
  if (bytes.empty()) return Parse::kTruncated;
  if (bytes[0] >> 4 == 4) {
    Ipv4View v;
    if (const Parse result = parse_ipv4(bytes, &v); result != Parse::kOk) return result;
    *out = {false,
            v.header->is_fragment(),
            v.has_options(),
            v.header->protocol,
            v.header->ttl,
            v.header->tos,
            v.header_length,
            v.total_length,
            v.header->source.data(),
            v.header->destination.data(),
            v.payload};
    return Parse::kOk;
  }
  if (bytes[0] >> 4 != 6) return Parse::kBadVersion;
  Ipv6View v;
  if (const Parse result = parse_ipv6(bytes, &v); result != Parse::kOk) return result;
  const std::uint8_t next = v.header->next_header;
  *out = {true,
          next == ip_protocol::kFragment,
          v.has_extension(),
          next,
          v.header->hop_limit,
          v.header->traffic_class(),
          kIpv6HeaderSize,
          v.total_length,
          v.header->source.data(),
          v.header->destination.data(),
          v.payload};
  return Parse::kOk;
}

struct UdpView {
  const UdpHeader* header = nullptr;
  Bytes payload;  // trimmed to the UDP length
};

// `bytes`: the IP payload. A length of 0 (RFC 2675 jumbograms) is a bad length here.
[[nodiscard]] inline Parse parse_udp(Bytes bytes, UdpView* out) {
  const auto* header = checked_header<UdpHeader>(bytes);
  if (header == nullptr) return Parse::kTruncated;
  const std::size_t length = header->length.value();
  if (length < kUdpHeaderSize) return Parse::kBadLength;
  if (length > bytes.size()) return Parse::kTruncated;
  *out = {header, bytes.subspan(kUdpHeaderSize, length - kUdpHeaderSize)};
  return Parse::kOk;
}

struct TcpView {
  const TcpHeader* header = nullptr;
  std::size_t header_length = 0;  // with options
  Bytes payload;
};

[[nodiscard]] inline Parse parse_tcp(Bytes bytes, TcpView* out) {
  const auto* header = checked_header<TcpHeader>(bytes);
  if (header == nullptr) return Parse::kTruncated;
  const std::size_t header_length = header->header_length();
  if (header_length < kTcpHeaderSize) return Parse::kBadHeaderLength;
  if (header_length > bytes.size()) return Parse::kTruncated;
  *out = {header, header_length, bytes.subspan(header_length)};
  return Parse::kOk;
}

struct IcmpView {
  const IcmpHeader* header = nullptr;
  Bytes payload;
  // RFC 1122 3.2.2 and RFC 4443 2.4 (e.1): no error is ever sent about an error.
  [[nodiscard]] bool is_error4() const {
    const std::uint8_t t = header->type;
    return t == 3 || t == 4 || t == 5 || t == 11 || t == 12;
  }
  [[nodiscard]] bool is_error6() const { return header->type < 128; }
};

// ICMPv4 and ICMPv6 alike.
[[nodiscard]] inline Parse parse_icmp(Bytes bytes, IcmpView* out) {
  const auto* header = checked_header<IcmpHeader>(bytes);
  if (header == nullptr) return Parse::kTruncated;
  *out = {header, bytes.subspan(sizeof(IcmpHeader))};
  return Parse::kOk;
}

// WireGuard messages, paper 5.4. Type and exact length decide: a longer handshake message is junk.
inline constexpr std::uint32_t kMessageInitiation = 1, kMessageResponse = 2, kMessageCookieReply = 3,
                               kMessageTransportData = 4;
inline constexpr std::size_t kInitiationSize = 148, kResponseSize = 92, kCookieReplySize = 64;
inline constexpr std::size_t kTransportDataHeaderSize = sizeof(TransportDataHeader);
inline constexpr std::size_t kAuthTagSize = 16;
inline constexpr std::size_t kKeepaliveSize = kTransportDataHeaderSize + kAuthTagSize;

enum class MessageClass : std::uint8_t {
  kInitiation,
  kResponse,
  kCookieReply,
  kTransportData,  // at least a keepalive; any length, padded or not
  kBadType,        // unknown type or a reserved byte set, or too short to have a type
  kBadLength,      // known type, impossible length
};

// `bytes`: the UDP payload.
[[nodiscard]] inline MessageClass classify_message(Bytes bytes) {
  const auto* type = checked_header<Le32>(bytes);
  if (type == nullptr) return MessageClass::kBadType;
  const auto exactly = [&](std::size_t size, MessageClass c) {
    return bytes.size() == size ? c : MessageClass::kBadLength;
  };
  switch (type->value()) {
    case kMessageTransportData:
      return bytes.size() >= kKeepaliveSize ? MessageClass::kTransportData : MessageClass::kBadLength;
    case kMessageInitiation:
      return exactly(kInitiationSize, MessageClass::kInitiation);
    case kMessageResponse:
      return exactly(kResponseSize, MessageClass::kResponse);
    case kMessageCookieReply:
      return exactly(kCookieReplySize, MessageClass::kCookieReply);
    default:
      return MessageClass::kBadType;
  }
}

}  // namespace wg::dataplane
