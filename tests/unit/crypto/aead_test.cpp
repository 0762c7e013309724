// Every variant this machine can run against libsodium, bit by bit, with canaries around every packet.
#include <array>
#include <deque>
#include <memory>

#include "dataplane/crypto/aead_variants.h"
#include "tests/unit/crypto/packets.h"

namespace wg::crypto {
namespace {

class AeadEngines : public ::testing::TestWithParam<const AeadEngine*> {
 protected:
  const AeadEngine& engine = *GetParam();
  AeadScratchPtr scratch = make_aead_scratch();
  std::mt19937_64 random{20261120};

  std::vector<Packet> burst(std::size_t count, std::size_t length) {
    std::vector<Packet> packets;
    for (std::size_t i = 0; i < count; ++i) packets.emplace_back(random, length, random() % 64, random());
    return packets;
  }

  void share_keys(std::vector<Packet>& packets, std::size_t keys) {
    for (std::size_t i = keys; i < packets.size(); ++i) packets[i].key = packets[i % keys].key;
  }

  // Seals and opens the burst and compares with the oracle both ways.
  void check(std::vector<Packet>& packets) {
    std::vector<AeadOp> ops = ops_of(packets);
    engine.seal(*scratch, ops);
    for (std::size_t i = 0; i < packets.size(); ++i) {
      ASSERT_TRUE(packets[i].holds(packets[i].sealed()))
          << "sealing packet " << i << " of " << packets.size();
      ASSERT_EQ(ops[i].authentic, 7u) << "seal() touched authentic";
    }
    ASSERT_EQ(engine.open(*scratch, ops), packets.size());
    for (std::size_t i = 0; i < packets.size(); ++i) {
      ASSERT_EQ(ops[i].authentic, 1u) << "packet " << i << " of " << packets.size();
      ASSERT_TRUE(packets[i].holds(packets[i].plaintext))
          << "opening packet " << i << " of " << packets.size();
    }
  }
};

INSTANTIATE_TEST_SUITE_P(Variants, AeadEngines,
                         ::testing::ValuesIn(aead_engines().begin(), aead_engines().end()), name_of);

TEST_P(AeadEngines, EveryLengthInBurstsOfOne) {
  for (std::size_t length = 0; length <= 4096; ++length) {
    auto packets = burst(1, length);
    ASSERT_NO_FATAL_FAILURE(check(packets)) << length;
  }
}

// 2, 4: few packets that share vectors; 3: small batches of every shape; 7: block zeros and remainders that
// do or do not fit one pass; 32: whole batches.
TEST_P(AeadEngines, EveryLengthInBursts) {
  for (const std::size_t count : {2u, 3u, 4u, 7u, 32u}) {
    for (std::size_t length = 0; length <= 4096; ++length) {
      if (count == 32 && length > 700 && length % 7 != 0) continue;
      auto packets = burst(count, length);
      ASSERT_NO_FATAL_FAILURE(check(packets)) << length;
    }
  }
}

TEST_P(AeadEngines, LongPackets) {
  for (const std::size_t length : {8191u, 8192u, 9000u, 16384u, 65503u, 65504u, 65519u}) {
    for (const std::size_t count : {1u, 2u, 5u, 9u, 32u}) {
      if (count == 32 && length > 20000 && length != 65519) continue;
      auto packets = burst(count, length);
      ASSERT_NO_FATAL_FAILURE(check(packets)) << length;
    }
  }
}

TEST_P(AeadEngines, EveryAlignment) {
  for (std::size_t alignment = 0; alignment < 64; ++alignment) {
    for (const std::size_t length :
         {0u, 1u, 15u, 16u, 17u, 63u, 64u, 65u, 300u, 1023u, 1024u, 1025u, 1420u, 2049u}) {
      for (const std::size_t count : {1u, 9u}) {
        std::vector<Packet> packets;
        for (std::size_t i = 0; i < count; ++i) packets.emplace_back(random, length, alignment, random());
        ASSERT_NO_FATAL_FAILURE(check(packets)) << length << " at " << alignment;
      }
    }
  }
}

TEST_P(AeadEngines, EveryBurstSizeWithMixedLengthsAndKeys) {
  const std::size_t limits[] = {1, 40, 300, 1500, 4000};
  for (std::size_t count = 1; count <= 64; ++count) {
    for (const std::size_t limit : limits) {
      std::vector<Packet> packets;
      for (std::size_t i = 0; i < count; ++i)
        packets.emplace_back(random, random() % limit, random() % 64, random());
      share_keys(packets, 1 + random() % count);
      ASSERT_NO_FATAL_FAILURE(check(packets)) << limit;
    }
  }
}

// Equal lengths up to a data packet's at every burst size.
TEST_P(AeadEngines, EveryBurstSizeWithEqualLengths) {
  for (std::size_t count = 1; count <= 40; ++count) {
    for (std::size_t length = count; length <= 1500; length += 61) {
      auto packets = burst(count, length);
      share_keys(packets, length % 2 == 0 ? 1 : count);
      ASSERT_NO_FATAL_FAILURE(check(packets)) << length;
    }
  }
}

TEST_P(AeadEngines, LargestBurst) {
  std::vector<Packet> packets;
  for (std::size_t i = 0; i < kAeadMaxBurst; ++i)
    packets.emplace_back(random, random() % 1500, random() % 64, i);
  ASSERT_NO_FATAL_FAILURE(check(packets));
}

// One long packet among short ones, and the reverse, in every position: the uneven cases of the tag kernels.
TEST_P(AeadEngines, UnevenBursts) {
  for (const auto& [common, odd] : {std::pair{64u, 9000u}, std::pair{1420u, 0u}, std::pair{0u, 1420u}}) {
    for (const std::size_t count : {2u, 8u, 9u, 17u, 31u, 32u, 40u}) {
      for (std::size_t position = 0; position < count; position += 3) {
        auto packets = burst(count, common);
        packets[position] = Packet(random, odd, random() % 64, random());
        ASSERT_NO_FATAL_FAILURE(check(packets)) << common << " and " << odd << " at " << position;
      }
    }
  }
}

TEST_P(AeadEngines, CounterExtremes) {
  const std::array<std::uint64_t, 9> counters = {0,           1,           0x7fffffff, 0xfffffffe, 0xffffffff,
                                                 0x100000000, 0x100000001, ~0ull - 1,  ~0ull};
  for (const std::size_t length : {0u, 64u, 300u, 1420u, 3000u}) {
    std::vector<Packet> packets;
    for (const std::uint64_t counter : counters) packets.emplace_back(random, length, 0, counter);
    ASSERT_NO_FATAL_FAILURE(check(packets)) << length;
    for (const std::uint64_t counter : counters) {
      std::vector<Packet> alone;
      alone.emplace_back(random, length, 0, counter);
      ASSERT_NO_FATAL_FAILURE(check(alone)) << length;
    }
  }
}

// ---- Forgeries

class Forgery {
 public:
  Forgery(const AeadEngine& engine, AeadScratch& scratch, std::vector<Packet>& packets)
      : engine_(engine), scratch_(scratch), packets_(packets) {}

  // Opens the sealed burst with one bit of one packet flipped: that packet and no other must be refused.
  void expect_refused(std::size_t bad, std::size_t bit) {
    for (Packet& packet : packets_) {
      const Bytes sealed = packet.sealed();
      std::memcpy(packet.data(), sealed.data(), sealed.size());
    }
    packets_[bad].data()[bit / 8] ^= static_cast<std::uint8_t>(1u << bit % 8);
    std::vector<AeadOp> ops = ops_of(packets_);
    ASSERT_EQ(engine_.open(scratch_, ops), packets_.size() - 1) << "bit " << bit;
    for (std::size_t i = 0; i < packets_.size(); ++i) {
      ASSERT_EQ(ops[i].authentic, i == bad ? 0u : 1u) << "packet " << i << ", bad " << bad << ", bit " << bit;
      if (i != bad) {
        ASSERT_TRUE(packets_[i].holds(packets_[i].plaintext)) << "packet " << i << ", bad " << bad;
      }
    }
  }

 private:
  const AeadEngine& engine_;
  AeadScratch& scratch_;
  std::vector<Packet>& packets_;
};

TEST_P(AeadEngines, EveryTagBitCounts) {
  for (const std::size_t count : {1u, 3u, 8u, 33u}) {
    for (const std::size_t length : {0u, 64u, 333u}) {
      auto packets = burst(count, length);
      Forgery forgery(engine, *scratch, packets);
      for (std::size_t bit = 0; bit < 128; ++bit) {
        ASSERT_NO_FATAL_FAILURE(forgery.expect_refused(bit % count, 8 * length + bit));
      }
    }
  }
}

TEST_P(AeadEngines, EveryPayloadBitCounts) {
  for (const std::size_t length : {1u, 16u, 31u, 80u, 400u}) {
    auto packets = burst(2, length);
    Forgery forgery(engine, *scratch, packets);
    for (std::size_t bit = 0; bit < 8 * length; ++bit) {
      ASSERT_NO_FATAL_FAILURE(forgery.expect_refused(bit % 2, bit));
    }
  }
}

TEST_P(AeadEngines, BadPacketInEveryPosition) {
  for (std::size_t count = 1; count <= 64; ++count) {
    std::vector<Packet> packets;
    for (std::size_t i = 0; i < count; ++i)
      packets.emplace_back(random, random() % 200, random() % 64, random());
    Forgery forgery(engine, *scratch, packets);
    for (std::size_t bad = 0; bad < count; ++bad) {
      const std::size_t bits = 8 * (packets[bad].plaintext.size() + kAeadTagSize);
      ASSERT_NO_FATAL_FAILURE(forgery.expect_refused(bad, random() % bits));
    }
  }
}

// Lengths of data packets at every burst size, under one key, some, or as many as packets: each packet forged
// in turn, in its payload or its tag.
TEST_P(AeadEngines, ForgedDataPacketInEveryBurst) {
  const std::size_t limits[] = {100, 600, 1501};
  for (std::size_t count = 1; count <= 40; ++count) {
    const std::size_t limit = limits[count % std::size(limits)];
    std::vector<Packet> packets;
    for (std::size_t i = 0; i < count; ++i)
      packets.emplace_back(random, random() % limit, random() % 64, random());
    const std::size_t keys[] = {1, count, 1 + random() % count};
    share_keys(packets, keys[random() % std::size(keys)]);
    ASSERT_NO_FATAL_FAILURE(check(packets));
    Forgery forgery(engine, *scratch, packets);
    for (std::size_t bad = 0; bad < count; ++bad) {
      const std::size_t payload_bits = 8 * packets[bad].plaintext.size();
      if (payload_bits != 0) {
        ASSERT_NO_FATAL_FAILURE(forgery.expect_refused(bad, random() % payload_bits));
      }
      ASSERT_NO_FATAL_FAILURE(forgery.expect_refused(bad, payload_bits + random() % (8 * kAeadTagSize)));
    }
  }
}

TEST_P(AeadEngines, WrongKeyOrCounterIsRefused) {
  auto packets = burst(9, 100);
  std::vector<AeadOp> ops = ops_of(packets);
  engine.seal(*scratch, ops);
  ops[2].key = packets[3].key.data();
  ops[5].counter ^= 1ull << 63;
  ops[6].counter ^= 1;
  EXPECT_EQ(engine.open(*scratch, ops), 6u);
  for (std::size_t i = 0; i < ops.size(); ++i)
    EXPECT_EQ(ops[i].authentic, i == 2 || i == 5 || i == 6 ? 0u : 1u) << i;
}

// ---- The contract's bounds

// `at_start`: the first byte a variant may read is the first of the memory, otherwise the last is its last.
struct GuardedPacket {
  GuardedPacket(std::mt19937_64& random, std::size_t length, bool at_start)
      : pages(kAeadReadBefore + length + kAeadTagSize + kAeadReadAfter),
        key_page(kAeadKeySize),
        plaintext(random_bytes(random, length)),
        counter(random()) {
    data = at_start ? pages.begin() + kAeadReadBefore : pages.end() - kAeadReadAfter - kAeadTagSize - length;
    key = at_start ? key_page.begin() : key_page.end() - kAeadKeySize;
    const Bytes bytes = random_bytes(random, kAeadKeySize);
    std::memcpy(key, bytes.data(), kAeadKeySize);
    if (length != 0) std::memcpy(data, plaintext.data(), length);
  }

  GuardedPages pages, key_page;
  Bytes plaintext;
  std::uint64_t counter;
  std::uint8_t* data;
  std::uint8_t* key;
};

// Mixed lengths make lanes start late: those may not read before the bound either.
enum class Lengths { kEqual, kMixed };

struct GuardedBurst {
  GuardedBurst(std::mt19937_64& random, std::size_t count, std::size_t length, Lengths lengths) {
    for (std::size_t i = 0; i < count; ++i) {
      const bool shorter = lengths == Lengths::kMixed && i % 4 == 3;
      GuardedPacket& p = packets.emplace_back(random, shorter ? length / 3 : length, i % 2 == 0);
      ops.push_back({p.data, p.key, p.counter, static_cast<std::uint32_t>(p.plaintext.size()), 0});
    }
  }

  void check(const AeadEngine& engine, AeadScratch& scratch) {
    engine.seal(scratch, ops);
    for (GuardedPacket& p : packets) {
      const Bytes expected = oracle_seal(p.key, p.counter, p.plaintext);
      ASSERT_EQ(std::memcmp(p.data, expected.data(), expected.size()), 0) << p.plaintext.size();
    }
    ASSERT_EQ(engine.open(scratch, ops), ops.size()) << ops[0].length;
  }

  std::deque<GuardedPacket> packets;
  std::vector<AeadOp> ops;
};

TEST_P(AeadEngines, ReadsNothingOutsideTheContract) {
  for (std::size_t length = 0; length <= 2100; length += length < 300 ? 1 : 29) {
    for (const std::size_t count : {1u, 2u, 4u, 9u}) {
      for (const Lengths lengths : {Lengths::kEqual, Lengths::kMixed}) {
        GuardedBurst packets(random, count, length, lengths);
        ASSERT_NO_FATAL_FAILURE(packets.check(engine, *scratch));
      }
    }
  }
}

// The keys and buffers of a burst may be gone when the next one comes, which may be smaller.
TEST_P(AeadEngines, ForgetsTheAddressesOfABurst) {
  for (const std::size_t count : {1u, 5u, 9u, 16u, 17u}) {
    for (const std::size_t length : {0u, 64u, 100u, 400u, 1420u, 3000u}) {
      for (const std::size_t before : {1000u, 3000u}) {
        ASSERT_NO_FATAL_FAILURE(GuardedBurst(random, 32, before, Lengths::kMixed).check(engine, *scratch));
        ASSERT_NO_FATAL_FAILURE(GuardedBurst(random, count, length, Lengths::kEqual).check(engine, *scratch));
      }
    }
  }
}

// The readable bytes around a packet do not influence its result.
TEST_P(AeadEngines, SurroundingsDoNotMatter) {
  for (const std::size_t length : {0u, 1u, 64u, 100u, 1000u}) {
    for (const std::uint8_t filler : {std::uint8_t{0}, std::uint8_t{0xff}}) {
      auto packets = burst(11, length);
      for (Packet& packet : packets) {
        std::fill(packet.memory.begin(), packet.memory.end(), filler);
        if (length != 0) std::memcpy(packet.data(), packet.plaintext.data(), length);
      }
      std::vector<AeadOp> ops = ops_of(packets);
      engine.seal(*scratch, ops);
      for (Packet& packet : packets) {
        const Bytes expected = packet.sealed();
        ASSERT_EQ(std::memcmp(packet.data(), expected.data(), expected.size()), 0);
      }
    }
  }
}

}  // namespace
}  // namespace wg::crypto
