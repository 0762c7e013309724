// Checked views: every parser against an oracle that knows only byte numbers, at every length 0..128, in heap
// blocks of exactly that size (AddressSanitizer sees a read past the span), at every alignment.
#include "dataplane/packet/headers.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

namespace wg::dataplane {
namespace {

constexpr std::size_t kMaxLength = 128;

class ExactBlock {
 public:
  ExactBlock(const std::vector<std::uint8_t>& from, std::size_t size, std::size_t misalign = 0)
      : block_(std::make_unique<std::uint8_t[]>(size + misalign)), size_(size), misalign_(misalign) {
    std::copy_n(from.begin(), std::min(size, from.size()), block_.get() + misalign);
  }
  [[nodiscard]] Bytes bytes() const { return {block_.get() + misalign_, size_}; }

 private:
  std::unique_ptr<std::uint8_t[]> block_;
  std::size_t size_;
  std::size_t misalign_;
};

unsigned be16(Bytes b, std::size_t at) {
  return unsigned{b[at]} << 8 | b[at + 1];
}

std::vector<std::uint8_t> random_bytes(std::mt19937& random, std::size_t size) {
  std::vector<std::uint8_t> bytes(size);
  for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random());
  return bytes;
}

Parse ethernet_oracle(Bytes b) {
  if (b.size() < 14) return Parse::kTruncated;
  if (be16(b, 12) == 0x88a8) return Parse::kNestedTag;
  if (be16(b, 12) != 0x8100) return Parse::kOk;
  if (b.size() < 18) return Parse::kTruncated;
  return be16(b, 16) == 0x8100 || be16(b, 16) == 0x88a8 ? Parse::kNestedTag : Parse::kOk;
}

Parse ipv4_oracle(Bytes b) {
  if (b.size() < 20) return Parse::kTruncated;
  if ((b[0] & 0xf0) != 0x40) return Parse::kBadVersion;
  const unsigned header = (b[0] & 15u) * 4, total = be16(b, 2);
  if (header < 20) return Parse::kBadHeaderLength;
  if (total < header) return Parse::kBadLength;
  return total > b.size() ? Parse::kTruncated : Parse::kOk;
}

Parse ipv6_oracle(Bytes b) {
  if (b.size() < 40) return Parse::kTruncated;
  if ((b[0] & 0xf0) != 0x60) return Parse::kBadVersion;
  if (be16(b, 4) == 0 && b[6] == 0) return Parse::kJumbogram;
  return 40 + be16(b, 4) > b.size() ? Parse::kTruncated : Parse::kOk;
}

Parse udp_oracle(Bytes b) {
  if (b.size() < 8) return Parse::kTruncated;
  if (be16(b, 4) < 8) return Parse::kBadLength;
  return be16(b, 4) > b.size() ? Parse::kTruncated : Parse::kOk;
}

Parse tcp_oracle(Bytes b) {
  if (b.size() < 20) return Parse::kTruncated;
  if (b[12] < 0x50) return Parse::kBadHeaderLength;
  return (b[12] >> 4) * 4u > b.size() ? Parse::kTruncated : Parse::kOk;
}

// Runs check(bytes) for every length with contents that are valid in about half of the cases: `shape`
// sets the decisive fields from the length.
template <typename Shape, typename Check>
void for_every_length(Shape shape, Check check) {
  std::mt19937 random(251);
  for (std::size_t size = 0; size <= kMaxLength; ++size) {
    for (int round = 0; round < 64; ++round) {
      std::vector<std::uint8_t> bytes = random_bytes(random, kMaxLength);
      shape(bytes, size, random);
      const ExactBlock block(bytes, size, random() % 8);
      check(block.bytes());
    }
  }
}

void put16(std::vector<std::uint8_t>& bytes, std::size_t at, std::size_t value) {
  bytes[at] = static_cast<std::uint8_t>(value >> 8);
  bytes[at + 1] = static_cast<std::uint8_t>(value);
}

TEST(Headers, WireIntegersConvertExplicitly) {
  static_assert(Be16{0x1234}.value() == 0x1234 && Be32{0xdeadbeef}.value() == 0xdeadbeef);
  static_assert(!std::is_convertible_v<std::uint16_t, Be16> && !std::is_convertible_v<Be16, std::uint16_t>);
  const Be32 big{0x01020304};
  const Le32 little{0x01020304};
  const Le64 counter{0x0102030405060708};
  EXPECT_EQ(0, std::memcmp(&big, "\x01\x02\x03\x04", 4));
  EXPECT_EQ(0, std::memcmp(&little, "\x04\x03\x02\x01", 4));
  EXPECT_EQ(0, std::memcmp(&counter, "\x08\x07\x06\x05\x04\x03\x02\x01", 8));
  EXPECT_EQ(Be16::from_native(big.native() & 0xffff).value(), 0x0102);
}

TEST(Headers, EthernetAtEveryLength) {
  std::array<int, 8> seen{};
  const auto shape = [](auto& bytes, std::size_t, auto& random) {
    constexpr std::array<std::size_t, 4> types{0x0800, 0x8100, 0x88a8, 0x86dd};
    put16(bytes, 12, types[random() % 4]);
    put16(bytes, 16, types[random() % 4]);
  };
  for_every_length(shape, [&](Bytes b) {
    EthernetView view;
    const Parse result = parse_ethernet(b, &view);
    ASSERT_EQ(result, ethernet_oracle(b)) << b.size();
    ++seen[static_cast<std::size_t>(result)];
    if (result != Parse::kOk) {
      EXPECT_EQ(view.header, nullptr);
      return;
    }
    const bool tagged = be16(b, 12) == 0x8100;
    EXPECT_EQ(view.l3_offset(), tagged ? 18u : 14u);
    EXPECT_EQ(view.type, be16(b, tagged ? 16 : 12));
    EXPECT_EQ(view.payload.data(), b.data() + view.l3_offset());
    EXPECT_EQ(view.payload.size(), b.size() - view.l3_offset());
    if (tagged) {
      EXPECT_EQ(view.tag->id(), be16(b, 14) & 0xfff);
    }
  });
  EXPECT_GT(seen[static_cast<std::size_t>(Parse::kOk)], 1000);
  EXPECT_GT(seen[static_cast<std::size_t>(Parse::kNestedTag)], 1000);
}

TEST(Headers, ArpAtEveryLengthAndField) {
  std::vector<std::uint8_t> good{0, 1, 8, 0, 6, 4, 0, 2};
  good.resize(28, 7);
  for (std::size_t size = 0; size <= 40; ++size) {
    const ExactBlock block(good, size);
    const ArpPacket* arp = nullptr;
    EXPECT_EQ(parse_arp(block.bytes(), &arp), size < 28 ? Parse::kTruncated : Parse::kOk) << size;
    EXPECT_EQ(arp != nullptr, size >= 28);
    if (arp != nullptr) {
      EXPECT_EQ(arp->operation.value(), 2);
    }
  }
  for (std::size_t at = 0; at < 6; ++at) {
    std::vector<std::uint8_t> bad = good;
    bad[at] ^= 0x40;
    const ArpPacket* arp = nullptr;
    EXPECT_EQ(parse_arp(bad, &arp), Parse::kBadFormat) << at;
  }
}

TEST(Headers, Ipv4AtEveryLength) {
  std::array<int, 8> seen{};
  const auto shape = [](auto& bytes, std::size_t size, auto& random) {
    constexpr std::array<std::uint8_t, 8> firsts{0x45, 0x45, 0x45, 0x46, 0x4f, 0x44, 0x40, 0x65};
    bytes[0] = firsts[random() % 8];
    put16(bytes, 2, random() % 4 == 0 ? random() % 256 : size + random() % 3 - 1);
  };
  for_every_length(shape, [&](Bytes b) {
    Ipv4View view;
    const Parse result = parse_ipv4(b, &view);
    ASSERT_EQ(result, ipv4_oracle(b)) << b.size();
    ++seen[static_cast<std::size_t>(result)];
    IpView either;
    EXPECT_EQ(parse_ip(b, &either) == Parse::kOk, result == Parse::kOk);
    if (result != Parse::kOk) {
      EXPECT_EQ(view.header, nullptr);
      return;
    }
    const std::size_t header = (b[0] & 15u) * 4, total = be16(b, 2);
    EXPECT_EQ(view.total_length, total);
    EXPECT_EQ(view.has_options(), header > 20);
    EXPECT_EQ(view.payload.data(), b.data() + header);
    EXPECT_EQ(view.payload.size(), total - header);
    EXPECT_EQ(view.header->is_fragment(), (be16(b, 6) & 0x3fff) != 0);
    EXPECT_EQ(view.header->more_fragments(), (b[6] & 0x20) != 0);
    EXPECT_EQ(view.header->dont_fragment(), (b[6] & 0x40) != 0);
    EXPECT_EQ(view.header->fragment_offset(), (be16(b, 6) & 0x1fff) * 8);
    EXPECT_EQ(either.source, b.data() + 12);
    EXPECT_EQ(either.destination, b.data() + 16);
    EXPECT_EQ(either.ttl, b[8]);
    EXPECT_EQ(either.protocol, b[9]);
    EXPECT_EQ(either.tos, b[1]);
    EXPECT_EQ(either.fragment, view.header->is_fragment());
    EXPECT_EQ(either.payload.data(), view.payload.data());
  });
  for (const Parse p :
       {Parse::kOk, Parse::kTruncated, Parse::kBadVersion, Parse::kBadHeaderLength, Parse::kBadLength}) {
    EXPECT_GT(seen[static_cast<std::size_t>(p)], 20) << static_cast<int>(p);
  }
}

TEST(Headers, Ipv6AtEveryLength) {
  std::array<int, 8> seen{};
  const auto shape = [](auto& bytes, std::size_t size, auto& random) {
    bytes[0] = random() % 8 == 0 ? 0x45 : static_cast<std::uint8_t>(0x60 | (bytes[0] & 15));
    constexpr std::array<std::uint8_t, 6> nexts{0, 6, 17, 44, 59, 60};
    bytes[6] = nexts[random() % 6];
    const std::size_t payload = size > 40 ? size - 40 : 0;
    put16(bytes, 4, random() % 4 == 0 ? 0 : payload + random() % 3 - (payload != 0 ? 1 : 0));
  };
  for_every_length(shape, [&](Bytes b) {
    Ipv6View view;
    const Parse result = parse_ipv6(b, &view);
    ASSERT_EQ(result, ipv6_oracle(b)) << b.size();
    ++seen[static_cast<std::size_t>(result)];
    IpView either;
    EXPECT_EQ(parse_ip(b, &either) == Parse::kOk, result == Parse::kOk);
    if (result != Parse::kOk) return;
    EXPECT_EQ(view.total_length, 40 + be16(b, 4));
    EXPECT_EQ(view.payload.data(), b.data() + 40);
    EXPECT_EQ(view.payload.size(), be16(b, 4));
    EXPECT_EQ(view.has_extension(), b[6] == 0 || b[6] == 44 || b[6] == 60);
    EXPECT_EQ(view.header->traffic_class(), (b[0] << 4 | b[1] >> 4) & 0xff);
    EXPECT_EQ(view.header->flow_label(), (b[1] & 15u) << 16 | be16(b, 2));
    EXPECT_TRUE(either.v6);
    EXPECT_EQ(either.fragment, b[6] == 44);
    EXPECT_EQ(either.source, b.data() + 8);
    EXPECT_EQ(either.destination, b.data() + 24);
    EXPECT_EQ(either.ttl, b[7]);
    EXPECT_EQ(either.total_length, view.total_length);
  });
  for (const Parse p : {Parse::kOk, Parse::kTruncated, Parse::kBadVersion, Parse::kJumbogram}) {
    EXPECT_GT(seen[static_cast<std::size_t>(p)], 20) << static_cast<int>(p);
  }
}

TEST(Headers, TrafficClassKeepsItsNeighbours) {
  std::array<std::uint8_t, 40> bytes{0x6a, 0xbc, 0xde, 0xf0};
  header_at<Ipv6Header>(bytes.data())->set_traffic_class(0x13);
  EXPECT_EQ(bytes[0], 0x61);
  EXPECT_EQ(bytes[1], 0x3c);
  EXPECT_EQ(bytes[2], 0xde);
  EXPECT_EQ(header_at<Ipv6Header>(bytes.data())->traffic_class(), 0x13);
}

TEST(Headers, UdpAtEveryLength) {
  std::array<int, 8> seen{};
  const auto shape = [](auto& bytes, std::size_t size, auto& random) {
    put16(bytes, 4, random() % 4 == 0 ? random() % 12 : size + random() % 3 - (size != 0 ? 1 : 0));
  };
  for_every_length(shape, [&](Bytes b) {
    UdpView view;
    const Parse result = parse_udp(b, &view);
    ASSERT_EQ(result, udp_oracle(b)) << b.size();
    ++seen[static_cast<std::size_t>(result)];
    if (result != Parse::kOk) return;
    EXPECT_EQ(view.header->source_port.value(), be16(b, 0));
    EXPECT_EQ(view.header->destination_port.value(), be16(b, 2));
    EXPECT_EQ(view.payload.data(), b.data() + 8);
    EXPECT_EQ(view.payload.size(), be16(b, 4) - 8);
  });
  for (const Parse p : {Parse::kOk, Parse::kTruncated, Parse::kBadLength}) {
    EXPECT_GT(seen[static_cast<std::size_t>(p)], 100) << static_cast<int>(p);
  }
}

TEST(Headers, TcpAtEveryLength) {
  std::array<int, 8> seen{};
  for_every_length([](auto&, std::size_t, auto&) {},
                   [&](Bytes b) {
                     TcpView view;
                     const Parse result = parse_tcp(b, &view);
                     ASSERT_EQ(result, tcp_oracle(b)) << b.size();
                     ++seen[static_cast<std::size_t>(result)];
                     if (result != Parse::kOk) return;
                     const std::size_t header = (b[12] >> 4) * 4u;
                     EXPECT_EQ(view.header_length, header);
                     EXPECT_EQ(view.payload.data(), b.data() + header);
                     EXPECT_EQ(view.payload.size(), b.size() - header);
                     EXPECT_EQ(view.header->flags, b[13]);
                   });
  for (const Parse p : {Parse::kOk, Parse::kTruncated, Parse::kBadHeaderLength}) {
    EXPECT_GT(seen[static_cast<std::size_t>(p)], 100) << static_cast<int>(p);
  }
}

TEST(Headers, IcmpErrorsAreRecognised) {
  for (std::size_t size = 0; size <= 16; ++size) {
    const ExactBlock block({3, 4, 0, 0, 0, 0, 5, 0x14}, size);
    IcmpView view;
    ASSERT_EQ(parse_icmp(block.bytes(), &view), size < 8 ? Parse::kTruncated : Parse::kOk);
    if (size < 8) continue;
    EXPECT_EQ(view.payload.size(), size - 8);
    EXPECT_EQ(view.header->rest.value(), 0x514u);
  }
  for (int type = 0; type < 256; ++type) {
    const std::vector<std::uint8_t> message{static_cast<std::uint8_t>(type), 0, 0, 0, 0, 0, 0, 0};
    IcmpView view;
    ASSERT_EQ(parse_icmp(message, &view), Parse::kOk);
    const bool error4 = type == 3 || type == 4 || type == 5 || type == 11 || type == 12;
    EXPECT_EQ(view.is_error4(), error4) << type;
    EXPECT_EQ(view.is_error6(), type <= 127) << type;
  }
}

MessageClass message_oracle(Bytes b) {
  if (b.size() < 4 || b[1] != 0 || b[2] != 0 || b[3] != 0 || b[0] < 1 || b[0] > 4)
    return MessageClass::kBadType;
  if (b[0] == 4) return b.size() < 32 ? MessageClass::kBadLength : MessageClass::kTransportData;
  constexpr std::array<std::size_t, 4> sizes{0, 148, 92, 64};
  constexpr std::array<MessageClass, 4> classes{MessageClass::kBadType, MessageClass::kInitiation,
                                                MessageClass::kResponse, MessageClass::kCookieReply};
  return b.size() == sizes[b[0]] ? classes[b[0]] : MessageClass::kBadLength;
}

TEST(Headers, MessagesHaveExactLengths) {
  for (std::size_t size = 0; size <= 1500; ++size) {
    for (std::uint8_t type = 0; type <= 6; ++type) {
      const ExactBlock block({type, 0, 0, 0}, size, size % 4);
      EXPECT_EQ(classify_message(block.bytes()), message_oracle(block.bytes())) << size << " " << int{type};
    }
  }
}

TEST(Headers, ReservedBytesMustBeZero) {
  for (std::size_t at = 1; at < 4; ++at) {
    for (const std::size_t size : {148u, 92u, 64u, 32u}) {
      std::vector<std::uint8_t> message{static_cast<std::uint8_t>(size == 148  ? 1
                                                                  : size == 92 ? 2
                                                                  : size == 64 ? 3
                                                                               : 4)};
      message.resize(size);
      ASSERT_LT(classify_message(message), MessageClass::kBadType);
      message[at] = 1;
      EXPECT_EQ(classify_message(message), MessageClass::kBadType);
    }
  }
}

TEST(Headers, TransportDataHeaderIsLittleEndian) {
  const std::vector<std::uint8_t> bytes{4, 0, 0, 0, 0x78, 0x56, 0x34, 0x12, 9, 0, 0, 0, 0, 0, 0, 0x80};
  const auto* header = checked_header<TransportDataHeader>(bytes);
  ASSERT_NE(header, nullptr);
  EXPECT_EQ(header->type.value(), kMessageTransportData);
  EXPECT_EQ(header->receiver.value(), 0x12345678u);
  EXPECT_EQ(header->counter.value(), 0x8000000000000009u);
  EXPECT_EQ(checked_header<TransportDataHeader>(bytes, 1), nullptr);
  EXPECT_EQ(checked_header<TransportDataHeader>(bytes, ~std::size_t{0}), nullptr);
}

}  // namespace
}  // namespace wg::dataplane
