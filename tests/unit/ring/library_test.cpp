// The library's end and the gateway's, over the real control server: order, room, waking, statistics.
#include <gtest/gtest.h>
#include <linegate.h>
#include <poll.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <random>
#include <thread>
#include <vector>

#include "dataplane/base/processor.h"
#include "tests/unit/ring/card.h"

namespace wg::control::test {
namespace {

std::vector<std::uint8_t> packet_of(std::uint32_t number) {
  std::vector<std::uint8_t> packet(20 + number % 1400, static_cast<std::uint8_t>(number));
  std::memcpy(packet.data(), &number, sizeof number);
  return packet;
}
std::uint32_t number_in(const void* packet) {
  std::uint32_t number = 0;
  std::memcpy(&number, packet, sizeof number);
  return number;
}

TEST(LibRing, TellsTheGatewayWhatItWants) {
  Card card;
  EXPECT_EQ(card.model().last.interface, "app0");
  EXPECT_EQ(card.model().last.slots, kSlots);
  ASSERT_EQ(card.model().last.sources.size(), 1U);
  EXPECT_EQ(config::to_string(card.model().last.sources[0]), "10.9.0.1/32");
  lg_ring* second = nullptr;
  EXPECT_EQ(lg_ring_open(card.adapter, 0, 0, nullptr, 0, &second), LG_BUSY);
  EXPECT_EQ(second, nullptr);
  const lg_allowed_ip wrong{sizeof wrong, 0, {}, 5, 32, 0, 0};
  EXPECT_EQ(lg_ring_open(card.adapter, 0, 0, &wrong, 1, &second), LG_INVALID);
  EXPECT_EQ(lg_ring_open(card.adapter, 0, 16, nullptr, 0, &second), LG_INVALID);
  EXPECT_EQ(lg_ring_open(card.adapter, 0, LG_RING_JOINS_UDP, nullptr, 0, &second), LG_INVALID);
}

TEST(LibRing, AGatewayThatDoesNotRouteIsRefused) {
  Card card;
  EXPECT_FALSE(card.model().last.routed);
  lg_ring_close(card.ring);
  card.ring = nullptr;
  const lg_allowed_ip own{sizeof own, 0, {10, 9, 0, 7}, LG_IPV4, 32, 0, 0};
  card.model().is_old = true;
  card.wait_until_free();
  EXPECT_EQ(lg_ring_open(card.adapter, 0, LG_RING_ROUTED, &own, 1, &card.ring), LG_PROTOCOL);
  EXPECT_TRUE(card.model().last.routed);
  EXPECT_EQ(card.model().ring, nullptr) << "the program must not become the inner side instead";
  card.model().is_old = false;
  EXPECT_EQ(lg_ring_open(card.adapter, 0, LG_RING_ROUTED, &own, 1, &card.ring), LG_OK);
}

TEST(LibRing, OffloadsAreASizeOfSlotsAndAHeader) {
  Card card(1, LG_RING_OFFLOADS);
  EXPECT_TRUE(card.model().last.offloads);
  EXPECT_FALSE(card.model().last.join_udp);
  dataplane::ProgramQueue& worker = card.worker();
  std::vector<std::uint8_t> large(sizeof(lg_offload) + 65'535, 7);
  worker.writer.put(large);
  (void)worker.writer.finish();
  std::uint32_t bytes = 0;
  lg_error error = LG_OK;
  const void* const got = lg_ring_receive(card.ring, &bytes, &error);
  ASSERT_NE(got, nullptr);
  EXPECT_EQ(bytes, large.size());
  EXPECT_EQ(0, std::memcmp(got, large.data(), large.size()));
  EXPECT_EQ(lg_ring_alloc_send(card.ring, 29, &error), nullptr) << "no packet behind the header";
  EXPECT_EQ(error, LG_INVALID);
  void* const place = lg_ring_alloc_send(card.ring, static_cast<std::uint32_t>(large.size()), &error);
  ASSERT_NE(place, nullptr);
  std::memcpy(place, large.data(), large.size());
  EXPECT_EQ(lg_ring_send(card.ring, place), LG_OK);
  ASSERT_EQ(worker.reader.available(), 1U);
  std::vector<std::uint8_t> to(large.size());
  EXPECT_EQ(worker.reader.take(to), large.size());
}

TEST(LibRing, AGatewayWithoutOffloadsIsRefused) {
  Card card;
  EXPECT_FALSE(card.model().last.offloads);
  lg_ring_close(card.ring);
  card.ring = nullptr;
  card.model().is_old = true;
  card.wait_until_free();
  const lg_allowed_ip own{sizeof own, 0, {10, 9, 0, 7}, LG_IPV4, 32, 0, 0};
  EXPECT_EQ(lg_ring_open(card.adapter, 0, LG_RING_OFFLOADS, &own, 1, &card.ring), LG_PROTOCOL);
  EXPECT_EQ(card.model().ring, nullptr);
}

// Released in any order, given back in order, whatever is held.
TEST(LibRing, WhatIsReceivedIsReleasedInAnyOrder) {
  Card card;
  dataplane::RingWriter& writer = card.worker().writer;
  std::mt19937 random(7);
  std::vector<std::pair<std::uint32_t, void*>> held;  // in the order of their coming
  std::uint32_t put = 0, got = 0;
  for (int round = 0; round < 20'000; ++round) {
    for (std::uint32_t n = random() % 8; n != 0 && writer.room() != 0; --n) writer.put(packet_of(put++));
    (void)writer.finish();
    for (std::uint32_t n = random() % 8; n != 0; --n) {
      std::uint32_t bytes = 0;
      lg_error error = LG_OK;
      void* const packet = lg_ring_receive(card.ring, &bytes, &error);
      if (packet == nullptr) {
        ASSERT_EQ(error, LG_EMPTY);
        ASSERT_EQ(got, put);
        break;
      }
      ASSERT_EQ(number_in(packet), got);
      ASSERT_EQ(bytes, packet_of(got).size());
      ASSERT_EQ(0, std::memcmp(packet, packet_of(got).data(), bytes));
      held.emplace_back(got++, packet);
    }
    for (std::uint32_t n = random() % 8; n != 0 && !held.empty(); --n) {
      const auto which = held.begin() + static_cast<std::ptrdiff_t>(random() % held.size());
      ASSERT_EQ(lg_ring_release(card.ring, which->second), LG_OK);
      held.erase(which);
    }
    const std::uint32_t oldest = held.empty() ? got : held.front().first;
    ASSERT_EQ(writer.room(), kSlots - (put - oldest)) << "round " << round;
  }
  EXPECT_GT(got, 10 * kSlots);
}

TEST(LibRing, WhatIsAllocatedIsSentInAnyOrder) {
  Card card;
  dataplane::RingReader& reader = card.worker().reader;
  std::mt19937 random(8);
  std::vector<void*> open;
  std::uint32_t allocated = 0, taken = 0;
  std::vector<std::uint8_t> to(2048);
  for (int round = 0; round < 20'000; ++round) {
    for (std::uint32_t n = random() % 8; n != 0; --n) {
      const auto packet = packet_of(allocated);
      lg_error error = LG_OK;
      void* const place = lg_ring_alloc_send(card.ring, static_cast<std::uint32_t>(packet.size()), &error);
      if (place == nullptr) {
        ASSERT_EQ(error, LG_FULL);
        ASSERT_EQ(allocated - taken, kSlots);
        break;
      }
      std::memcpy(place, packet.data(), packet.size());
      open.push_back(place);
      ++allocated;
    }
    for (std::uint32_t n = random() % 8; n != 0 && !open.empty(); --n) {
      const auto which = open.begin() + static_cast<std::ptrdiff_t>(random() % open.size());
      ASSERT_EQ(lg_ring_send(card.ring, *which), LG_OK);
      open.erase(which);
    }
    for (std::uint32_t n = std::min<std::uint32_t>(reader.available(), random() % 8); n != 0; --n) {
      const std::size_t length = reader.take(to);
      ASSERT_EQ(number_in(to.data()), taken);
      ASSERT_EQ(length, packet_of(taken++).size());
    }
    (void)reader.finish();
  }
  EXPECT_GT(taken, 10 * kSlots);
}

TEST(LibRing, RefusesWhatIsNotItsOwn) {
  Card card;
  dataplane::ProgramQueue& worker = card.worker();
  worker.writer.put(packet_of(1));
  (void)worker.writer.finish();
  std::uint32_t bytes = 0;
  auto* const packet = static_cast<std::uint8_t*>(lg_ring_receive(card.ring, &bytes, nullptr));
  ASSERT_NE(packet, nullptr);
  EXPECT_EQ(lg_ring_send(card.ring, packet), LG_INVALID);
  EXPECT_EQ(lg_ring_release(card.ring, packet + 1), LG_INVALID);
  EXPECT_EQ(lg_ring_release(card.ring, packet + 2048), LG_INVALID);
  EXPECT_EQ(lg_ring_release(card.ring, &bytes), LG_INVALID);
  EXPECT_EQ(lg_ring_release(card.ring, nullptr), LG_INVALID);
  EXPECT_EQ(lg_ring_release(card.ring, packet), LG_OK);
  EXPECT_EQ(lg_ring_release(card.ring, packet), LG_INVALID) << "twice";
  for (const std::uint32_t size : {0u, 19u, 2049u}) {
    lg_error error = LG_OK;
    EXPECT_EQ(lg_ring_alloc_send(card.ring, size, &error), nullptr);
    EXPECT_EQ(error, LG_INVALID);
  }
}

TEST(LibRing, StatisticsNameALeak) {
  Card card;
  dataplane::RingWriter& writer = card.worker().writer;
  for (std::uint32_t i = 0; i < 3; ++i) writer.put(packet_of(i));
  (void)writer.finish();
  std::uint32_t bytes = 0;
  void* packets[3];
  for (void*& packet : packets) packet = lg_ring_receive(card.ring, &bytes, nullptr);
  ASSERT_EQ(lg_ring_release(card.ring, packets[1]), LG_OK);
  ASSERT_EQ(lg_ring_release(card.ring, packets[2]), LG_OK);
  ASSERT_NE(lg_ring_alloc_send(card.ring, 20, nullptr), nullptr);
  lg_ring_statistics now{};
  now.size = sizeof now;
  ASSERT_EQ(lg_ring_get_statistics(card.ring, &now), LG_OK);
  EXPECT_EQ(now.received, 3U);
  EXPECT_EQ(now.held, 1U);
  EXPECT_EQ(now.blocked, 2U);
  EXPECT_EQ(now.unsent, 1U);
  EXPECT_EQ(now.sent, 0U);
  EXPECT_EQ(now.slots, kSlots);
  EXPECT_EQ(now.largest, 1420U);
  EXPECT_EQ(now.oldest_held, reinterpret_cast<std::uintptr_t>(packets[0]));
}

TEST(LibRing, BurstsOfSeveralQueues) {
  Card card(3);
  ASSERT_EQ(lg_ring_queues(card.ring), 3U);
  lg_packet packets[8];
  for (std::uint32_t queue = 0; queue < 3; ++queue) {
    dataplane::ProgramQueue& worker = card.worker(queue);
    for (std::uint32_t i = 0; i < 5; ++i) worker.writer.put(packet_of(100 * queue + i));
    (void)worker.writer.finish();
    ASSERT_EQ(lg_ring_receive_burst(card.ring, queue, packets, 8), 5U);
    for (std::uint32_t i = 0; i < 5; ++i) EXPECT_EQ(number_in(packets[i].data), 100 * queue + i);
    ASSERT_EQ(lg_ring_send_burst(card.ring, queue, packets, 5), 5U);
    lg_ring_release_burst(card.ring, queue, 2);
    EXPECT_EQ(worker.writer.room(), kSlots - 3);
    lg_ring_release_burst(card.ring, queue, 9);
    EXPECT_EQ(worker.writer.room(), kSlots);
    EXPECT_EQ(worker.reader.available(), 5U);
    EXPECT_EQ(lg_ring_receive_burst(card.ring, queue, packets, 8), 0U);
  }
  EXPECT_EQ(lg_ring_receive_burst(card.ring, 3, packets, 8), 0U);
  // The calls without a queue see all of them.
  card.worker(2).writer.put(packet_of(7));
  (void)card.worker(2).writer.finish();
  std::uint32_t bytes = 0;
  EXPECT_NE(lg_ring_receive(card.ring, &bytes, nullptr), nullptr);
}

bool readable(int fd, int milliseconds) {
  pollfd wait{fd, POLLIN, 0};
  return poll(&wait, 1, milliseconds) == 1;
}

TEST(LibRing, RoomIsAnnounced) {
  Card card;
  dataplane::ProgramQueue& worker = card.worker();
  const int fd = lg_ring_wait_fd(card.ring);
  std::uint32_t bytes = 0;
  const auto packet = packet_of(0);
  const lg_packet one{const_cast<std::uint8_t*>(packet.data()), static_cast<std::uint32_t>(packet.size()), 0};
  while (lg_ring_send_burst(card.ring, 0, &one, 1) == 1) {
  }
  EXPECT_EQ(lg_ring_receive(card.ring, &bytes, nullptr), nullptr);
  EXPECT_FALSE(readable(fd, 0));
  std::vector<std::uint8_t> to(2048);
  ASSERT_EQ(worker.reader.available(), kSlots);
  EXPECT_NE(worker.reader.take(to), 0U);
  ASSERT_TRUE(worker.reader.finish());
  worker.wake();
  EXPECT_TRUE(readable(fd, 1000));
  // Not forgotten when the program looks for packets first.
  EXPECT_EQ(lg_ring_receive(card.ring, &bytes, nullptr), nullptr);
  EXPECT_TRUE(readable(fd, 1000));
  EXPECT_NE(lg_ring_alloc_send(card.ring, 20, nullptr), nullptr);
  EXPECT_EQ(lg_ring_receive(card.ring, &bytes, nullptr), nullptr);
  EXPECT_FALSE(readable(fd, 0));
}

TEST(LibRing, TheEndOfTheGatewayIsSeen) {
  Card card;
  card.worker().writer.put(packet_of(5));
  (void)card.worker().writer.finish();
  card.stop();
  std::uint32_t bytes = 0;
  lg_error error = LG_OK;
  EXPECT_TRUE(readable(lg_ring_wait_fd(card.ring), 1000));
  EXPECT_NE(lg_ring_receive(card.ring, &bytes, &error), nullptr) << "what is there comes first";
  EXPECT_EQ(lg_ring_receive(card.ring, &bytes, &error), nullptr);
  EXPECT_EQ(error, LG_GONE);
}

// ---------------------------------------------------------------- lg_ring_wait()

// Puts a packet. True: the program had to be woken.
bool put_one(dataplane::ProgramQueue& worker) {
  worker.writer.put(packet_of(1));
  if (!worker.writer.finish()) return false;
  worker.wake();
  return true;
}

TEST(LibRingWait, EndsWithItsTime) {
  Card card;
  lg_last_error(nullptr);
  const lg_error before = lg_last_error(nullptr);
  for (const std::uint32_t spin_us : {0u, 1000u, 1'000'000u}) {
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_EQ(lg_ring_wait(card.ring, LG_RING_ALL_QUEUES, spin_us, 30), LG_TIMED_OUT);
    EXPECT_GE(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(29));
  }
  EXPECT_EQ(lg_ring_wait(card.ring, 0, 0, 0), LG_TIMED_OUT);
  EXPECT_EQ(lg_last_error(nullptr), before);
}

TEST(LibRingWait, EndsWithAPacketThatIsThereOrComes) {
  Card card;
  std::uint32_t bytes = 0;
  for (const std::uint32_t queue : {0u, LG_RING_ALL_QUEUES}) {
    for (const std::uint32_t spin_us : {0u, 5'000'000u}) {
      put_one(card.worker());
      EXPECT_EQ(lg_ring_wait(card.ring, queue, spin_us, -1), LG_OK);
      lg_ring_release(card.ring, lg_ring_receive(card.ring, &bytes, nullptr));
      ASSERT_EQ(lg_ring_receive(card.ring, &bytes, nullptr), nullptr);
      lg_error result = LG_INVALID;
      std::thread program([&] { result = lg_ring_wait(card.ring, queue, spin_us, 10'000); });
      std::this_thread::sleep_for(std::chrono::milliseconds(30));
      EXPECT_EQ(put_one(card.worker()), spin_us == 0) << "no system call for a program that looks";
      program.join();
      EXPECT_EQ(result, LG_OK);
      lg_ring_release(card.ring, lg_ring_receive(card.ring, &bytes, nullptr));
      ASSERT_EQ(lg_ring_receive(card.ring, &bytes, nullptr), nullptr);
    }
  }
}

TEST(LibRingWait, EndsWithRoomOnlyWhenNoneWasFound) {
  Card card;
  for (std::uint32_t i = 0; i < kSlots; ++i)
    lg_ring_send(card.ring, lg_ring_alloc_send(card.ring, 20, nullptr));
  EXPECT_EQ(lg_ring_wait(card.ring, 0, 0, 10), LG_TIMED_OUT);
  ASSERT_EQ(lg_ring_alloc_send(card.ring, 20, nullptr), nullptr);
  EXPECT_EQ(lg_ring_wait(card.ring, 0, 100, 10), LG_TIMED_OUT);
  lg_error result = LG_INVALID;
  std::thread program([&] { result = lg_ring_wait(card.ring, LG_RING_ALL_QUEUES, 0, 10'000); });
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  std::vector<std::uint8_t> to(2048);
  ASSERT_EQ(card.worker().reader.available(), kSlots);
  (void)card.worker().reader.take(to);
  EXPECT_TRUE(card.worker().reader.finish());
  card.worker().wake();
  program.join();
  EXPECT_EQ(result, LG_OK);
  EXPECT_NE(lg_ring_alloc_send(card.ring, 20, nullptr), nullptr);
}

TEST(LibRingWait, EndsWithTheGateway) {
  Card card;
  put_one(card.worker());
  card.stop();
  std::uint32_t bytes = 0;
  EXPECT_EQ(lg_ring_wait(card.ring, LG_RING_ALL_QUEUES, 100, -1), LG_OK) << "what is there comes first";
  EXPECT_NE(lg_ring_receive(card.ring, &bytes, nullptr), nullptr);
  EXPECT_EQ(lg_ring_wait(card.ring, LG_RING_ALL_QUEUES, 100, -1), LG_GONE);
  EXPECT_EQ(lg_ring_wait(card.ring, 0, 0, -1), LG_GONE);
}

TEST(LibRingWait, AQueueIsAlone) {
  Card card(2);
  put_one(card.worker(1));
  EXPECT_EQ(lg_ring_wait(card.ring, 0, 1000, 20), LG_TIMED_OUT);
  EXPECT_EQ(lg_ring_wait(card.ring, 1, 1000, 20), LG_OK);
  EXPECT_EQ(lg_ring_wait(card.ring, LG_RING_ALL_QUEUES, 0, 20), LG_OK);
  EXPECT_EQ(lg_ring_wait(card.ring, 2, 0, 20), LG_INVALID);
}

// After it has looked in vain, or for another queue, the descriptor is as good as before.
TEST(LibRingWait, LeavesTheDescriptorAsItWas) {
  Card card(2);
  std::uint32_t bytes = 0;
  ASSERT_EQ(lg_ring_receive(card.ring, &bytes, nullptr), nullptr);
  EXPECT_EQ(lg_ring_wait(card.ring, LG_RING_ALL_QUEUES, 1000, 1), LG_TIMED_OUT);
  EXPECT_TRUE(put_one(card.worker(0)));
  lg_ring_release(card.ring, lg_ring_receive(card.ring, &bytes, nullptr));
  ASSERT_EQ(lg_ring_receive(card.ring, &bytes, nullptr), nullptr);
  std::thread program([&] { lg_ring_wait(card.ring, LG_RING_ALL_QUEUES, 5'000'000, -1); });
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  EXPECT_FALSE(put_one(card.worker(0)));
  program.join();
  EXPECT_TRUE(put_one(card.worker(1)));
  EXPECT_TRUE(readable(lg_ring_wait_fd(card.ring), 1000));
}

TEST(LibRingWait, IsNotForProgramsThatPoll) {
  Card card(1, LG_RING_POLLS);
  EXPECT_EQ(lg_ring_wait(card.ring, 0, 0, 0), LG_INVALID);
  EXPECT_EQ(lg_ring_wait(nullptr, 0, 0, 0), LG_INVALID);
}

// Both sides sleep and wake each other: packets go round, one side at a time has them. A lost wake-up is a
// wait that times out. RING_ROUNDS for more.
enum class Waits { kPoll, kCall };
class LibRingSleeps : public testing::TestWithParam<Waits> {};
INSTANTIATE_TEST_SUITE_P(By, LibRingSleeps, testing::Values(Waits::kPoll, Waits::kCall),
                         [](const auto& by) { return by.param == Waits::kPoll ? "poll" : "lg_ring_wait"; });

TEST_P(LibRingSleeps, NoWorkerSleepsBesideItsWork) {
  Card card;
  dataplane::ProgramQueue& worker = card.worker();
  const char* const wanted = std::getenv("RING_ROUNDS");
  const int rounds = wanted != nullptr ? std::atoi(wanted) : 20'000;
  std::atomic<int> late{0};
  std::thread program([&] {
    std::mt19937 random(3);
    const auto wait = [&] {
      if (GetParam() == Waits::kPoll) return readable(lg_ring_wait_fd(card.ring), 2000);
      return lg_ring_wait(card.ring, LG_RING_ALL_QUEUES, random() % 8, 2000) == LG_OK;
    };
    for (int done = 0; done < rounds;) {
      std::uint32_t bytes = 0;
      void* const packet = lg_ring_receive(card.ring, &bytes, nullptr);
      if (packet == nullptr) {
        late += wait() ? 0 : 1;
        if (late != 0) return;
        continue;
      }
      for (auto i = random() % 200; i != 0; --i) processor::pause();
      void* const answer = lg_ring_alloc_send(card.ring, bytes, nullptr);
      std::memcpy(answer, packet, bytes);
      lg_ring_release(card.ring, packet);
      lg_ring_send(card.ring, answer);
      ++done;
    }
  });
  std::mt19937 random(4);
  std::vector<std::uint8_t> to(2048);
  for (int done = 0; done < rounds && late == 0; ++done) {
    worker.writer.put(packet_of(static_cast<std::uint32_t>(done) % 30));
    if (worker.writer.finish()) worker.wake();
    for (auto i = random() % 200; i != 0; --i) processor::pause();
    while (worker.reader.available() == 0 && late == 0) {  // Worker::sleep_if_idle
      if (worker.prepare_sleep()) late += readable(worker.wake_fd(), 2000) ? 0 : 1;
      worker.awake();
    }
    if (worker.reader.available() != 0) (void)worker.reader.take(to);
    if (worker.reader.finish()) worker.wake();
  }
  program.join();
  EXPECT_EQ(late, 0);
}

}  // namespace
}  // namespace wg::control::test
