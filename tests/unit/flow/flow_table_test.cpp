// The table against a map, at loads that fill buckets, and with readers beside the writer.
#include "dataplane/flow/flow_table.h"

#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "dataplane/thread/quiescence.h"
#include "tests/unit/flow/flows.h"

namespace wg::test {
namespace {

using namespace dataplane;

constexpr FlowTable::HashKey kKey{0x9e3779b97f4a7c15, 0xbf58476d1ce4e5b9, 0x94d049bb133111eb,
                                  0x2545f4914f6cdd1d, 0xd6e8feb86659fd93, 0xa0761d6478bd642f};
// Every tuple has the same hash: products with zero are zero.
constexpr FlowTable::HashKey kAllCollide{0, 0, 0, 0, 0, 0};
const auto kAtOnce = [](const std::function<void()>& free) { free(); };
const FlowIngress kFrom = FlowIngress::interface(dataplane::InterfaceId{1}),
                  kBack = FlowIngress::port(dataplane::PortIndex{2}, 3);

constexpr BootSeconds kSince{WholeSeconds(7)};

FlowNumber insert(FlowTable& table, const FlowTuple& original, const FlowTuple& reply) {
  return table.insert(original, reply, kFrom, kBack, kSince);
}

// What a worker finds for packets of these tuples.
std::vector<FlowDirection*> find_all(const FlowTable& table, const std::vector<FlowTuple>& tuples) {
  std::vector<Octets> packets;
  std::vector<FlowProbe> probes;
  for (const FlowTuple& t : tuples) packets.push_back(packet_of(t, {}));
  for (std::size_t i = 0; i < tuples.size(); ++i) probes.push_back({packets[i].data(), tuples[i].source.v6});
  std::vector<FlowDirection*> found(tuples.size());
  for (std::size_t i = 0; i < tuples.size(); i += FlowTable::kMaxBurst)
    table.find_burst(&probes[i], std::min(FlowTable::kMaxBurst, tuples.size() - i), &found[i]);
  return found;
}

TEST(FlowTable, FindsBothDirectionsAndTheirOpposites) {
  FlowTable table(10, kKey, kAtOnce);
  const FlowTuple original = tuple("10.10.0.2", 40000, "198.51.100.7", 443, kTcp);
  const FlowTuple reply = tuple("198.51.100.7", 443, "203.0.113.2", 61001, kTcp);
  const FlowNumber number = insert(table, original, reply);
  ASSERT_NE(number, kNoFlow);
  Flow& flow = table.at(number);
  const auto found = find_all(table, {original, reply, original.turned_round(), reply.turned_round()});
  EXPECT_EQ(found, (std::vector<FlowDirection*>{&flow.direction[kOriginal], &flow.direction[kReply], nullptr,
                                                nullptr}));
  EXPECT_EQ(&FlowTable::opposite(flow.direction[kOriginal]), &flow.direction[kReply]);
  EXPECT_EQ(&FlowTable::opposite(flow.direction[kReply]), &flow.direction[kOriginal]);
  EXPECT_EQ(FlowIngress::from_bits(flow.direction[kOriginal].ingress), kFrom);
  EXPECT_EQ(FlowIngress::from_bits(flow.direction[kReply].ingress), kBack);
  EXPECT_EQ(flow.direction[kReply].last_used.load(), kSince);
  EXPECT_EQ(table.find(original), number);
  EXPECT_EQ(table.find(reply), number);
  EXPECT_EQ(insert(table, original, reply), kNoFlow) << "a packet belongs to one flow";
  EXPECT_EQ(insert(table, tuple("1.1.1.1", 1, "2.2.2.2", 2), reply), kNoFlow);
  table.remove(number);
  EXPECT_EQ(find_all(table, {original, reply}), (std::vector<FlowDirection*>{nullptr, nullptr}));
  EXPECT_EQ(table.size(), 0u);
  table.remove(number);
  EXPECT_EQ(table.size(), 0u) << "once";
}

class Oracle : public ::testing::TestWithParam<std::size_t> {};

// Inserts, removes, clears and looks up at random. A refused insert must have a reason: the capacity, a tuple
// that is taken, or full buckets, which is rare.
TEST_P(Oracle, AgreesWithAMap) {
  const std::size_t capacity = GetParam();
  FlowTable table(capacity, kKey, kAtOnce);
  std::map<std::string, std::pair<FlowNumber, std::size_t>> oracle;
  std::vector<std::pair<FlowTuple, FlowTuple>> alive;
  RandomTuples random(static_cast<std::uint32_t>(capacity));
  const std::uint32_t variety = capacity < 100 ? 4 : 60;
  std::size_t refused = 0, inserted = 0;
  for (int step = 0; step < 60000; ++step) {
    const std::uint32_t what = random.below(100);
    if (what < 60) {
      const FlowTuple original = random.next(variety), reply = [&] {
        FlowTuple t = random.next(variety);
        while (t.source.v6 != original.source.v6 || t == original) t = random.next(variety);
        t.protocol = original.protocol;
        return t;
      }();
      if (original == reply) continue;
      const bool taken = oracle.contains(to_string(original)) || oracle.contains(to_string(reply));
      const FlowNumber number = insert(table, original, reply);
      if (taken || alive.size() == capacity) {
        ASSERT_EQ(number, kNoFlow);
      } else if (number == kNoFlow) {
        ++refused;
      } else {
        ++inserted;
        oracle[to_string(original)] = {number, kOriginal};
        oracle[to_string(reply)] = {number, kReply};
        alive.emplace_back(original, reply);
      }
    } else if (what < 99 && !alive.empty()) {
      const std::size_t i = random.below(static_cast<std::uint32_t>(alive.size()));
      table.remove(oracle.at(to_string(alive[i].first)).first);
      oracle.erase(to_string(alive[i].first));
      oracle.erase(to_string(alive[i].second));
      alive[i] = alive.back();
      alive.pop_back();
    } else if (random.below(500) == 0) {
      table.clear();
      oracle.clear();
      alive.clear();
    }
    ASSERT_EQ(table.size(), alive.size());
    if (step % 50 != 0) continue;
    std::vector<FlowTuple> asked;
    for (int i = 0; i < 100; ++i) asked.push_back(random.next(variety));
    for (std::size_t i = 0; i < alive.size() && i < 100; ++i) asked.push_back(alive[i].second);
    const auto found = find_all(table, asked);
    for (std::size_t i = 0; i < asked.size(); ++i) {
      const auto at = oracle.find(to_string(asked[i]));
      const FlowDirection* expected =
          at == oracle.end() ? nullptr : &table.at(at->second.first).direction[at->second.second];
      ASSERT_EQ(found[i], expected) << to_string(asked[i]) << " in step " << step;
      ASSERT_EQ(table.find(asked[i]), at == oracle.end() ? kNoFlow : at->second.first);
    }
  }
  EXPECT_GT(inserted, 1000u);
  if (capacity >= 100) {
    EXPECT_LE(refused * 200, inserted);
  }
}

INSTANTIATE_TEST_SUITE_P(Capacities, Oracle, ::testing::Values(1, 3, 20, 500, 5000));

// At its capacity nearly every flow finds a place, and each is found.
TEST(FlowTable, HoldsItsCapacity) {
  constexpr std::uint32_t kFlows = 100'000;
  FlowTable table(kFlows, kKey, kAtOnce);
  std::uint32_t refused = 0;
  std::vector<FlowTuple> replies;
  for (std::uint32_t i = 0; i < kFlows; ++i) {
    const std::uint32_t peer = __builtin_bswap32(0x0a000000 + i / 50);
    const FlowTuple original{IpAddress::from_v4(&peer), ip("198.51.100.7"),
                             static_cast<std::uint16_t>(1000 + i % 50), 443, kTcp};
    const FlowTuple reply{ip("198.51.100.7"), ip("203.0.113.2"), static_cast<std::uint16_t>(443 + i / 60000),
                          static_cast<std::uint16_t>(1024 + i % 60000), kTcp};
    if (insert(table, original, reply) == kNoFlow) {
      ++refused;
    } else {
      replies.push_back(reply);
    }
  }
  EXPECT_LE(refused, kFlows / 1000);
  for (const FlowDirection* found : find_all(table, replies)) ASSERT_NE(found, nullptr);
  EXPECT_LE(table.memory_bytes() / kFlows, 256u);
  std::cout << "bytes a flow: " << table.memory_bytes() / kFlows << ", refused: " << refused << '\n';
}

// All tuples in one pair of buckets: lookups stay right, and what finds no place is refused.
TEST(FlowTable, CollisionsAreToldApart) {
  FlowTable table(100, kAllCollide, kAtOnce);
  std::vector<FlowTuple> originals;
  std::vector<FlowNumber> numbers;
  for (std::uint16_t i = 0; i < 20; ++i) {
    const FlowTuple t = tuple("10.0.0.1", static_cast<std::uint16_t>(i + 1), "10.0.0.2", 80);
    const FlowNumber number = insert(table, t, t.turned_round());
    if (number == kNoFlow) continue;
    originals.push_back(t);
    numbers.push_back(number);
  }
  ASSERT_GE(originals.size(), 3u);
  ASSERT_LE(originals.size(), 7u);
  const auto found = find_all(table, originals);
  for (std::size_t i = 0; i < originals.size(); ++i)
    EXPECT_EQ(found[i], &table.at(numbers[i]).direction[kOriginal]);
  EXPECT_EQ(find_all(table, {tuple("10.0.0.1", 999, "10.0.0.2", 80)})[0], nullptr);
  table.remove(numbers[0]);
  EXPECT_EQ(find_all(table, {originals[0]})[0], nullptr);
  EXPECT_NE(find_all(table, {originals[1]})[0], nullptr);
}

TEST(FlowTable, AFlowIsUsedAgainOnlyWhenTheWorkersHaveLetGo) {
  std::deque<std::function<void()>> deferred;
  FlowTable table(1, kKey, [&](std::function<void()> free) { deferred.push_back(std::move(free)); });
  const FlowTuple a = tuple("10.0.0.1", 1, "10.0.0.2", 2), b = tuple("10.0.0.1", 3, "10.0.0.2", 4);
  table.remove(insert(table, a, a.turned_round()));
  EXPECT_EQ(insert(table, b, b.turned_round()), kNoFlow) << "a worker may still hold it";
  ASSERT_EQ(deferred.size(), 1u);
  deferred.front()();
  EXPECT_NE(insert(table, b, b.turned_round()), kNoFlow);
}

TEST(FlowTable, WhatIsDeferredMayRunAfterItsEnd) {
  std::deque<std::function<void()>> deferred;
  const FlowTuple a = tuple("10.0.0.1", 1, "10.0.0.2", 2);
  {
    FlowTable table(4, kKey, [&](std::function<void()> free) { deferred.push_back(std::move(free)); });
    table.remove(insert(table, a, a.turned_round()));
  }
  for (const auto& free : deferred) free();
}

// Workers look up while flows come and go. What they find names their packet, for as long as they hold it.
TEST(FlowTable, ReadersBesideTheWriter) {
  constexpr std::size_t kReaders = 2;
  Quiescence quiescence(kReaders);
  FlowTable table(64, kKey, [&](std::function<void()> free) { quiescence.retire(std::move(free)); });
  std::vector<FlowTuple> tuples;
  for (std::uint16_t i = 0; i < 64; ++i)
    tuples.push_back(i % 2 == 0 ? tuple("10.0.0.1", static_cast<std::uint16_t>(i + 1), "10.0.0.2", 80, kTcp)
                                : tuple("fd01::1", static_cast<std::uint16_t>(i + 1), "fd01::2", 80));
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> hits{0}, misses{0}, wrong{0};
  const auto read = [&](std::size_t id) {
    std::vector<Octets> packets;
    std::vector<FlowProbe> probes;
    for (const FlowTuple& t : tuples) packets.push_back(packet_of(t, {}));
    for (std::size_t i = 0; i < tuples.size(); ++i)
      probes.push_back({packets[i].data(), tuples[i].source.v6});
    std::vector<FlowDirection*> found(tuples.size());
    quiescence.online(id);
    while (!stop) {
      quiescence.report(id);
      table.find_burst(probes.data(), probes.size(), found.data());
      for (int again = 0; again < 3; ++again) {
        for (std::size_t i = 0; i < found.size(); ++i) {
          if (found[i] == nullptr) continue;
          if (found[i]->tuple() != tuples[i]) ++wrong;
          found[i]->packets.fetch_add(1, std::memory_order_relaxed);
        }
      }
      for (const FlowDirection* direction : found) ++(direction == nullptr ? misses : hits);
    }
    quiescence.offline(id);
  };
  std::vector<std::thread> readers;
  for (std::size_t id = 0; id < kReaders; ++id) readers.emplace_back(read, id);
  RandomTuples random(5);
  std::map<std::size_t, FlowNumber> alive;
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(2);
  while (std::chrono::steady_clock::now() < until) {
    const std::size_t i = random.below(static_cast<std::uint32_t>(tuples.size()));
    if (const auto at = alive.find(i); at != alive.end()) {
      table.remove(at->second);
      alive.erase(at);
    } else if (const FlowNumber number = insert(table, tuples[i], tuples[i].turned_round());
               number != kNoFlow) {
      alive[i] = number;
    }
    quiescence.collect();
  }
  stop = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(wrong, 0u);
  EXPECT_GT(hits, 0u);
  EXPECT_GT(misses, 0u);
  quiescence.collect();
}

}  // namespace
}  // namespace wg::test
