// Walks over peers that come and go meanwhile, and what one slice of very many costs.
#include "control/gateway/peer_walk.h"

#include <gtest/gtest.h>

#include <cstring>
#include <ctime>
#include <map>

namespace wg::control {
namespace {

using dataplane::InterfaceId;
using dataplane::Peer;
using dataplane::PeerTable;

class PeerWalkTest : public testing::Test {
 protected:
  static config::Key key_of(std::uint32_t number) {
    config::Key key;
    std::memcpy(key.bytes.data(), &number, sizeof number);
    return key;
  }
  PeerRecord& add(std::uint32_t number) { return book.add(*table.add(InterfaceId{0}), key_of(number)); }
  void remove(std::uint32_t number) {
    const PeerRecord* record = book.find(key_of(number));
    Peer& slot = *record->slot;
    book.erase(*record);
    table.remove(slot);
  }
  // One slice of a single peer. Returns as walk() does.
  bool slice() { return slice_until(SliceEnd::min()); }
  bool slice_until(SliceEnd until) {
    if (!at.begun) include(book, at);
    return walk(at, until, table, [this](const Peer& peer) {
      const PeerRecord* record = book.find_slot(peer.slot);
      if (record == nullptr) return false;
      std::uint32_t number = 0;
      std::memcpy(&number, record->public_key.bytes.data(), sizeof number);
      ++met[number];
      return true;
    });
  }
  void walk_to_end() {
    while (slice()) {
    }
  }

  PeerTable table{300'000};
  PeerBook book{lpm::immediate_reclaimer()};
  PeerCursor at;
  std::map<std::uint32_t, unsigned> met;  // how often, by number
};

TEST_F(PeerWalkTest, MeetsEachPeerOnceAndOnePerSliceAtLeast) {
  for (std::uint32_t i = 0; i < 5; ++i) add(i);
  unsigned slices = 1;
  while (slice()) ++slices;
  EXPECT_EQ(slices, 5U);
  EXPECT_EQ(met, (std::map<std::uint32_t, unsigned>{{0, 1}, {1, 1}, {2, 1}, {3, 1}, {4, 1}}));
}

TEST_F(PeerWalkTest, OneThatGoesIsNotMetAndTheOthersAreOnce) {
  for (std::uint32_t i = 0; i < 6; ++i) add(i);
  slice(), slice();
  remove(0);  // was met
  remove(4);
  walk_to_end();
  EXPECT_EQ(met, (std::map<std::uint32_t, unsigned>{{0, 1}, {1, 1}, {2, 1}, {3, 1}, {5, 1}}));
}

TEST_F(PeerWalkTest, OneThatComesMeanwhileIsNotMetWhicheverSlotItGets) {
  for (std::uint32_t i = 0; i < 4; ++i) add(i);
  slice(), slice();
  remove(3);
  add(10);  // in the slot that is free
  add(11);  // behind all
  walk_to_end();
  EXPECT_EQ(met, (std::map<std::uint32_t, unsigned>{{0, 1}, {1, 1}, {2, 1}}));
}

TEST_F(PeerWalkTest, OneThatWasMetAndComesAgainIsNotMetTwice) {
  for (std::uint32_t i = 0; i < 4; ++i) add(i);
  slice();
  remove(3);
  remove(0);
  add(20);  // takes slot 0
  add(0);   // takes slot 3, which is still to come
  walk_to_end();
  EXPECT_EQ(met.at(0), 1U);
  EXPECT_FALSE(met.contains(20));
}

TEST_F(PeerWalkTest, WithoutPeersItEndsAtOnce) {
  EXPECT_FALSE(slice());
  EXPECT_TRUE(met.empty());
}

std::chrono::nanoseconds time_on_core() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

// Where 100 000 have just gone the slots are passed quickly, and not all of them in one slice either.
TEST_F(PeerWalkTest, ASliceOfAHundredThousandTakesAboutAMillisecond) {
  constexpr std::uint32_t kPeers = 100'000;
  for (std::uint32_t i = 0; i < kPeers; ++i) add(i);
  for (std::uint32_t i = 0; i < kPeers; i += 2) remove(i);
  unsigned slices = 0;
  for (bool more = true; more; ++slices) {
    const auto before = time_on_core();
    more = slice_until(std::chrono::steady_clock::now() + std::chrono::milliseconds(1));
    EXPECT_LT(time_on_core() - before, std::chrono::milliseconds(5));
  }
  EXPECT_EQ(met.size(), kPeers / 2);
  EXPECT_GT(slices, 3U);
}

}  // namespace
}  // namespace wg::control
