// The Internet checksum against a byte-wise oracle: all lengths, all alignments, all pieces.
#include "dataplane/packet/checksum.h"

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <vector>

namespace wg::dataplane {
namespace {

// RFC 1071 section 1, word by word in network order.
std::uint16_t oracle(Bytes bytes, std::uint32_t sum = 0) {
  for (std::size_t i = 0; i < bytes.size(); ++i) sum += i % 2 == 0 ? bytes[i] << 8 : bytes[i];
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(sum);
}

std::uint16_t sum_of(ChecksumSum sum) {
  return Be16::from_native(checksum_fold(sum)).value();
}

// 251 is the largest prime below 256: words that change places change nothing, words that are missing do.
std::vector<std::uint8_t> pattern(std::size_t size, std::size_t seed = 0) {
  std::vector<std::uint8_t> bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::uint8_t>((i * 3 + seed) % 251 + 5);
  return bytes;
}

TEST(Checksum, ExampleOfRfc1071) {
  const std::vector<std::uint8_t> bytes{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
  EXPECT_EQ(sum_of(checksum_add(0, bytes)), 0xddf2);
  EXPECT_EQ(checksum_finish(checksum_add(0, bytes)).value(), 0x220d);
}

TEST(Checksum, EveryLengthAndAlignment) {
  for (std::size_t size = 0; size <= 300; ++size) {
    for (std::size_t misalign = 0; misalign < 33; ++misalign) {
      const auto block = std::make_unique<std::uint8_t[]>(size + misalign);
      const auto from = pattern(size, misalign);
      std::copy(from.begin(), from.end(), block.get() + misalign);
      const Bytes bytes{block.get() + misalign, size};
      ASSERT_EQ(sum_of(checksum_add(0, bytes)), oracle(bytes)) << size << "+" << misalign;
      const auto copy = std::make_unique<std::uint8_t[]>(size + misalign);
      ASSERT_EQ(sum_of(checksum_copy(0, copy.get() + misalign, bytes.data(), size)), oracle(bytes));
      ASSERT_TRUE(std::equal(bytes.begin(), bytes.end(), copy.get() + misalign));
    }
  }
}

TEST(Checksum, NoCarryIsLostWhenAllBitsAreSet) {
  for (const std::size_t size : {1u, 2u, 31u, 32u, 33u, 1499u, 9000u, 65535u, 1u << 20}) {
    const std::vector<std::uint8_t> ones(size, 0xff);
    EXPECT_EQ(sum_of(checksum_add(0, ones)), size % 2 == 0 ? 0xffff : 0xff00) << size;
    EXPECT_EQ(sum_of(checksum_add(~ChecksumSum{0}, ones)), size % 2 == 0 ? 0xffff : 0xff00) << size;
  }
  EXPECT_EQ(checksum_fold(0), 0);
  EXPECT_EQ(checksum_fold(~ChecksumSum{0}), 0xffff);
  EXPECT_EQ(checksum_fold(0xffff0000ffff0001U), 1);
}

TEST(Checksum, PiecesOfEvenLengthAddUp) {
  const auto bytes = pattern(777);
  for (std::size_t cut = 0; cut <= 776; cut += 2) {
    const Bytes all(bytes);
    const ChecksumSum first = checksum_add(0, all.first(cut));
    ASSERT_EQ(sum_of(checksum_add(first, all.subspan(cut))), oracle(all)) << cut;
  }
}

TEST(Checksum, PseudoHeaders) {
  std::vector<std::uint8_t> v4{192, 0, 2, 1, 198, 51, 100, 7, 0, 17, 0x05, 0xdc};
  EXPECT_EQ(sum_of(pseudo_header_v4(v4.data(), v4.data() + 4, 17, 0x5dc)), oracle(v4));
  std::vector<std::uint8_t> v6 = pattern(32, 77);
  v6.insert(v6.end(), {0, 1, 0x00, 0x00, 0, 0, 0, 6});
  EXPECT_EQ(sum_of(pseudo_header_v6(v6.data(), v6.data() + 16, 6, 0x10000)), oracle(v6));
}

TEST(Checksum, HeaderExampleAndItsDamage) {
  std::vector<std::uint8_t> bytes{0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11,
                                  0xb8, 0x61, 0xc0, 0xa8, 0x00, 0x01, 0xc0, 0xa8, 0x00, 0xc7};
  Ipv4Header* ip = header_at<Ipv4Header>(bytes.data());
  EXPECT_TRUE(ipv4_checksum_valid(*ip));
  ip->checksum = Be16{0};
  ipv4_checksum_fill(ip);
  EXPECT_EQ(ip->checksum.value(), 0xb861);
  for (std::size_t bit = 0; bit < 160; ++bit) {
    bytes[bit / 8] ^= static_cast<std::uint8_t>(1u << bit % 8);
    // A flipped bit in the length of the header itself is parse_ipv4's to find.
    if (bit >= 4) {
      EXPECT_FALSE(ipv4_checksum_valid(*ip)) << bit;
    }
    bytes[bit / 8] ^= static_cast<std::uint8_t>(1u << bit % 8);
  }
}

TEST(Checksum, UdpNeverSaysNone) {
  EXPECT_EQ(checksum_finish(0xffff).value(), 0);
  EXPECT_EQ(checksum_finish_udp(0xffff).value(), 0xffff);
  EXPECT_EQ(checksum_finish_udp(0x1234), checksum_finish(0x1234));
}

class Updated : public ::testing::Test {
 protected:
  std::vector<std::uint8_t> bytes_;
  std::mt19937 random_{251};

  Ipv4Header* fresh() {
    const std::size_t words = 5 + random_() % 11;
    bytes_.resize(words * 4);
    for (auto& byte : bytes_) byte = static_cast<std::uint8_t>(random_());
    // Sparse headers reach sums near 0 and 0xffff, where one's complement goes wrong first.
    if (random_() % 4 == 0) std::fill(bytes_.begin() + 1, bytes_.end(), random_() % 2 == 0 ? 0x00 : 0xff);
    bytes_[0] = static_cast<std::uint8_t>(0x40 | words);
    Ipv4Header* ip = header_at<Ipv4Header>(bytes_.data());
    ipv4_checksum_fill(ip);
    return ip;
  }
  Be16 recomputed() {
    std::vector<std::uint8_t> copy = bytes_;
    copy[10] = copy[11] = 0;
    return Be16{static_cast<std::uint16_t>(~oracle(copy))};
  }
};

TEST_F(Updated, TimeToLive) {
  for (int round = 0; round < 20000; ++round) {
    Ipv4Header* ip = fresh();
    const std::uint8_t before = ip->ttl;
    if (before == 0) continue;  // it is not forwarded
    ipv4_decrement_ttl(ip);
    ASSERT_EQ(ip->ttl, static_cast<std::uint8_t>(before - 1));
    ASSERT_EQ(ip->checksum, recomputed()) << round;
  }
}

TEST_F(Updated, TypeOfService) {
  for (int round = 0; round < 20000; ++round) {
    Ipv4Header* ip = fresh();
    ipv4_set_tos(ip, static_cast<std::uint8_t>(random_()));
    ASSERT_EQ(ip->checksum, recomputed()) << round;
  }
}

TEST_F(Updated, AddressesAndWords) {
  for (int round = 0; round < 20000; ++round) {
    Ipv4Header* ip = fresh();
    Ipv4Bytes address;
    for (auto& byte : address) byte = static_cast<std::uint8_t>(random_() % 3 == 0 ? 0xff : random_());
    ip->checksum = checksum_update(ip->checksum, ip->source.data(), address.data(), 4);
    ip->source = address;
    ASSERT_EQ(ip->checksum, recomputed()) << round;
    const Be16 id{static_cast<std::uint16_t>(random_())};
    ip->checksum = checksum_update(ip->checksum, ip->id, id);
    ip->id = id;
    ASSERT_EQ(ip->checksum, recomputed()) << round;
  }
}

}  // namespace
}  // namespace wg::dataplane
