// A program that writes what it likes into the memory that it shares, and tries to take it away.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "dataplane/io/program_offloads.h"
#include "dataplane/io/program_ring.h"

namespace wg::dataplane {
namespace {

constexpr std::uint32_t kSlots = 64, kSlotBytes = 2048;

// In memory of the heap, so that AddressSanitizer sees a step beyond it.
struct Memory {
  Memory() : bytes(static_cast<std::uint8_t*>(std::aligned_alloc(RING_PAGE, size())), &std::free) {
    std::memset(bytes.get(), 0, size());
  }
  static std::size_t size() { return ring_bytes(kSlots, kSlotBytes); }
  [[nodiscard]] ring_words& words() const { return *reinterpret_cast<ring_words*>(bytes.get()); }
  [[nodiscard]] std::uint32_t* lengths() const {
    return reinterpret_cast<std::uint32_t*>(bytes.get() + RING_LENGTHS_OFFSET);
  }
  [[nodiscard]] RingReader reader() const { return {bytes.get(), kSlots, kSlotBytes}; }
  [[nodiscard]] RingWriter writer() const { return {bytes.get(), kSlots, kSlotBytes}; }
  std::unique_ptr<std::uint8_t, decltype(&std::free)> bytes;
};

TEST(HostileProgram, SaysThatItHasPutInMoreThanThereIsRoomFor) {
  for (const std::uint32_t claim : {kSlots + 1, 0x7fffffffu, 0x80000000u, 0xffffffffu}) {
    const Memory memory;
    RingReader reader = memory.reader();
    memory.words().produced = claim;
    EXPECT_EQ(reader.available(), 0U);
    EXPECT_EQ(reader.fault(), RingFault::kProducedTooMuch);
    memory.words().produced = 1;  // it stays closed
    EXPECT_EQ(reader.available(), 0U);
    EXPECT_STRNE(text_of(reader.fault()), "");
  }
}

TEST(HostileProgram, SaysThatItHasTakenOutWhatWasNeverPutIn) {
  for (const std::uint32_t claim : {1u, kSlots, 0x7fffffffu, 0x80000000u, 0xffffffffu - kSlots}) {
    const Memory memory;
    RingWriter writer = memory.writer();
    memory.words().consumed = claim;
    EXPECT_EQ(writer.room(), 0U);
    EXPECT_EQ(writer.fault(), RingFault::kConsumedTooMuch);
  }
}

TEST(HostileProgram, LengthsThatCannotBeArePassedBy) {
  const Memory memory;
  RingReader reader = memory.reader();
  const std::uint32_t lengths[] = {0, 19, kSlotBytes + 1, 0xffffffff, 20, 1501, 1500};
  const std::size_t taken[] = {0, 0, 0, 0, 20, 0, 1500};
  std::memcpy(memory.lengths(), lengths, sizeof lengths);
  memory.words().produced = std::size(lengths);
  std::vector<std::uint8_t> to(1500);
  ASSERT_EQ(reader.available(), std::size(lengths));
  for (const std::size_t expected : taken) EXPECT_EQ(reader.take(to), expected);
  EXPECT_FALSE(reader.finish());
  EXPECT_EQ(memory.words().consumed, std::size(lengths));
  EXPECT_EQ(reader.fault(), RingFault::kNone);
}

// What the gateway has read it never reads again: a word that changes afterwards changes nothing.
TEST(HostileProgram, CannotMoveTheGatewaysPlace) {
  const Memory memory;
  RingReader reader = memory.reader();
  std::vector<std::uint8_t> to(kSlotBytes);
  memory.words().produced = 2;
  memory.lengths()[0] = 20, memory.lengths()[1] = 21;
  ASSERT_EQ(reader.available(), 2U);
  EXPECT_EQ(reader.take(to), 20U);
  memory.words().consumed = 77;
  EXPECT_EQ(reader.take(to), 21U);
  EXPECT_FALSE(reader.finish());
  EXPECT_EQ(memory.words().consumed, 2U);
}

// Every word and byte at random while the gateway's ends run. RING_SECONDS for longer.
TEST(HostileProgram, ScribblesEverywhere) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "a program that writes where it must not is a data race";
#endif
  const Memory in, out;
  std::atomic<bool> stop{false};
  const auto scribble = [&stop](const Memory& memory, unsigned seed) {
    std::mt19937 random(seed);
    while (!stop.load(std::memory_order_relaxed)) {
      // The words that decide, near the truth and far from it; then anything.
      const std::uint32_t value =
          static_cast<std::uint32_t>(random() % 4 == 0 ? random() : random() % (2 * kSlots));
      std::uint32_t* const words[] = {&memory.words().produced, &memory.words().consumed,
                                      &memory.words().consumer_sleeps, &memory.words().producer_waits,
                                      &memory.lengths()[random() % kSlots]};
      __atomic_store_n(words[random() % std::size(words)], value, __ATOMIC_RELAXED);
      const std::size_t at = random() % (Memory::size() / sizeof value);
      __atomic_store_n(reinterpret_cast<std::uint32_t*>(memory.bytes.get()) + at,
                       static_cast<std::uint32_t>(random()), __ATOMIC_RELAXED);
    }
  };
  std::thread first(scribble, std::cref(in), 1), second(scribble, std::cref(out), 2);
  const char* const seconds = std::getenv("RING_SECONDS");
  const auto until =
      std::chrono::steady_clock::now() + std::chrono::seconds(seconds != nullptr ? std::atoi(seconds) : 1);
  std::vector<std::uint8_t> to(1500), packet(kSlotBytes, 0x45);
  std::size_t faults = 0, taken = 0, put = 0;
  while (std::chrono::steady_clock::now() < until) {
    RingReader reader = in.reader();  // as for the next program
    RingWriter writer = out.writer();
    in.words().produced = 0;
    out.words().consumed = 0;
    for (int burst = 0; burst < 1000; ++burst) {
      const std::uint32_t n = reader.available();
      ASSERT_LE(n, kSlots);
      for (std::uint32_t i = 0; i < n; ++i) {
        const std::size_t length = reader.take(to);
        ASSERT_TRUE(length == 0 || (length >= RING_LEAST_PACKET && length <= to.size())) << length;
        taken += length != 0 ? 1 : 0;
      }
      [[maybe_unused]] const bool wake = reader.finish();
      const std::uint32_t room = writer.room();
      ASSERT_LE(room, kSlots);
      for (std::uint32_t i = 0; i < room; ++i) writer.put(packet);
      put += room;
      [[maybe_unused]] const bool wake_out = writer.finish();
      if (reader.fault() != RingFault::kNone && writer.fault() != RingFault::kNone) break;
    }
    faults += reader.fault() != RingFault::kNone ? 1 : 0;
  }
  stop = true;
  first.join(), second.join();
  EXPECT_GT(faults, 0U);
  EXPECT_GT(taken, 0U);
  EXPECT_GT(put, 0U);
}

// Slots of super-packets: headers and packets at random, near the truth and far from it.
TEST(HostileProgram, WritesHeadersOfSuperPackets) {
  const std::size_t size = ring_bytes(kSlots, ProgramOffloads::kSlotBytes);
  const std::unique_ptr<std::uint8_t, decltype(&std::free)> bytes(
      static_cast<std::uint8_t*>(std::aligned_alloc(RING_PAGE, size)), &std::free);
  std::memset(bytes.get(), 0, size);
  auto& words = *reinterpret_cast<ring_words*>(bytes.get());
  auto* const lengths = reinterpret_cast<std::uint32_t*>(bytes.get() + RING_LENGTHS_OFFSET);
  RingReader reader(bytes.get(), kSlots, ProgramOffloads::kSlotBytes);
  ProgramOffloads offloads(true);
  std::mt19937 random(11);
  std::vector<std::uint8_t> to(2048);
  std::size_t bad = 0, good = 0, segments = 0;
  for (std::uint32_t i = 0; i < 20'000; ++i) {
    std::uint8_t* const slot =
        bytes.get() + ring_slots_offset(kSlots) + std::size_t{i % kSlots} * ProgramOffloads::kSlotBytes;
    const VnetHeader header{static_cast<std::uint8_t>(random() % 3),
                            static_cast<std::uint8_t>(random() % 7 | (random() % 8 == 0 ? 0x80 : 0)),
                            static_cast<std::uint16_t>(random() % 4 == 0 ? random() : 40),
                            static_cast<std::uint16_t>(random() % 2 == 0 ? random() : random() % 1500),
                            static_cast<std::uint16_t>(random() % 4 == 0 ? random() : 20),
                            static_cast<std::uint16_t>(random() % 4 == 0   ? random()
                                                       : random() % 2 == 0 ? 16
                                                                           : 6)};
    std::memcpy(slot, &header, sizeof header);
    for (std::size_t at = 0; at < 64; ++at) slot[sizeof header + at] = static_cast<std::uint8_t>(random());
    const std::uint8_t begin[] = {0x45, 0,    0, 0,  0,
                                  0,    0x40, 0, 64, static_cast<std::uint8_t>(random() % 2 == 0 ? 6 : 17)};
    if (random() % 4 != 0) std::memcpy(slot + sizeof header, begin, sizeof begin);
    if (random() % 4 != 0) slot[sizeof header + 32] = 0x50;  // a TCP header without options
    lengths[i % kSlots] =
        static_cast<std::uint32_t>(random() % 4 == 0 ? random() % 70'000 : 30 + random() % 4000);
    ring_store(&words.produced, i + 1);
    ASSERT_EQ(reader.available(), 1U);
    std::size_t of_slot = 0;
    do {
      const std::size_t length = offloads.take(reader, to);
      ASSERT_LE(length, to.size());
      ++(length == 0 ? bad : good);
      ASSERT_LE(++of_slot, kSuperPacketMax);
    } while (offloads.pending());
    segments += of_slot > 1 ? 1 : 0;
    (void)reader.finish();
  }
  EXPECT_EQ(reader.fault(), RingFault::kNone);
  EXPECT_GT(bad, 1000U);
  EXPECT_GT(good, 1000U);
  EXPECT_GT(segments, 100U) << "super-packets were split";
}

// ---------------------------------------------------------------- the memory, the sockets

std::unique_ptr<ProgramRing> ring_of(std::size_t queues = 1) {
  RingOptions options;
  options.queues = queues;
  options.slots = kSlots;
  auto ring = ProgramRing::create(options);
  EXPECT_TRUE(ring.has_value());
  return *std::move(ring);
}

TEST(HostileProgram, CannotTakeTheMemoryAway) {
  const auto ring = ring_of();
  const std::vector<FileDescriptor> descriptors = ring->take_descriptors();
  ASSERT_EQ(descriptors.size(), 2U);
  const int fd = descriptors[0].get();
  EXPECT_EQ(ftruncate(fd, 0), -1) << "sealed before it is handed out";
  void* const memory = mmap(nullptr, ring->bytes(), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  ASSERT_NE(memory, MAP_FAILED);
  ASSERT_TRUE(ring->seal().has_value());
  EXPECT_EQ(ftruncate(fd, static_cast<off_t>(2 * ring->bytes())), -1);
  EXPECT_EQ(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, RING_PAGE), -1);
  EXPECT_EQ(madvise(memory, RING_PAGE, MADV_REMOVE), -1);
  EXPECT_EQ(mmap(nullptr, RING_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
  EXPECT_EQ(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
  std::vector<unsigned char> there(ring->bytes() / RING_PAGE);
  ASSERT_EQ(mincore(memory, ring->bytes(), there.data()), 0);
  for (const unsigned char page : there) ASSERT_EQ(page & 1, 1) << "a worker would wait for it";
  munmap(memory, ring->bytes());
}

TEST(HostileProgram, CannotStopTheOneThatWakesIt) {
  const auto ring = ring_of();
  const std::vector<FileDescriptor> descriptors = ring->take_descriptors();
  ASSERT_EQ(fcntl(descriptors[1].get(), F_SETFL, 0), 0);  // blocking, and never read
  for (int i = 0; i < 100'000; ++i) ring->queue(0).wake();
  SUCCEED();
}

TEST(HostileProgram, HangsUp) {
  const auto ring = ring_of();
  std::vector<FileDescriptor> descriptors = ring->take_descriptors();
  ProgramQueue& queue = ring->queue(0);
  queue.awake();
  EXPECT_GE(queue.wake_fd(), 0);
  descriptors.clear();
  queue.wake();  // no SIGPIPE
  queue.awake();
  EXPECT_EQ(queue.wake_fd(), -1) << "a worker would never sleep beside it";
  ring->note_fault(queue);
  EXPECT_EQ(ring->fault(), RingFault::kHungUp);
}

TEST(ProgramRing, IsRefusedOutsideItsBounds) {
  const auto with = [](std::uint32_t slots, std::uint32_t largest, std::size_t queues) {
    RingOptions options;
    options.slots = slots;
    options.largest = largest;
    options.queues = queues;
    return ProgramRing::create(options).has_value();
  };
  EXPECT_TRUE(with(4096, 1500, 2));
  EXPECT_FALSE(with(63, 1500, 1));
  EXPECT_FALSE(with(32, 1500, 1));
  EXPECT_FALSE(with(8192, 1500, 1));
  EXPECT_FALSE(with(4096, 9000, 2)) << "256 MiB";
  EXPECT_FALSE(with(1024, 70000, 1));
}

TEST(ProgramRing, OfSuperPacketsHasAsManySlotsAsThereIsMemory) {
  const auto slots = [](std::size_t queues) -> std::uint32_t {
    RingOptions options;
    options.queues = queues;
    options.offloads = true;
    auto ring = ProgramRing::create(options);
    return ring ? (*ring)->slots() : 0;
  };
  EXPECT_EQ(slots(1), 256U);
  EXPECT_EQ(slots(2), 128U);
  EXPECT_EQ(slots(4), 64U);
  EXPECT_EQ(slots(9), 0U) << "more than 64 MiB";
}

TEST(RingSources, ArePrefixes) {
  RingSources sources;
  ASSERT_TRUE(sources.add(*parse_ip_address("10.9.0.77"), 24));
  ASSERT_TRUE(sources.add(*parse_ip_address("192.0.2.1"), 32));
  ASSERT_TRUE(sources.add(*parse_ip_address("fd00::1"), 70));
  const auto allows = [&](const char* text) {
    const auto address = parse_ip_address(text);
    return sources.allow(address->bytes.data(), address->v6);
  };
  EXPECT_TRUE(allows("10.9.0.1"));
  EXPECT_FALSE(allows("10.9.1.1"));
  EXPECT_TRUE(allows("192.0.2.1"));
  EXPECT_FALSE(allows("192.0.2.0"));
  EXPECT_TRUE(allows("fd00::3ff:0:0:5"));
  EXPECT_FALSE(allows("fd00::0400:0:0:0"));
  EXPECT_FALSE(allows("0a09::"));
  while (sources.size() < RingSources::kMost) ASSERT_TRUE(sources.add(*parse_ip_address("10.0.0.1"), 8));
  EXPECT_FALSE(sources.add(*parse_ip_address("10.0.0.1"), 8));
}

}  // namespace
}  // namespace wg::dataplane
