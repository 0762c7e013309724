// Published vectors and computed edge cases. WireGuard fixes the AAD to nothing and the nonce's first four
// bytes to zero, which leaves of RFC 8439 the vectors of the parts, and of Wycheproof its keys and messages.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>

#include "poly1305_edges.h"  // generated in the build directory
#include "tests/unit/crypto/packets.h"

namespace wg::crypto {
namespace {

Bytes seal_with(const AeadEngine& engine, const Bytes& key, std::uint64_t counter, const Bytes& plaintext) {
  const AeadScratchPtr scratch = make_aead_scratch();
  Bytes memory(kAeadReadBefore + plaintext.size() + kAeadTagSize + kAeadReadAfter);
  std::uint8_t* data = memory.data() + kAeadReadBefore;
  if (!plaintext.empty()) std::memcpy(data, plaintext.data(), plaintext.size());
  AeadOp op = {data, key.data(), counter, static_cast<std::uint32_t>(plaintext.size()), 0};
  engine.seal(*scratch, {&op, 1});
  return {data, data + plaintext.size() + kAeadTagSize};
}

bool open_with(const AeadEngine& engine, const Bytes& key, std::uint64_t counter, const Bytes& sealed,
               std::size_t copies) {
  const AeadScratchPtr scratch = make_aead_scratch();
  const std::size_t stride = kAeadReadBefore + sealed.size() + kAeadReadAfter;
  Bytes memory(stride * copies);
  std::vector<AeadOp> ops;
  for (std::size_t i = 0; i < copies; ++i) {
    std::uint8_t* data = memory.data() + stride * i + kAeadReadBefore;
    std::memcpy(data, sealed.data(), sealed.size());
    ops.push_back({data, key.data(), counter, static_cast<std::uint32_t>(sealed.size() - kAeadTagSize), 0});
  }
  return engine.open(*scratch, ops) == copies;
}

class AeadVectors : public ::testing::TestWithParam<const AeadEngine*> {
 protected:
  const AeadEngine& engine = *GetParam();
};

INSTANTIATE_TEST_SUITE_P(Variants, AeadVectors,
                         ::testing::ValuesIn(aead_engines().begin(), aead_engines().end()), name_of);

// RFC 8439 A.1: keystream blocks of nonce 0. Payload block n is keystream block n + 1.
TEST_P(AeadVectors, Rfc8439ChachaBlocks) {
  Bytes key(32, 0);
  Bytes keystream = seal_with(engine, key, 0, Bytes(64, 0));
  keystream.resize(64);
  EXPECT_EQ(keystream,
            from_hex("9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed"
                     "29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b794d6f"));  // vector 2
  key[31] = 1;
  keystream = seal_with(engine, key, 0, Bytes(64, 0));
  keystream.resize(64);
  EXPECT_EQ(keystream,
            from_hex("3aeb5224ecf849929b9d828db1ced4dd832025e8018b8160b82284f3c949aa5a"
                     "8eca00bbb4a73bdad192b5c42f73f2fd4e273644c8b36125a64addeb006c13a0"));  // vector 3
  key[31] = 0;
  key[1] = 0xff;
  keystream = seal_with(engine, key, 0, Bytes(128, 0));
  EXPECT_EQ(Bytes(keystream.begin() + 64, keystream.begin() + 128),
            from_hex("72d54dfbf12ec44b362692df94137f328fea8da73990265ec1bbbea1ae9af0ca"
                     "13b25aa26cb4a648cb9b9d1be65b2c0924a66c54d545ec1b7374f4872e99f096"));  // vector 4
}

const char* const kDraftText =
    "Internet-Drafts are draft documents valid for a maximum of six months and may be updated, replaced, or "
    "obsoleted by other documents at any time. It is inappropriate to use Internet-Drafts as reference "
    "material or "
    "to cite them other than as /\xe2\x80\x9cwork in progress./\xe2\x80\x9d";

// RFC 8439 A.5, whose nonce begins with zeros as WireGuard's does. Its AAD changes the tag but not the
// ciphertext.
TEST_P(AeadVectors, Rfc8439AeadDecryption) {
  const Bytes key = from_hex("1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0");
  const Bytes nonce = from_hex("000000000102030405060708");
  const Bytes aad = from_hex("f33388860000000000004e91");
  const Bytes tag = from_hex("eead9d67890cbb22392336fea1851f38");
  const std::string text = kDraftText;
  const Bytes plaintext(text.begin(), text.end());

  Bytes sealed = seal_with(engine, key, 0x0807060504030201, plaintext);
  ASSERT_EQ(sealed.size(), 265u + kAeadTagSize);
  EXPECT_EQ(sealed, oracle_seal(key.data(), 0x0807060504030201, plaintext));
  sealed.resize(265);
  EXPECT_EQ(Bytes(sealed.begin(), sealed.begin() + 32),
            from_hex("64a0861575861af460f062c79be643bd5e805cfd345cf389f108670ac76c8cb2"));
  // The RFC's tag with the RFC's AAD over our ciphertext.
  Bytes opened(265);
  EXPECT_EQ(crypto_aead_chacha20poly1305_ietf_decrypt_detached(opened.data(), nullptr, sealed.data(),
                                                               sealed.size(), tag.data(), aad.data(),
                                                               aad.size(), nonce.data(), key.data()),
            0);
}

TEST_P(AeadVectors, AccumulatorExtremes) {
  for (const Poly1305Edge& edge : kPoly1305Edges) {
    const Bytes key = from_hex(edge.key);
    Bytes sealed = from_hex(edge.ciphertext);
    const Bytes tag = from_hex(edge.tag);
    sealed.insert(sealed.end(), tag.begin(), tag.end());
    for (const std::size_t copies : {1u, 4u, 8u, 16u, 32u}) {
      ASSERT_TRUE(open_with(engine, key, edge.counter, sealed, copies))
          << "ciphertext of " << sealed.size() - kAeadTagSize << ", counter " << edge.counter << ", "
          << copies;
    }
    sealed.back() ^= 1;
    ASSERT_FALSE(open_with(engine, key, edge.counter, sealed, 1));
  }
}

// ---- Wycheproof

std::optional<nlohmann::json> wycheproof() {
  namespace fs = std::filesystem;
  const char* configured = std::getenv("LINEGATE_VECTORS");
  const fs::path folder =
      configured ? fs::path(configured) : fs::path(LINEGATE_SOURCE_DIR) / "../shared/vectors";
  std::ifstream file(folder / "wycheproof_chacha20_poly1305_test.json");
  if (!file) return std::nullopt;
  return nlohmann::json::parse(file);
}

#define REQUIRE_WYCHEPROOF(name)  \
  const auto name = wycheproof(); \
  if (!name) GTEST_SKIP() << "wycheproof_chacha20_poly1305_test.json not found; set LINEGATE_VECTORS"

// The oracle itself, on every case.
TEST(Wycheproof, OracleAgrees) {
  REQUIRE_WYCHEPROOF(vectors);
  int cases = 0;
  for (const auto& group : (*vectors)["testGroups"]) {
    if (group["ivSize"] != 96 || group["tagSize"] != 128) continue;
    for (const auto& test : group["tests"]) {
      const Bytes key = from_hex(test["key"]), nonce = from_hex(test["iv"]), aad = from_hex(test["aad"]);
      const Bytes text = from_hex(test["ct"]), tag = from_hex(test["tag"]);
      Bytes opened(text.size() + 1);
      const int result = crypto_aead_chacha20poly1305_ietf_decrypt_detached(
          opened.data(), nullptr, text.data(), text.size(), tag.data(), aad.data(), aad.size(), nonce.data(),
          key.data());
      EXPECT_EQ(result == 0, test["result"] != "invalid") << test["tcId"];
      ++cases;
    }
  }
  EXPECT_GT(cases, 200);
}

// Its keys and messages, many of them chosen for their bit patterns, with WireGuard's nonce: equal to the
// oracle.
TEST_P(AeadVectors, WycheproofKeysAndMessages) {
  REQUIRE_WYCHEPROOF(vectors);
  for (const auto& group : (*vectors)["testGroups"]) {
    for (const auto& test : group["tests"]) {
      const Bytes key = from_hex(test["key"]), nonce = from_hex(test["iv"]), message = from_hex(test["msg"]);
      std::uint64_t counter = 0;
      if (nonce.size() == 12) std::memcpy(&counter, nonce.data() + 4, 8);
      const Bytes sealed = seal_with(engine, key, counter, message);
      ASSERT_EQ(sealed, oracle_seal(key.data(), counter, message)) << test["tcId"];
      ASSERT_TRUE(open_with(engine, key, counter, sealed, 1)) << test["tcId"];
    }
  }
}

}  // namespace
}  // namespace wg::crypto
