// A variant leaves no session key, no one-time key and no keystream in its scratch.
#include <algorithm>
#include <array>
#include <unordered_set>

#include "dataplane/crypto/aead_scratch.h"
#include "tests/unit/crypto/packets.h"

namespace wg::crypto {
namespace {

struct ScratchBytes {
  std::uint32_t word[kAeadScratchSize / sizeof(std::uint32_t)];
};

// 32-bit words of the session key and of keystream blocks 0 and 1 of a packet. A word of zeros would prove
// nothing.
void collect_secrets(Packet& packet, std::unordered_set<std::uint32_t>& secrets) {
  Bytes bytes = packet.key;
  std::uint8_t nonce[12] = {};
  std::memcpy(nonce + 4, &packet.counter, 8);
  Bytes keystream(128);
  crypto_stream_chacha20_ietf(keystream.data(), keystream.size(), nonce, packet.key.data());
  bytes.insert(bytes.end(), keystream.begin(), keystream.end());
  for (std::size_t i = 0; i < bytes.size(); i += 4) {
    std::uint32_t word;
    std::memcpy(&word, bytes.data() + i, 4);
    if (word > 0xffff) secrets.insert(word);
  }
}

class AeadScratchContents : public ::testing::TestWithParam<const AeadEngine*> {};

INSTANTIATE_TEST_SUITE_P(Variants, AeadScratchContents,
                         ::testing::ValuesIn(aead_engines().begin(), aead_engines().end()), name_of);

TEST_P(AeadScratchContents, HoldsNoSecretAfterACall) {
  std::mt19937_64 random(5);
  const AeadScratchPtr scratch = make_aead_scratch();
  for (const std::size_t count : {1u, 2u, 5u, 8u, 31u, 64u}) {
    for (const std::size_t length : {0u, 64u, 200u, 1420u, 5000u}) {
      std::vector<Packet> packets;
      std::unordered_set<std::uint32_t> secrets;
      for (std::size_t i = 0; i < count; ++i) {
        packets.emplace_back(random, length, 0, random());
        collect_secrets(packets.back(), secrets);
      }
      std::vector<AeadOp> ops = ops_of(packets);
      const auto leaked = [&] {
        const auto& words = scratch->as<ScratchBytes>().word;
        return std::count_if(std::begin(words), std::end(words),
                             [&](std::uint32_t w) { return secrets.contains(w); });
      };
      GetParam()->seal(*scratch, ops);
      EXPECT_EQ(leaked(), 0) << "sealing " << count << " of " << length;
      EXPECT_EQ(GetParam()->open(*scratch, ops), count);
      EXPECT_EQ(leaked(), 0) << "opening " << count << " of " << length;
    }
  }
}

// One scratch may serve every variant in turn.
TEST(AeadScratchSharing, VariantsTakeTurns) {
  std::mt19937_64 random(6);
  const AeadScratchPtr scratch = make_aead_scratch();
  for (int round = 0; round < 20; ++round) {
    for (const AeadEngine* engine : aead_engines()) {
      std::vector<Packet> packets;
      for (int i = 0; i < 1 + round * 2; ++i) packets.emplace_back(random, random() % 600, 0, random());
      std::vector<AeadOp> ops = ops_of(packets);
      engine->seal(*scratch, ops);
      for (Packet& packet : packets) ASSERT_TRUE(packet.holds(packet.sealed())) << engine->name;
    }
  }
}

}  // namespace
}  // namespace wg::crypto
