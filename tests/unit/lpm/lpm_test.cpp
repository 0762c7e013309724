#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <new>
#include <optional>
#include <random>
#include <utility>

#include "tests/unit/lpm/oracle.h"

namespace wg::lpm::test {
namespace {

template <typename Family>
class LpmTest : public testing::Test {};
using Families = testing::Types<Family4, Family6>;
TYPED_TEST_SUITE(LpmTest, Families);

// The first and the last address of a prefix and one bit beyond each: where ranges begin and end.
template <typename Family>
void add_edges(const Entry<Family>& entry, std::vector<typename Family::Address>& keys) {
  auto last = entry.bits;
  for (unsigned i = entry.length; i < Family::kWidth; ++i) Family::set_bit(last, i, true);
  keys.push_back(entry.bits);
  keys.push_back(last);
  if (entry.length == 0) return;
  for (auto beyond : {entry.bits, last}) {
    Family::set_bit(beyond, entry.length - 1, !Family::bit(beyond, entry.length - 1));
    keys.push_back(beyond);
  }
}

template <typename Family>
void expect_same_answers(const typename Family::Table& table, const Oracle<Family>& oracle,
                         std::vector<typename Family::Address> keys) {
  for (std::size_t at = 0; at < keys.size(); at += kMaxBurst) {
    const std::size_t n = std::min(kMaxBurst, keys.size() - at);
    const std::vector<typename Family::Address> burst(keys.begin() + static_cast<long>(at),
                                                      keys.begin() + static_cast<long>(at + n));
    std::vector<Value> out(n, 12345);
    Family::lookup_burst(table, burst, out.data());
    for (const char* variant : {"portable", "avx2", "avx512", "neon"}) {
      if (!select_lookup(variant)) continue;
      std::vector<Value> again(n, 12345);
      Family::lookup_burst(table, burst, again.data());
      ASSERT_EQ(again, out) << variant;
    }
    for (std::size_t i = 0; i < n; ++i) {
      ASSERT_EQ(out[i], oracle.lookup(burst[i])) << "key " << at + i;
      ASSERT_EQ(out[i], table.lookup(burst[i])) << "key " << at + i;
    }
  }
}

template <typename Family>
void expect_same_prefixes(const typename Family::Table& table, const Oracle<Family>& oracle) {
  ASSERT_EQ(table.size(), oracle.entries().size());
  std::size_t visited = 0;
  auto& expected = const_cast<Oracle<Family>&>(oracle);
  table.for_each([&](const auto& prefix, unsigned length, Value value) {
    ++visited;
    const Entry<Family>* entry = expected.find(prefix, length);
    ASSERT_NE(entry, nullptr);
    ASSERT_EQ(entry->value, value);
  });
  ASSERT_EQ(visited, oracle.entries().size());
}

template <typename Family>
std::vector<typename Family::Address> interesting_keys(Random& random, const Oracle<Family>& oracle,
                                                       std::size_t limit) {
  std::vector<typename Family::Address> keys;
  for (const auto& entry : oracle.entries()) add_edges<Family>(entry, keys);
  std::shuffle(keys.begin(), keys.end(), random);
  if (keys.size() > limit) keys.resize(limit);
  for (std::size_t i = 0; i < limit / 4; ++i) {
    const bool near = !oracle.entries().empty() && i % 4 != 0;
    keys.push_back(near ? neighbour<Family>(random, oracle.entries()[random() % oracle.entries().size()].bits)
                        : random_address<Family>(random));
  }
  return keys;
}

// The distribution of a run's prefixes: `crowd` prefixes around few centres, with lengths from `shortest` on.
struct Shape {
  std::size_t prefixes;
  std::size_t centres;
  unsigned shortest;
};

template <typename Family>
void churn(std::uint64_t seed, const Shape& shape, std::size_t steps) {
  Random random(seed);
  typename Family::Table table;
  Oracle<Family> oracle;
  const std::size_t empty = table.memory_bytes();
  std::vector<typename Family::Address> centres;
  for (std::size_t i = 0; i < shape.centres; ++i) centres.push_back(random_address<Family>(random));
  for (std::size_t step = 0; step < steps; ++step) {
    const auto& centre = centres[random() % centres.size()];
    auto prefix = neighbour<Family>(random, centre);
    auto length = shape.shortest + static_cast<unsigned>(random() % (Family::kWidth + 1 - shape.shortest));
    const bool known = !oracle.entries().empty() && random() % 3 == 0;
    if (known) {
      const auto& entry = oracle.entries()[random() % oracle.entries().size()];
      prefix = entry.bits;
      length = entry.length;
    }
    const bool removing = oracle.entries().size() >= shape.prefixes ? random() % 8 != 0 : random() % 8 == 0;
    if (removing && !oracle.entries().empty()) {
      const auto entry = oracle.entries()[random() % oracle.entries().size()];
      ASSERT_TRUE(table.remove(entry.bits, entry.length));
      ASSERT_TRUE(oracle.remove(entry.bits, entry.length));
      ASSERT_FALSE(table.remove(entry.bits, entry.length));
      ASSERT_EQ(table.find_exact(entry.bits, entry.length), std::nullopt);
    } else {
      const auto value = static_cast<Value>(random() % 5 == 0 ? kMaxValue : random() % 16);
      ASSERT_EQ(insert(table, prefix, length, value), oracle.insert(prefix, length, value));
      ASSERT_EQ(table.find_exact(prefix, length), value);
    }
    if (step % (steps / 8) == 0) {
      ASSERT_NO_FATAL_FAILURE(
          expect_same_answers<Family>(table, oracle, interesting_keys(random, oracle, 400)));
    }
  }
  ASSERT_NO_FATAL_FAILURE(expect_same_prefixes<Family>(table, oracle));
  ASSERT_NO_FATAL_FAILURE(expect_same_answers<Family>(table, oracle, interesting_keys(random, oracle, 1000)));

  // A fresh build of the same prefixes answers alike.
  typename Family::Table fresh;
  for (const auto& entry : oracle.entries()) insert(fresh, entry.bits, entry.length, entry.value);
  for (const auto& key : interesting_keys(random, oracle, 1000))
    ASSERT_EQ(fresh.lookup(key), table.lookup(key));

  for (const auto& entry : oracle.entries()) ASSERT_TRUE(table.remove(entry.bits, entry.length));
  EXPECT_EQ(table.size(), 0U);
  EXPECT_EQ(table.memory_bytes(), empty);
}

TYPED_TEST(LpmTest, ChurnFewPrefixes) {
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    ASSERT_NO_FATAL_FAILURE((churn<TypeParam>(seed, {20, 1 + seed % 3, 0}, 400))) << "seed " << seed;
  }
}

// Sanitizers make the oracle's scans minutes; the ordinary build goes through all seeds.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
constexpr std::uint64_t kSeeds = 2;
#else
constexpr bool kSanitized = false;
constexpr std::uint64_t kSeeds = 12;
#endif

TYPED_TEST(LpmTest, ChurnOneBranchAndBack) {
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    ASSERT_NO_FATAL_FAILURE((churn<TypeParam>(seed, {150, 2, TypeParam::kWidth / 2}, 1500)))
        << "seed " << seed;
  }
}

TYPED_TEST(LpmTest, ChurnAcrossTheRootsGrowth) {
  for (std::uint64_t seed = 0; seed < std::min<std::uint64_t>(kSeeds, 4); ++seed) {
    ASSERT_NO_FATAL_FAILURE((churn<TypeParam>(seed, {900, 1 + 5 * seed, 0}, kSanitized ? 1500 : 5000)))
        << "seed " << seed;
  }
}

TYPED_TEST(LpmTest, EmptyTableMatchesNothing) {
  typename TypeParam::Table table;
  EXPECT_EQ(table.lookup(typename TypeParam::Address{}), kNoMatch);
  EXPECT_EQ(table.size(), 0U);
  EXPECT_FALSE(table.remove({}, 0));
}

TYPED_TEST(LpmTest, EveryLengthOfOneAddress) {
  Random random(1);
  const auto address = random_address<TypeParam>(random);
  typename TypeParam::Table table;
  Oracle<TypeParam> oracle;
  for (unsigned length = 0; length <= TypeParam::kWidth; ++length) {
    EXPECT_TRUE(insert(table, address, length, length));
    oracle.insert(address, length, length);
  }
  ASSERT_NO_FATAL_FAILURE(
      expect_same_answers<TypeParam>(table, oracle, interesting_keys(random, oracle, 2000)));
  for (unsigned length = TypeParam::kWidth;; --length) {
    EXPECT_EQ(table.lookup(address), length);
    EXPECT_TRUE(table.remove(address, length));
    if (length == 0) break;
  }
  EXPECT_EQ(table.lookup(address), kNoMatch);
}

TYPED_TEST(LpmTest, RefusesWhatIsOutOfRange) {
  typename TypeParam::Table table;
  const Expected<Inserted> too_long = table.insert({}, TypeParam::kWidth + 1, 1);
  ASSERT_FALSE(too_long);
  EXPECT_EQ(too_long.error().code, EINVAL);
  const Expected<Inserted> too_large = table.insert({}, 8, kMaxValue + 1);
  ASSERT_FALSE(too_large);
  EXPECT_EQ(too_large.error().code, EINVAL);
  EXPECT_FALSE(table.remove({}, TypeParam::kWidth + 1));
  EXPECT_EQ(table.find_exact({}, TypeParam::kWidth + 1), std::nullopt);
  EXPECT_EQ(table.size(), 0U);
}

TYPED_TEST(LpmTest, ThreePrefixesCostLittle) {
  Random random(3);
  typename TypeParam::Table table;
  for (unsigned i = 0; i < 3; ++i) insert(table, random_address<TypeParam>(random), TypeParam::kWidth - i, i);
  EXPECT_LE(table.memory_bytes(), 2048U);
}

TYPED_TEST(LpmTest, BurstOfEverySize) {
  Random random(4);
  typename TypeParam::Table table;
  std::vector<typename TypeParam::Address> keys;
  for (Value i = 0; i < kMaxBurst; ++i) {
    keys.push_back(random_address<TypeParam>(random));
    if (i % 3 != 0) insert(table, keys.back(), TypeParam::kWidth - i % 7, i);
  }
  for (std::size_t n = 0; n <= kMaxBurst; ++n) {
    const std::vector<typename TypeParam::Address> burst(keys.begin(), keys.begin() + static_cast<long>(n));
    std::vector<Value> out(n + 1, 77);
    TypeParam::lookup_burst(table, burst, out.data());
    for (std::size_t i = 0; i < n; ++i) ASSERT_EQ(out[i], i % 3 != 0 ? i : kNoMatch) << n;
    ASSERT_EQ(out[n], 77U) << "wrote beyond the burst";
  }
}

// Where a branch stands below a grown root, its children must not be lifted to the slot; nor blocks.
TYPED_TEST(LpmTest, OneCrowdedSlotBelowAGrownRoot) {
  Random random(5);
  typename TypeParam::Table table;
  Oracle<TypeParam> oracle;
  const auto add = [&](const typename TypeParam::Address& prefix, unsigned length, Value value) {
    insert(table, prefix, length, value);
    oracle.insert(prefix, length, value);
  };
  for (Value i = 0; i < 600; ++i) add(random_address<TypeParam>(random), TypeParam::kWidth, i);
  const auto centre = random_address<TypeParam>(random);
  std::vector<Entry<TypeParam>> crowd;
  for (unsigned i = 0; i < 200; ++i) {
    auto near = random_address<TypeParam>(random);
    const unsigned shared = i < 100 ? TypeParam::kWidth - 8 : 17;
    for (unsigned bit = 0; bit < shared; ++bit) TypeParam::set_bit(near, bit, TypeParam::bit(centre, bit));
    crowd.push_back({near, TypeParam::kWidth - i % 9, 1000 + i});
    add(near, crowd.back().length, crowd.back().value);
  }
  std::reverse(crowd.begin(), crowd.end());  // the loosely related go first
  for (const auto& entry : crowd) {
    table.remove(entry.bits, entry.length);
    oracle.remove(entry.bits, entry.length);
    ASSERT_NO_FATAL_FAILURE(
        expect_same_answers<TypeParam>(table, oracle, interesting_keys(random, oracle, 100)));
    std::vector<typename TypeParam::Address> keys;
    for (int i = 0; i < 20; ++i) keys.push_back(neighbour<TypeParam>(random, centre));
    ASSERT_NO_FATAL_FAILURE(expect_same_answers<TypeParam>(table, oracle, keys));
  }
}

// As in a routing table: many prefixes behind few first bits, most in a shorter one, so that a burst goes
// through branches and arrays below arrays. The keys lie inside, with random bits behind.
TYPED_TEST(LpmTest, CrowdsInsidePrefixesInsideFewSlots) {
  for (std::uint64_t seed = 0; seed < std::min<std::uint64_t>(kSeeds, 6); ++seed) {
    Random random(seed);
    typename TypeParam::Table table;
    Oracle<TypeParam> oracle;
    const unsigned slots = seed < 3 ? 2 : 40;
    const unsigned outer = TypeParam::kWidth / 8 + 4;
    std::vector<typename TypeParam::Address> centres;
    for (unsigned i = 0; i < slots; ++i) centres.push_back(random_address<TypeParam>(random));
    if (seed % 2 == 0) {  // 2000::/3
      for (auto& centre : centres) {
        for (unsigned bit = 0; bit < 3; ++bit) TypeParam::set_bit(centre, bit, bit == 2);
      }
    }
    while (oracle.entries().size() < 900) {
      auto prefix = random_address<TypeParam>(random);
      const auto& parents = oracle.entries();
      const bool inside = !parents.empty() && random() % 3 != 0;
      const auto parent =
          inside ? parents[random() % parents.size()] : Entry<TypeParam>{centres[random() % slots], outer, 0};
      const unsigned length =
          std::min<unsigned>(TypeParam::kWidth, parent.length + static_cast<unsigned>(random() % 17));
      for (unsigned bit = 0; bit < parent.length; ++bit)
        TypeParam::set_bit(prefix, bit, TypeParam::bit(parent.bits, bit));
      const auto value = static_cast<Value>(random() % 64);
      ASSERT_EQ(insert(table, prefix, length, value), oracle.insert(prefix, length, value));
    }
    std::vector<typename TypeParam::Address> keys;
    for (unsigned i = 0; i < 4000; ++i) {
      const auto& entry = oracle.entries()[random() % oracle.entries().size()];
      auto key = random_address<TypeParam>(random);
      for (unsigned bit = 0; bit < entry.length; ++bit)
        TypeParam::set_bit(key, bit, TypeParam::bit(entry.bits, bit));
      keys.push_back(key);
    }
    ASSERT_NO_FATAL_FAILURE(expect_same_answers<TypeParam>(table, oracle, keys)) << "seed " << seed;
    // A prefix that covers everything is added and removed: every line must follow.
    const typename TypeParam::Address zero{};
    for (const unsigned length : {1U, 3U, 9U}) {
      const auto covering = random_address<TypeParam>(random);
      for (const auto& prefix : {covering, centres.front(), zero}) {
        ASSERT_EQ(insert(table, prefix, length, 99), oracle.insert(prefix, length, 99));
        ASSERT_NO_FATAL_FAILURE(expect_same_answers<TypeParam>(table, oracle, keys)) << "seed " << seed;
      }
    }
  }
}

// Too many for the list; distinct prefixes of one length are their own oracle.
TYPED_TEST(LpmTest, HundredThirtyThousandPrefixes) {
  constexpr Value kPrefixes = 130560;
  Random random(6);
  typename TypeParam::Table table;
  const std::size_t empty = table.memory_bytes();
  std::vector<typename TypeParam::Address> prefixes(kPrefixes);
  for (Value i = 0; i < kPrefixes; ++i) {
    prefixes[i] = random_address<TypeParam>(random);
    for (unsigned bit = 0; bit < 20; ++bit) TypeParam::set_bit(prefixes[i], 12 + bit, (i >> bit & 1) != 0);
    ASSERT_TRUE(insert(table, prefixes[i], 32, i));
  }
  ASSERT_EQ(table.size(), kPrefixes);
  for (Value i = 0; i < kPrefixes; ++i) ASSERT_EQ(table.lookup(prefixes[i]), i);
  for (Value i = 0; i < kPrefixes; i += 2) ASSERT_TRUE(table.remove(prefixes[i], 32));
  for (Value i = 0; i < kPrefixes; ++i) ASSERT_EQ(table.lookup(prefixes[i]), i % 2 == 0 ? kNoMatch : i);
  for (Value i = 1; i < kPrefixes; i += 2) ASSERT_TRUE(table.remove(prefixes[i], 32));
  EXPECT_EQ(table.memory_bytes(), empty);
}

// Part by part, while others come and go and the root grows and shrinks: those that stay are visited.
TEST(LpmParts, WhatStaysIsVisited) {
  for (const std::uint32_t come_and_go : {0u, 100u, 6000u}) {
    Lpm4 table;
    std::map<std::pair<std::uint32_t, unsigned>, unsigned> visits;
    const auto of_others = [](std::uint32_t i) { return 0x20000000u + i * 0x9e3779b1u % 0x40000000u; };
    for (std::uint32_t i = 0; i < come_and_go; ++i) ASSERT_TRUE(table.insert(of_others(i), 32, 1));
    for (std::uint32_t i = 0; i < 120; ++i) {
      const unsigned length = i % 33;
      const std::uint32_t bits = length == 0 ? 0 : i * 0x9e3779b1u >> (32 - length) << (32 - length);
      ASSERT_TRUE(table.insert(bits, length, 2));
      visits[{bits, length}] = 0;
    }
    std::optional<std::size_t> part = 0;
    unsigned parts = 0;
    for (std::uint32_t gone = 0; part; ++parts) {
      part = table.for_part(*part, [&](std::uint32_t bits, unsigned length, Value) {
        if (const auto at = visits.find({bits, length}); at != visits.end()) ++at->second;
      });
      for (std::uint32_t i = 0; i < 2000 && gone < come_and_go; ++i) table.remove(of_others(gone++), 32);
    }
    for (const auto& [prefix, times] : visits)
      EXPECT_GE(times, 1u) << prefix.first << '/' << prefix.second << " beside " << come_and_go;
    EXPECT_GE(parts, come_and_go == 6000 ? 4u : 1u);
  }
}

// All of them, none twice, and no part has too many.
TYPED_TEST(LpmTest, PartsAreTheWhole) {
  typename TypeParam::Table table;
  std::mt19937_64 random(7);
  for (int i = 0; i < 20'000; ++i) {
    typename TypeParam::Address address{};
    for (unsigned bit = 0; bit < TypeParam::kWidth; ++bit)
      TypeParam::set_bit(address, bit, random() % 2 == 1);
    static_cast<void>(
        table.insert(address, 8 + static_cast<unsigned>(random() % (TypeParam::kWidth - 7)), 1));
  }
  std::size_t visited = 0, most = 0;
  for (std::optional<std::size_t> part = 0; part;) {
    std::size_t here = 0;
    part = table.for_part(*part, [&](const auto& prefix, unsigned length, Value value) {
      ++here;
      EXPECT_EQ(table.find_exact(prefix, length), value);
    });
    visited += here;
    most = std::max(most, here);
  }
  EXPECT_EQ(visited, table.size());
  EXPECT_LT(most, 6000u);
}

}  // namespace
}  // namespace wg::lpm::test
