// ICMP errors about our datagrams: what they say, and that no length of them is read beyond its end.
#include "control/kernel/icmp_errors.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace wg::control {
namespace {

using Octets = std::vector<std::uint8_t>;
using Kind = IcmpError::Kind;

Octets operator+(Octets a, const Octets& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

Octets ip4(std::uint8_t protocol, const Octets& from, const Octets& to) {
  return Octets{0x45, 0, 0, 100, 0, 0, 0, 0, 64, protocol, 0, 0} + from + to;
}

const Octets kOurs{203, 0, 113, 2}, kPeers{198, 51, 100, 7}, kRouter{203, 0, 113, 1};
const Octets kUdp{0xca, 0x6c, 0xca, 0x6d, 0, 80, 0, 0};  // 51820 to 51821
const Octets kOurs6{0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2},
    kPeers6{0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7};

Octets error4(std::uint8_t type, std::uint8_t code, std::uint8_t protocol = 17) {
  return ip4(1, kRouter, kOurs) + Octets{type, code, 0, 0, 0, 0, 0x05, 0x00} + ip4(protocol, kOurs, kPeers) +
         kUdp;
}

Octets error6(std::uint8_t type, std::uint8_t code, std::uint8_t next_header = 17) {
  return Octets{type, code, 0, 0, 0, 0, 0x05, 0x00} + Octets{0x60, 0, 0, 0, 0, 80, next_header, 64} + kOurs6 +
         kPeers6 + kUdp;
}

const IpAddress kFrom6 = IpAddress::from_v6(kPeers6.data());

TEST(IcmpErrorsTest, SaysWhoAnsweredToWhatAndWhy) {
  const auto error = parse_icmp4_error(error4(3, 3));
  ASSERT_TRUE(error);
  EXPECT_EQ(error->kind, Kind::kPortUnreachable);
  EXPECT_EQ(to_string(error->from), "203.0.113.1");
  EXPECT_EQ(to_string(error->local), "203.0.113.2:51820");
  EXPECT_EQ(to_string(error->remote), "198.51.100.7:51821");
  EXPECT_EQ(error->mtu, 0u);
  const auto error6_ = parse_icmp6_error(error6(2, 0), kFrom6);
  ASSERT_TRUE(error6_);
  EXPECT_EQ(error6_->kind, Kind::kTooBig);
  EXPECT_EQ(error6_->mtu, 1280u);
  EXPECT_EQ(to_string(error6_->from), "fd00::7");
  EXPECT_EQ(to_string(error6_->remote), "[fd00::7]:51821");
}

TEST(IcmpErrorsTest, CodesOfBothVersions) {
  const std::pair<std::uint8_t, Kind> rows4[] = {
      {0, Kind::kUnreachable}, {1, Kind::kUnreachable},     {2, Kind::kUnreachable},
      {4, Kind::kTooBig},      {3, Kind::kPortUnreachable}, {9, Kind::kProhibited},
      {10, Kind::kProhibited}, {13, Kind::kProhibited},     {255, Kind::kUnreachable}};
  for (const auto& [code, kind] : rows4) {
    ASSERT_TRUE(parse_icmp4_error(error4(3, code)));
    EXPECT_EQ(parse_icmp4_error(error4(3, code))->kind, kind) << +code;
  }
  EXPECT_EQ(parse_icmp4_error(error4(3, 4))->mtu, 1280u);
  const std::pair<std::uint8_t, Kind> rows6[] = {{0, Kind::kUnreachable}, {1, Kind::kProhibited},
                                                 {3, Kind::kUnreachable}, {4, Kind::kPortUnreachable},
                                                 {5, Kind::kProhibited},  {6, Kind::kProhibited}};
  for (const auto& [code, kind] : rows6) {
    ASSERT_TRUE(parse_icmp6_error(error6(1, code), kFrom6));
    EXPECT_EQ(parse_icmp6_error(error6(1, code), kFrom6)->kind, kind) << +code;
  }
}

TEST(IcmpErrorsTest, OthersAreNotOurs) {
  EXPECT_FALSE(parse_icmp4_error(error4(8, 0))) << "echo request";
  EXPECT_FALSE(parse_icmp4_error(error4(11, 0))) << "time exceeded";
  EXPECT_FALSE(parse_icmp4_error(error4(3, 3, 6))) << "about TCP";
  EXPECT_FALSE(parse_icmp6_error(error6(128, 0), kFrom6)) << "echo request";
  EXPECT_FALSE(parse_icmp6_error(error6(1, 4, 6), kFrom6)) << "about TCP";
  Octets fragment = error4(3, 3);
  fragment[28 + 7] = 1;  // the offset of the datagram's header
  EXPECT_FALSE(parse_icmp4_error(fragment)) << "a later fragment has no ports";
}

// A copy of exactly that length, so that a sanitizer finds a byte too many.
template <class Parse>
std::size_t shortest_that_parses(const Octets& whole, const Parse& parse) {
  for (std::size_t length = 0; length <= whole.size(); ++length) {
    const std::unique_ptr<std::uint8_t[]> bytes(new std::uint8_t[length]);
    std::copy_n(whole.begin(), length, bytes.get());
    if (parse(std::span<const std::uint8_t>(bytes.get(), length))) return length;
  }
  return whole.size() + 1;
}

TEST(IcmpErrorsTest, EachLengthIsReadWithinItsBounds) {
  EXPECT_EQ(shortest_that_parses(error4(3, 3), [](auto bytes) { return parse_icmp4_error(bytes); }),
            20u + 8 + 20 + 4);
  EXPECT_EQ(shortest_that_parses(error6(1, 4), [](auto bytes) { return parse_icmp6_error(bytes, kFrom6); }),
            8u + 40 + 4);
  for (unsigned first = 0; first < 256; ++first) {  // each header length of both headers
    Octets odd = error4(3, 3);
    odd[0] = static_cast<std::uint8_t>(first);
    static_cast<void>(shortest_that_parses(odd, [](auto bytes) { return parse_icmp4_error(bytes); }));
    odd = error4(3, 3);
    odd[28] = static_cast<std::uint8_t>(first);
    static_cast<void>(shortest_that_parses(odd, [](auto bytes) { return parse_icmp4_error(bytes); }));
  }
}

}  // namespace
}  // namespace wg::control
