// Every variant of the burst checksum against a sum of two bytes at a time.
#include <gtest/gtest.h>

#include "dataplane/packet/checksum_burst.h"
#include "tests/worker_world/packet.h"

namespace wg::test::checksum_burst_test {
namespace {

using namespace dataplane;

// One burst of pieces of every length and several offsets, so that neighbours differ.
TEST(ChecksumVariants, EqualTheOracleAtEveryLengthAndOffset) {
  Octets bytes = pattern(2200, 5);
  for (std::size_t i = 300; i < 700; ++i) bytes[i] = 0xff;  // carries
  std::vector<ChecksumPiece> pieces;
  std::vector<std::uint32_t> expected;
  for (std::size_t size = 0; size <= 2100; size += size < 300 ? 1 : 37) {
    for (const std::size_t offset : {std::size_t{0}, std::size_t{1}, std::size_t{2}, std::size_t{63}}) {
      const auto start = static_cast<std::uint16_t>(0x1234 + size);
      pieces.push_back({bytes.data() + offset, static_cast<std::uint32_t>(size), Be16{start}.native()});
      expected.push_back(ones_sum(bytes, offset, offset + size, start));
    }
  }
  for (const ChecksumVariant& variant : checksum_variants()) {
    SCOPED_TRACE(variant.name);
    for (std::size_t n = 0; n < 70; ++n) {
      std::vector<std::uint16_t> folded(n + 1, 0x5a5a);
      const std::size_t at = n * 7 % (pieces.size() - 70);
      variant.burst(pieces.data() + at, folded.data(), n);
      for (std::size_t i = 0; i < n; ++i)
        ASSERT_EQ(Be16::from_native(folded[i]).value(), expected[at + i]) << pieces[at + i].size;
      EXPECT_EQ(folded[n], 0x5a5a);
    }
    std::vector<std::uint16_t> folded(pieces.size());
    variant.burst(pieces.data(), folded.data(), pieces.size());
    for (std::size_t i = 0; i < pieces.size(); ++i)
      ASSERT_EQ(Be16::from_native(folded[i]).value(), expected[i]) << pieces[i].size;
  }
}

// The largest sums there are: nothing may overflow.
TEST(ChecksumVariants, AddTheLongestDatagramOfOnes) {
  const Octets ones(65600, 0xff);
  for (const ChecksumVariant& variant : checksum_variants()) {
    for (const std::uint32_t start : {0u, 1u, 0xfffffu}) {
      const ChecksumPiece piece{ones.data(), 65600, start};
      std::uint16_t folded = 0;
      variant.burst(&piece, &folded, 1);
      EXPECT_EQ(folded, checksum_fold(checksum_add(start, ones.data(), ones.size()))) << variant.name;
    }
  }
}

// Stale bytes behind the data must not count.
TEST(ChecksumVariants, ReadNothingBehindTheEnd) {
  for (const ChecksumVariant& variant : checksum_variants()) {
    for (std::uint32_t size = 0; size < 130; ++size) {
      Octets dirty(256, 0xa5);
      std::fill_n(dirty.begin(), size, std::uint8_t{0});
      const ChecksumPiece piece{dirty.data(), size, 0};
      std::uint16_t folded = 1;
      variant.burst(&piece, &folded, 1);
      EXPECT_EQ(folded, 0) << variant.name << size;
    }
  }
}

// The incremental update of a TTL, over every checksum there is.
TEST(Ttl, DecrementsLikeAFullSum) {
  for (std::uint32_t id = 0; id <= 0xffff; ++id) {
    Octets header = Packet().ip4("10.0.0.1", "10.0.0.2").id(static_cast<std::uint16_t>(id)).build();
    ipv4_decrement_ttl(header_at<Ipv4Header>(header.data()));
    const Octets expected = Packet().ip4("10.0.0.1", "10.0.0.2").id(static_cast<std::uint16_t>(id)).ttl(63);
    ASSERT_EQ(header, expected) << id;
  }
}

}  // namespace
}  // namespace wg::test::checksum_burst_test
