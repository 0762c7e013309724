// The Noise functions by themselves: the public vector, and what each of the four DHs does with bad points.
#include "control/noise/noise.h"

#include <gtest/gtest.h>

#include "fake_host.h"
#include "vectors.h"

namespace wg::noise::test {
namespace {

KeyPair25519 pair_of(const std::string& private_hex) {
  KeyPair25519 pair;
  pair.private_key.bytes = unhex_array(private_hex);
  pair.public_key = derive_public(pair.private_key.bytes);
  return pair;
}

PeerSecrets secrets_of(const KeyPair25519& own, const PublicKey& remote, const Key& psk) {
  PeerSecrets s;
  s.preshared_key.bytes = psk;
  s.static_static_ok = dh(&s.static_static, own.private_key.bytes, remote);
  return s;
}

struct Vector {
  explicit Vector(const nlohmann::json& v)
      : prologue(unhex(v["init_prologue"])),
        initiator(pair_of(v["init_static"])),
        initiator_ephemeral(pair_of(v["init_ephemeral"])),
        responder(pair_of(v["resp_static"])),
        responder_ephemeral(pair_of(v["resp_ephemeral"])),
        psk(unhex_array(v["init_psks"][0])) {
    for (const auto& m : v["messages"]) {
      payloads.push_back(unhex(m["payload"]));
      ciphertexts.push_back(unhex(m["ciphertext"]));
    }
  }
  Buffer prologue;
  KeyPair25519 initiator;
  KeyPair25519 initiator_ephemeral;
  KeyPair25519 responder;
  KeyPair25519 responder_ephemeral;
  Key psk;
  std::vector<Buffer> payloads;
  std::vector<Buffer> ciphertexts;
};

Buffer joined(const PublicKey& e, const Buffer& a, const Buffer& b = {}) {
  Buffer out(e.begin(), e.end());
  out.insert(out.end(), a.begin(), a.end());
  out.insert(out.end(), b.begin(), b.end());
  return out;
}

TEST(Noise, PublicVector) {
  LOAD_VECTORS_OR_SKIP(file, "noise_ikpsk2_25519_chachapoly_blake2s.json");
  const Vector v((*file)["vectors"][0]);
  const PeerSecrets of_responder = secrets_of(v.initiator, v.responder.public_key, v.psk);
  const PeerSecrets of_initiator = secrets_of(v.responder, v.initiator.public_key, v.psk);

  Transcript i = begin_transcript(v.prologue, v.responder.public_key);
  Buffer sealed_static(48);
  Buffer sealed_payload(v.payloads[0].size() + kTagSize);
  const InitiationSecrets first =
      initiation_secrets(v.initiator_ephemeral.private_key, v.responder.public_key);
  EXPECT_EQ(first.ephemeral, v.initiator_ephemeral.public_key);
  ASSERT_TRUE(write_initiation(i, first, v.initiator.public_key, of_responder, sealed_static.data(),
                               v.payloads[0], sealed_payload.data()));
  EXPECT_EQ(hex(joined(v.initiator_ephemeral.public_key, sealed_static, sealed_payload)),
            hex(v.ciphertexts[0]));

  Transcript r = begin_transcript(v.prologue, v.responder.public_key);
  PublicKey sender;
  bool low_order = false;
  const EphemeralStatic es =
      ephemeral_static(v.responder.private_key.bytes, v.initiator_ephemeral.public_key);
  ASSERT_TRUE(read_initiation_static(r, es, v.initiator_ephemeral.public_key, sealed_static, &sender));
  EXPECT_EQ(sender, v.initiator.public_key);
  Buffer payload(v.payloads[0].size());
  ASSERT_TRUE(read_initiation_payload(r, of_initiator, sealed_payload, payload.data()));
  EXPECT_EQ(payload, v.payloads[0]);

  Buffer sealed_response(v.payloads[1].size() + kTagSize);
  const ResponseSecrets second = response_secrets(v.responder_ephemeral.private_key,
                                                  v.initiator_ephemeral.public_key, v.initiator.public_key);
  EXPECT_EQ(second.ephemeral, v.responder_ephemeral.public_key);
  ASSERT_TRUE(write_response(r, second, of_initiator.preshared_key, v.payloads[1], sealed_response.data()));
  EXPECT_EQ(hex(joined(v.responder_ephemeral.public_key, sealed_response)), hex(v.ciphertexts[1]));

  payload.resize(v.payloads[1].size());
  ASSERT_TRUE(read_response(i, v.initiator_ephemeral.private_key.bytes, v.initiator.private_key.bytes,
                            v.responder_ephemeral.public_key, of_responder.preshared_key, sealed_response,
                            payload.data(), &low_order));
  EXPECT_EQ(payload, v.payloads[1]);
  EXPECT_EQ(i.hash, r.hash);
  EXPECT_EQ(hex(i.hash), (*file)["vectors"][0]["handshake_hash"].get<std::string>());

  // The rest are transport messages: initiator and responder in turn, counters from 0.
  Key send;
  Key receive;
  kdf(&send, &receive, nullptr, i.chaining_key.bytes, {});
  ASSERT_GE(v.payloads.size(), 4u);
  Buffer sealed(v.payloads[2].size() + kTagSize);
  seal(sealed.data(), send, v.payloads[2], {});
  EXPECT_EQ(hex(sealed), hex(v.ciphertexts[2]));
  sealed.resize(v.payloads[3].size() + kTagSize);
  seal(sealed.data(), receive, v.payloads[3], {});
  EXPECT_EQ(hex(sealed), hex(v.ciphertexts[3]));
}

// ---- whole messages

struct Both {
  Both() : random(3) {
    Key k;
    random.fill(k);
    a = make_identity(k);
    random.fill(k);
    b = make_identity(k);
    random.fill(psk);
    of_b = secrets_of(a.static_key, b.static_key.public_key, psk);
    of_a = secrets_of(b.static_key, a.static_key.public_key, psk);
  }
  Verdict initiate() {
    return create_initiation(a, {b.static_key.public_key, of_b}, tai64n(5, 0), 0x11223344, random, &handshake,
                             &initiation);
  }
  Verdict consume() {
    return consume_initiation(
        b, [this](const PublicKey& k) { return k == a.static_key.public_key ? &of_a : nullptr; }, initiation,
        &consumed);
  }
  Verdict respond() {
    return create_response(consumed, {a.static_key.public_key, of_a}, 0x55667788, random, &keys_b, &response);
  }
  Verdict finish() {
    return consume_response(a, {b.static_key.public_key, of_b}, handshake, response, &keys_a);
  }

  SeededRandom random;
  Identity a;
  Identity b;
  Key psk{};
  PeerSecrets of_b;
  PeerSecrets of_a;
  Handshake handshake;
  InitiationMessage initiation{};
  ConsumedInitiation consumed;
  ResponseMessage response{};
  SessionKeys keys_a;
  SessionKeys keys_b;
};

TEST(Noise, MessagesCarryIndicesAndTimestamp) {
  Both t;
  ASSERT_EQ(t.initiate(), Verdict::kOk);
  EXPECT_EQ(hex(t.initiation.header.type), "01000000");
  EXPECT_EQ(hex(t.initiation.sender_index), "44332211");
  ASSERT_EQ(t.consume(), Verdict::kOk);
  EXPECT_EQ(t.consumed.timestamp, tai64n(5, 0));
  EXPECT_EQ(t.consumed.remote_static, t.a.static_key.public_key);
  ASSERT_EQ(t.respond(), Verdict::kOk);
  EXPECT_EQ(hex(t.response.header.type), "02000000");
  EXPECT_EQ(hex(t.response.receiver_index), "44332211");
  ASSERT_EQ(t.finish(), Verdict::kOk);
  EXPECT_EQ(t.keys_a.sending.bytes, t.keys_b.receiving.bytes);
  EXPECT_EQ(t.keys_a.receiving.bytes, t.keys_b.sending.bytes);
  EXPECT_EQ(t.keys_a.remote_index, 0x55667788u);
  EXPECT_EQ(t.keys_b.remote_index, 0x11223344u);
}

TEST(Noise, EveryFlippedByteOfAnInitiationIsRefused) {
  Both t;
  ASSERT_EQ(t.initiate(), Verdict::kOk);
  const InitiationMessage good = t.initiation;
  auto* const raw = reinterpret_cast<std::uint8_t*>(&t.initiation);
  for (std::size_t i = 8; i < sizeof t.initiation - sizeof(Macs); ++i) {
    raw[i] ^= 1;
    EXPECT_NE(t.consume(), Verdict::kOk) << i;
    t.initiation = good;
  }
  EXPECT_EQ(t.consume(), Verdict::kOk);
}

TEST(Noise, EveryFlippedByteOfAResponseIsRefusedAndSpoilsNothing) {
  Both t;
  ASSERT_EQ(t.initiate(), Verdict::kOk);
  ASSERT_EQ(t.consume(), Verdict::kOk);
  ASSERT_EQ(t.respond(), Verdict::kOk);
  const ResponseMessage good = t.response;
  auto* const raw = reinterpret_cast<std::uint8_t*>(&t.response);
  for (std::size_t i = 12; i < sizeof t.response - sizeof(Macs); ++i) {
    raw[i] ^= 1;
    EXPECT_NE(t.finish(), Verdict::kOk) << i;
    t.response = good;
  }
  EXPECT_EQ(t.finish(), Verdict::kOk) << "the real response still works after the forgeries";
}

TEST(Noise, WrongPresharedKeyFailsAtTheResponse) {
  Both t;
  t.of_a.preshared_key.bytes[0] ^= 1;
  ASSERT_EQ(t.initiate(), Verdict::kOk);
  ASSERT_EQ(t.consume(), Verdict::kOk);
  ASSERT_EQ(t.respond(), Verdict::kOk);
  EXPECT_EQ(t.finish(), Verdict::kUnauthentic);
}

// ---- low-order points in each DH

const char* const kLowOrder[] = {
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
};

TEST(NoiseLowOrder, EphemeralInInitiation) {
  for (const char* const point : kLowOrder) {
    Both t;
    ASSERT_EQ(t.initiate(), Verdict::kOk);
    t.initiation.ephemeral = unhex_array(point);
    EXPECT_EQ(t.consume(), Verdict::kLowOrder) << point;
  }
}

TEST(NoiseLowOrder, StaticOfResponderAndOfInitiator) {
  for (const char* const point : kLowOrder) {
    Both t;
    const PublicKey low = unhex_array(point);
    const PeerSecrets secrets = secrets_of(t.a.static_key, low, t.psk);
    EXPECT_FALSE(secrets.static_static_ok);
    EXPECT_EQ(create_initiation(t.a, {low, secrets}, tai64n(5, 0), 1, t.random, &t.handshake, &t.initiation),
              Verdict::kLowOrder);
    ASSERT_EQ(t.initiate(), Verdict::kOk);
    t.of_a.static_static_ok = false;  // ss
    EXPECT_EQ(t.consume(), Verdict::kLowOrder);
    t.of_a.static_static_ok = true;
    ASSERT_EQ(t.consume(), Verdict::kOk);
    EXPECT_EQ(create_response(t.consumed, {low, t.of_a}, 1, t.random, &t.keys_b, &t.response),
              Verdict::kLowOrder)
        << "se";
  }
}

TEST(NoiseLowOrder, EphemeralInResponseAndToRespondTo) {
  for (const char* const point : kLowOrder) {
    Both t;
    ASSERT_EQ(t.initiate(), Verdict::kOk);
    ASSERT_EQ(t.consume(), Verdict::kOk);
    ConsumedInitiation bad = t.consumed;
    bad.remote_ephemeral = unhex_array(point);
    EXPECT_EQ(create_response(bad, {t.a.static_key.public_key, t.of_a}, 1, t.random, &t.keys_b, &t.response),
              Verdict::kLowOrder)
        << "ee";
    ASSERT_EQ(t.respond(), Verdict::kOk);
    t.response.ephemeral = unhex_array(point);
    EXPECT_EQ(t.finish(), Verdict::kLowOrder) << "ee and se of the initiator";
  }
}

}  // namespace
}  // namespace wg::noise::test
