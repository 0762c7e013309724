#include "dataplane/io/stripped_tags.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/unit/io/mbufs.h"

namespace wg::dataplane::test {
namespace {

// From 02:..:02 to 02:..:01, IPv4 inside.
Octets frame() {
  return {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x08, 0x00, 0x45, 0x00, 0x11, 0x22};
}

rte_mbuf* stripped(const MbufPool& pool, std::uint16_t tci) {
  rte_mbuf* packet = pool.filled(frame());
  packet->ol_flags = RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED;
  packet->vlan_tci = tci;
  return packet;
}

class StrippedTagsTest : public ::testing::Test {
 protected:
  std::uint16_t put_back(std::vector<rte_mbuf*> packets) {
    const std::uint16_t n =
        tags.put_back(packets.data(), static_cast<std::uint16_t>(packets.size()), counters);
    left.clear();
    for (std::uint16_t i = 0; i < n; ++i) {
      left.push_back(contents(packets[i]));
      rte_pktmbuf_free(packets[i]);
    }
    return n;
  }

  MbufPool pool;
  StrippedTags tags;
  WorkerCounters counters;
  std::vector<Octets> left;
};

TEST_F(StrippedTagsTest, ATagThatTheDeviceTookOffIsPutBackWithItsPriority) {
  tags.know({7});
  ASSERT_EQ(put_back({stripped(pool, 0x6007)}), 1);
  EXPECT_EQ(left[0], (Octets{2, 0,    0,    0,    0,    1,    2,    0,    0,    0,    0,
                             2, 0x81, 0x00, 0x60, 0x07, 0x08, 0x00, 0x45, 0x00, 0x11, 0x22}));
}

TEST_F(StrippedTagsTest, AFrameWithoutOneStaysAsItIs) {
  tags.know({0, 7});
  rte_mbuf* packet = pool.filled(frame());
  packet->vlan_tci = 7;  // of the frame before in this buffer
  ASSERT_EQ(put_back({packet}), 1);
  EXPECT_EQ(left[0], frame());
}

TEST_F(StrippedTagsTest, ATagThatNobodyAskedForIsThePhysicalFunctions) {
  tags.know({7, 4095});
  ASSERT_EQ(put_back({stripped(pool, 8), stripped(pool, 71)}), 2);
  EXPECT_EQ(left[0], frame());
  EXPECT_EQ(left[1], frame());
}

TEST_F(StrippedTagsTest, AVlanThatIsGoneStaysKnown) {
  tags.know({7, 4095});
  tags.know({9});
  ASSERT_EQ(put_back({stripped(pool, 7), stripped(pool, 4095), stripped(pool, 9)}), 3);
  for (const Octets& bytes : left) EXPECT_EQ(bytes.size(), frame().size() + 4);
}

TEST_F(StrippedTagsTest, AFrameWithoutRoomIsDroppedAndTheOthersKeepTheirOrder) {
  tags.know({7});
  rte_mbuf* full = pool.filled(frame());
  rte_pktmbuf_prepend(full, rte_pktmbuf_headroom(full));
  full->ol_flags = RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED;
  full->vlan_tci = 7;
  rte_mbuf* first = pool.filled(frame());
  ASSERT_EQ(put_back({first, full, stripped(pool, 7)}), 2);
  EXPECT_EQ(left[0], frame());
  EXPECT_EQ(left[1].size(), frame().size() + 4);
  EXPECT_EQ(counters.drops.get(DropReason::no_headroom), 1u);
}

}  // namespace
}  // namespace wg::dataplane::test
