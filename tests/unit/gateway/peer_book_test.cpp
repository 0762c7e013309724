// The peers of an interface by key, slot and name, and whose a prefix is.
#include "control/interface/peer_book.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "dataplane/session/peer_table.h"

namespace wg::control {
namespace {

config::Key key_of(std::uint8_t number) {
  config::Key key;
  key.bytes[0] = number;
  return key;
}

config::Prefix prefix(const char* text) {
  return *config::parse_prefix(text);
}

class PeerBookTest : public testing::Test {
 protected:
  PeerRecord& add(std::uint8_t number) {
    return book.add(*slots.add(dataplane::InterfaceId{0}), key_of(number));
  }
  // The owner of the longest prefix over 10.1.2.3, as the workers look it up; lpm::kNoMatch: none.
  std::uint32_t owner_of_10_1_2_3() const { return book.allowed4().lookup(0x0a010203); }

  dataplane::PeerTable slots{8};
  PeerBook book{lpm::immediate_reclaimer()};
};

// A worker may be in the middle of a lookup when the interface and its book go.
TEST(PeerBookTables, StayWhereTheyAreWhenTheBookGoes) {
  dataplane::PeerTable slots{8};
  auto book = std::make_unique<PeerBook>(lpm::immediate_reclaimer());
  PeerRecord& alice = book->add(*slots.add(dataplane::InterfaceId{0}), key_of(1));
  const std::uint32_t slot = alice.slot->slot;
  book->give_prefix(alice, prefix("10.1.0.0/16"));
  const lpm::Lpm4* const seen4 = &book->allowed4();
  const lpm::Lpm6* const seen6 = &book->allowed6();
  const auto tables = book->tables();
  book.reset();
  EXPECT_EQ(&tables->allowed4, seen4);
  EXPECT_EQ(&tables->allowed6, seen6);
  EXPECT_EQ(seen4->lookup(0x0a010203), slot);
}

TEST_F(PeerBookTest, FindsByKeySlotAndName) {
  PeerRecord& alice = add(1);
  book.rename(alice, "alice");
  EXPECT_EQ(book.find(key_of(1)), &alice);
  EXPECT_EQ(book.find_slot(alice.slot->slot), &alice);
  EXPECT_EQ(book.find_name("alice"), &alice);
  EXPECT_EQ(book.find(key_of(2)), nullptr);
  EXPECT_EQ(book.find_slot(alice.slot->slot + 1), nullptr);
  EXPECT_EQ(book.find_name("bob"), nullptr);
}

TEST_F(PeerBookTest, AnErasedPeerIsFoundByNothing) {
  PeerRecord& alice = add(1);
  book.rename(alice, "alice");
  const std::uint32_t slot = alice.slot->slot;
  book.give_prefix(alice, prefix("10.1.0.0/16"));
  book.clear_allowed_ips(alice);
  book.erase(alice);
  EXPECT_EQ(book.find(key_of(1)), nullptr);
  EXPECT_EQ(book.find_slot(slot), nullptr);
  EXPECT_EQ(book.find_name("alice"), nullptr);
  EXPECT_EQ(owner_of_10_1_2_3(), lpm::kNoMatch);
  EXPECT_EQ(book.prefixes(), 0U);
}

TEST_F(PeerBookTest, ANameThatPassedOnStaysWithItsNewOwner) {
  PeerRecord& alice = add(1);
  PeerRecord& bob = add(2);
  book.rename(alice, "gate");
  book.rename(bob, "gate");
  book.rename(alice, "alice");
  EXPECT_EQ(book.find_name("gate"), &bob);
  book.rename(bob, "");
  EXPECT_EQ(book.find_name("gate"), nullptr);
  EXPECT_EQ(book.find_name(""), nullptr);
}

TEST_F(PeerBookTest, APrefixHasOneOwner) {
  PeerRecord& alice = add(1);
  PeerRecord& bob = add(2);
  book.give_prefix(alice, prefix("10.1.0.0/16"));
  EXPECT_EQ(owner_of_10_1_2_3(), alice.slot->slot);
  book.give_prefix(bob, prefix("10.1.0.0/16"));
  EXPECT_EQ(owner_of_10_1_2_3(), bob.slot->slot);
  EXPECT_TRUE(alice.allowed_ips.empty());
  EXPECT_FALSE(book.take_prefix(alice, prefix("10.1.0.0/16"))) << "it is no longer hers to give up";
  EXPECT_EQ(owner_of_10_1_2_3(), bob.slot->slot);
  EXPECT_TRUE(book.take_prefix(bob, prefix("10.1.0.0/16")));
  EXPECT_EQ(owner_of_10_1_2_3(), lpm::kNoMatch);
}

}  // namespace
}  // namespace wg::control
