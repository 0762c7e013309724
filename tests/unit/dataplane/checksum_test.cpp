// Every variant of the long checksum against a sum of two bytes at a time.
#include <gtest/gtest.h>

#include "dataplane/packet/checksum_long.h"
#include "tests/packets/packet.h"

namespace wg::test {
namespace {

using namespace dataplane;

TEST(ChecksumVariants, EqualTheOracleAtEveryLengthAndOffset) {
  Octets bytes = pattern(2200, 5);
  for (std::size_t i = 300; i < 700; ++i) bytes[i] = 0xff;  // carries
  for (const ChecksumVariant& variant : checksum_variants()) {
    SCOPED_TRACE(variant.name);
    for (std::size_t size = 0; size <= 2100; size += size < 300 ? 1 : 37) {
      for (const std::size_t offset : {std::size_t{0}, std::size_t{1}, std::size_t{2}, std::size_t{63}}) {
        const std::uint32_t expected = ones_sum(bytes, offset, offset + size, 0x1234);
        const ChecksumSum start = Be16{0x1234}.native();
        const std::uint16_t got = checksum_fold(variant.add(start, bytes.data() + offset, size));
        ASSERT_EQ(Be16::from_native(got).value(), expected) << size << " at " << offset;
      }
    }
  }
}

// Stale bytes behind the data must not count.
TEST(ChecksumVariants, ReadNothingBehindTheEnd) {
  for (const ChecksumVariant& variant : checksum_variants()) {
    for (std::size_t size = 0; size < 130; ++size) {
      Octets clean(256), dirty(256, 0xa5);
      std::fill_n(dirty.begin(), size, std::uint8_t{0});
      EXPECT_EQ(variant.add(0, dirty.data(), size), variant.add(0, clean.data(), size))
          << variant.name << size;
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
}  // namespace wg::test
