// Published vectors for every primitive the handshake stands on.
#include "control/noise/primitives.h"

#include <blake2.h>
#include <gtest/gtest.h>

#include "fake_host.h"
#include "vectors.h"

namespace wg::noise::test {
namespace {

Buffer text(const std::string& s) {
  return {s.begin(), s.end()};
}

// ---- BLAKE2s

TEST(Blake2s, Rfc7693AppendixB) {
  EXPECT_EQ(hex(hash(text("abc"))), "508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982");
  EXPECT_EQ(hex(hash(text("a"), text("bc"))), hex(hash(text("abc"))));
}

// Appendix E: deterministic inputs, every length, keyed and unkeyed, hashed together.
TEST(Blake2s, Rfc7693AppendixE) {
  const auto sequence = [](std::size_t n, std::uint32_t seed) {
    Buffer out(n);
    std::uint32_t a = 0xDEAD4BADu * seed;
    std::uint32_t b = 1;
    for (auto& byte : out) {
      const std::uint32_t t = a + b;
      a = b;
      b = t;
      byte = static_cast<std::uint8_t>(t >> 24);
    }
    return out;
  };
  blake2s_state grand;
  blake2s_init(&grand, 32);
  for (const std::size_t out_size : {16, 20, 28, 32}) {
    for (const std::size_t in_size : {0, 3, 64, 65, 255, 1024}) {
      const Buffer in = sequence(in_size, static_cast<std::uint32_t>(in_size));
      const Buffer key = sequence(out_size, static_cast<std::uint32_t>(out_size));
      Buffer digest(out_size);
      blake2s(digest.data(), in.data(), nullptr, out_size, in_size, 0);
      blake2s_update(&grand, digest.data(), out_size);
      blake2s(digest.data(), in.data(), key.data(), out_size, in_size, out_size);
      blake2s_update(&grand, digest.data(), out_size);
    }
  }
  Hash result;
  blake2s_final(&grand, result.data(), result.size());
  EXPECT_EQ(hex(result), "6a411f08ce25adcdfb02aba641451cec53c598b24f4fc787fbdc88797f4c1dfe");
}

// Digest length 16 and the key length are part of BLAKE2s's parameter block: a truncated 32-byte digest
// would be another function. Values from an independent implementation (CPython's hashlib).
TEST(Blake2s, MacIsSixteenByteKeyedBlake2s) {
  Buffer key(32);
  Buffer input(116);
  for (std::size_t i = 0; i < key.size(); ++i) key[i] = static_cast<std::uint8_t>(i);
  for (std::size_t i = 0; i < input.size(); ++i) input[i] = static_cast<std::uint8_t>(i);
  EXPECT_EQ(hex(mac(key, {})), "9536f9b267655743dee97b8a670f9f53");
  EXPECT_EQ(hex(mac(key, input)), "072e94ffbfc684bd8ab2a1b9dade2fd5");
  EXPECT_EQ(hex(mac(Bytes(key).first(16), input)), "b9b1bbba1b59e4349d1018f97d243fca");
}

TEST(Blake2s, MacDependsOnEveryByteOfKeyAndInput) {
  Buffer key(16, 7);
  Buffer input(116, 9);
  const Mac reference = mac(key, input);
  for (auto& b : key) {
    b ^= 1;
    EXPECT_NE(mac(key, input), reference);
    b ^= 1;
  }
  for (auto& b : input) {
    b ^= 0x80;
    EXPECT_NE(mac(key, input), reference);
    b ^= 0x80;
  }
  EXPECT_EQ(mac(key, input), reference);
}

// ---- KDF

TEST(Kdf, HkdfWithHmacBlake2s) {
  Key one;
  Key two;
  Key three;
  kdf(&one, &two, &three, unhex("746573742d6b6579"), unhex("746573742d696e707574"));
  EXPECT_EQ(hex(one), "6f0e5ad38daba1bea8a0d213688736f19763239305e0f58aba697f9ffc41c633");
  EXPECT_EQ(hex(two), "df1194df20802a4fe594cde27e92991c8cae66c366e8106aaa937a55fa371e8a");
  EXPECT_EQ(hex(three), "fac6e2745a325f5dc5d11a5b165aad08b0ada28e7b4e666b7c077934a4d76c24");
  kdf(&one, &two, &three, {}, {});
  EXPECT_EQ(hex(one), "8387b46bf43eccfcf349552a095d8315c4055beb90208fb1be23b894bc2ed5d0");
  EXPECT_EQ(hex(two), "58a0e5f6faefccf4807bff1f05fa8a9217945762040bcec2f4b4a62bdfe0e86e");
  EXPECT_EQ(hex(three), "0ce6ea98ec548f8e281e93e32db65621c45eb18dc6f0a7ad94178610a2f7338e");
}

TEST(Kdf, FewerOutputsAreAPrefix) {
  Key one;
  Key two;
  kdf(&one, nullptr, nullptr, {}, {});
  EXPECT_EQ(hex(one), "8387b46bf43eccfcf349552a095d8315c4055beb90208fb1be23b894bc2ed5d0");
  kdf(&one, &two, nullptr, {}, {});
  EXPECT_EQ(hex(two), "58a0e5f6faefccf4807bff1f05fa8a9217945762040bcec2f4b4a62bdfe0e86e");
}

TEST(Hmac, KeyLongerThanABlockIsHashedFirst) {
  const Buffer long_key(65, 0x5a);
  EXPECT_EQ(hmac(long_key, text("x")), hmac(hash(long_key), text("x")));
  EXPECT_NE(hmac(Buffer(64, 0x5a), text("x")), hmac(hash(Buffer(64, 0x5a)), text("x")));
}

// ---- X25519

TEST(X25519, Rfc7748Section52) {
  Secret out;
  ASSERT_TRUE(dh(&out, unhex_array("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4"),
                 unhex_array("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c")));
  EXPECT_EQ(hex(out.bytes), "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552");
  ASSERT_TRUE(dh(&out, unhex_array("4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d"),
                 unhex_array("e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493")));
  EXPECT_EQ(hex(out.bytes), "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957");
}

TEST(X25519, Rfc7748Section52ThousandIterations) {
  Key k{9};
  Key u = k;
  for (int i = 0; i < 1000; ++i) {
    Secret out;
    ASSERT_TRUE(dh(&out, k, u));
    u = k;
    k = out.bytes;
    if (i == 0) {
      EXPECT_EQ(hex(k), "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079");
    }
  }
  EXPECT_EQ(hex(k), "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51");
}

TEST(X25519, Rfc7748Section61) {
  const Key alice = unhex_array("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
  const Key bob = unhex_array("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
  EXPECT_EQ(hex(derive_public(alice)), "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
  EXPECT_EQ(hex(derive_public(bob)), "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
  Secret one;
  Secret two;
  ASSERT_TRUE(dh(&one, alice, derive_public(bob)));
  ASSERT_TRUE(dh(&two, bob, derive_public(alice)));
  EXPECT_EQ(hex(one.bytes), "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
  EXPECT_EQ(one.bytes, two.bytes);
}

TEST(X25519, Wycheproof) {
  LOAD_VECTORS_OR_SKIP(file, "wycheproof_x25519_test.json");
  int zero = 0;
  int total = 0;
  for (const auto& group : (*file)["testGroups"]) {
    for (const auto& test : group["tests"]) {
      ++total;
      const auto shared = unhex_array(test["shared"].get<std::string>());
      Secret out;
      const bool ok = dh(&out, unhex_array(test["private"].get<std::string>()),
                         unhex_array(test["public"].get<std::string>()));
      zero += shared == Key{} ? 1 : 0;
      EXPECT_EQ(ok, shared != Key{}) << test["tcId"];
      if (ok) {
        EXPECT_EQ(hex(out.bytes), hex(shared)) << test["tcId"];
      }
    }
  }
  EXPECT_EQ(total, 518);
  EXPECT_EQ(zero, 31) << "low-order points";
}

TEST(X25519, ClampIsTheRfcs) {
  Key k;
  k.fill(0xff);
  clamp(k);
  EXPECT_EQ(k[0], 0xf8);
  EXPECT_EQ(k[31], 0x7f);
  k.fill(0);
  clamp(k);
  EXPECT_EQ(k[0], 0);
  EXPECT_EQ(k[31], 0x40);
}

// ---- AEAD

TEST(Aead, RejectsEveryFlippedBit) {
  const Key key = unhex_array("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f");
  const Buffer plain = text("twelve bytes");
  const Buffer additional(32, 3);
  Buffer sealed(plain.size() + kTagSize);
  seal(sealed.data(), key, plain, additional);
  Buffer out(plain.size());
  ASSERT_TRUE(open(out.data(), key, sealed, additional));
  EXPECT_EQ(out, plain);
  for (std::size_t bit = 0; bit < sealed.size() * 8; ++bit) {
    Buffer bad = sealed;
    bad[bit / 8] ^= static_cast<std::uint8_t>(1u << (bit % 8));
    EXPECT_FALSE(open(out.data(), key, bad, additional));
  }
  EXPECT_FALSE(open(out.data(), key, sealed, Buffer(32, 4)));
  EXPECT_FALSE(open(out.data(), key, Buffer(15, 0), additional)) << "shorter than a tag";
}

TEST(XAead, DraftIrtfCfrgXchachaA3) {
  const Key key = unhex_array("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f");
  const Buffer nonce = unhex("404142434445464748494a4b4c4d4e4f5051525354555657");
  const Buffer additional = unhex("50515253c0c1c2c3c4c5c6c7");
  const Buffer plain = text(
      "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen "
      "would be it.");
  const std::string expected =
      "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb731c7f1b0b4aa6440bf3a82f4eda7e39"
      "ae64c6708c54c216cb96b72e1213b4522f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9"
      "21f9664c97637da9768812f615c68b13b52ec0875924c1c7987947deafd8780acf49";
  Buffer sealed(plain.size() + kTagSize);
  xseal(sealed.data(), key, nonce, plain, additional);
  EXPECT_EQ(hex(sealed), expected);
  Buffer out(plain.size());
  EXPECT_TRUE(xopen(out.data(), key, nonce, sealed, additional));
  EXPECT_EQ(out, plain);
  sealed[0] ^= 1;
  EXPECT_FALSE(xopen(out.data(), key, nonce, sealed, additional));
}

TEST(XAead, Wycheproof) {
  LOAD_VECTORS_OR_SKIP(file, "wycheproof_xchacha20_poly1305_test.json");
  int total = 0;
  for (const auto& group : (*file)["testGroups"]) {
    if (group["ivSize"] != 192) continue;
    for (const auto& test : group["tests"]) {
      ++total;
      const Buffer plain = unhex(test["msg"].get<std::string>());
      const Buffer sealed = unhex(test["ct"].get<std::string>() + test["tag"].get<std::string>());
      Buffer out(plain.size());
      const bool ok =
          xopen(out.data(), unhex_array(test["key"].get<std::string>()), unhex(test["iv"].get<std::string>()),
                sealed, unhex(test["aad"].get<std::string>()));
      EXPECT_EQ(ok, test["result"] == "valid") << test["tcId"];
      if (ok) {
        EXPECT_EQ(out, plain) << test["tcId"];
      }
    }
  }
  EXPECT_GT(total, 250);
}

// ---- secrets

TEST(Wipe, LeavesNothing) {
  Key key;
  key.fill(0xaa);
  wipe(key.data(), key.size());
  EXPECT_TRUE(is_zero(key));
  key[31] = 1;
  EXPECT_FALSE(is_zero(key));
}

}  // namespace
}  // namespace wg::noise::test
