#include "control/noise/noise.h"

#include <string_view>

namespace wg::noise {

namespace {

constexpr std::string_view kConstruction = "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s";
constexpr std::string_view kIdentifier = "WireGuard v1 zx2c4 Jason@zx2c4.com";

Bytes text_bytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

// Paper section 5.4.5. The initiator sends with the first key (protocol C1-11).
void derive_keys(const Transcript& t, Secret* initiator_to_responder, Secret* responder_to_initiator) {
  kdf(&initiator_to_responder->bytes, &responder_to_initiator->bytes, nullptr, t.chaining_key.bytes, {});
}

}  // namespace

Identity make_identity(const Key& private_key) {
  Identity me;
  me.static_key.private_key = Secret(private_key);
  clamp(me.static_key.private_key.bytes);
  me.static_key.public_key = derive_public(me.static_key.private_key.bytes);
  return me;
}

KeyPair25519 generate_key_pair(Random& random) {
  KeyPair25519 pair;
  random.fill(pair.private_key.bytes);
  clamp(pair.private_key.bytes);
  pair.public_key = derive_public(pair.private_key.bytes);
  return pair;
}

void Transcript::mix_hash(Bytes bytes) noexcept {
  hash = noise::hash(hash, bytes);
}

void Transcript::mix_key(Bytes input) noexcept {
  kdf(&chaining_key.bytes, nullptr, nullptr, chaining_key.bytes, input);
}

void Transcript::mix_key(Bytes input, Secret* message_key) noexcept {
  kdf(&chaining_key.bytes, &message_key->bytes, nullptr, chaining_key.bytes, input);
}

void Transcript::mix_psk(const Secret& preshared_key, Secret* message_key) noexcept {
  Secret tau;
  kdf(&chaining_key.bytes, &tau.bytes, &message_key->bytes, chaining_key.bytes, preshared_key.bytes);
  mix_hash(tau.bytes);
}

void Transcript::seal_and_mix(std::uint8_t* out, const Secret& message_key, Bytes plain) noexcept {
  const std::size_t size = sealed_size(plain.size());
  seal(out, message_key.bytes, plain, hash);
  mix_hash({out, size});
}

bool Transcript::open_and_mix(std::uint8_t* out, const Secret& message_key, Bytes sealed) noexcept {
  if (!open(out, message_key.bytes, sealed, hash)) return false;
  mix_hash(sealed);
  return true;
}

Transcript begin_transcript(Bytes prologue, const PublicKey& responder) {
  Transcript t;
  t.chaining_key.bytes = hash(text_bytes(kConstruction));
  t.hash = hash(t.chaining_key.bytes, prologue);
  t.mix_hash(responder);
  return t;
}

bool write_initiation(Transcript& t, const KeyPair25519& ephemeral, const PublicKey& own_static,
                      const PeerKeys& responder, std::uint8_t* sealed_static, Bytes payload,
                      std::uint8_t* sealed_payload) {
  Secret shared;
  Secret key;
  /* e */
  t.mix_hash(ephemeral.public_key);
  t.mix_key(ephemeral.public_key);
  /* es */
  if (!dh(&shared, ephemeral.private_key.bytes, responder.public_key)) return false;
  t.mix_key(shared.bytes, &key);
  /* s */
  t.seal_and_mix(sealed_static, key, own_static);
  /* ss */
  if (!responder.secrets.static_static_ok) return false;
  t.mix_key(responder.secrets.static_static.bytes, &key);
  /* {t} */
  t.seal_and_mix(sealed_payload, key, payload);
  return true;
}

bool read_initiation_static(Transcript& t, const KeyPair25519& own_static, const PublicKey& remote_ephemeral,
                            Bytes sealed_static, PublicKey* initiator, bool* low_order) {
  Secret shared;
  Secret key;
  /* e */
  t.mix_hash(remote_ephemeral);
  t.mix_key(remote_ephemeral);
  /* es */
  *low_order = !dh(&shared, own_static.private_key.bytes, remote_ephemeral);
  if (*low_order) return false;
  t.mix_key(shared.bytes, &key);
  /* s */
  return t.open_and_mix(initiator->data(), key, sealed_static);
}

bool read_initiation_payload(Transcript& t, const PeerSecrets& initiator, Bytes sealed_payload,
                             std::uint8_t* payload) {
  Secret key;
  /* ss */
  if (!initiator.static_static_ok) return false;
  t.mix_key(initiator.static_static.bytes, &key);
  /* {t} */
  return t.open_and_mix(payload, key, sealed_payload);
}

bool write_response(Transcript& t, const KeyPair25519& ephemeral, const PublicKey& remote_ephemeral,
                    const PeerKeys& initiator, Bytes payload, std::uint8_t* sealed_payload) {
  Secret shared;
  Secret key;
  /* e */
  t.mix_hash(ephemeral.public_key);
  t.mix_key(ephemeral.public_key);
  /* ee */
  if (!dh(&shared, ephemeral.private_key.bytes, remote_ephemeral)) return false;
  t.mix_key(shared.bytes);
  /* se */
  if (!dh(&shared, ephemeral.private_key.bytes, initiator.public_key)) return false;
  t.mix_key(shared.bytes);
  /* psk */
  t.mix_psk(initiator.secrets.preshared_key, &key);
  /* {} */
  t.seal_and_mix(sealed_payload, key, payload);
  return true;
}

bool read_response(Transcript& t, const Key& own_ephemeral, const Key& own_static,
                   const PublicKey& remote_ephemeral, const Secret& preshared_key, Bytes sealed_payload,
                   std::uint8_t* payload, bool* low_order) {
  Secret shared;
  Secret key;
  *low_order = true;
  /* e */
  t.mix_hash(remote_ephemeral);
  t.mix_key(remote_ephemeral);
  /* ee */
  if (!dh(&shared, own_ephemeral, remote_ephemeral)) return false;
  t.mix_key(shared.bytes);
  /* se */
  if (!dh(&shared, own_static, remote_ephemeral)) return false;
  t.mix_key(shared.bytes);
  *low_order = false;
  /* psk */
  t.mix_psk(preshared_key, &key);
  /* {} */
  return t.open_and_mix(payload, key, sealed_payload);
}

Verdict create_initiation(const Identity& me, const PeerKeys& peer, const Tai64n& timestamp,
                          std::uint32_t local_index, Random& random, Handshake* handshake,
                          InitiationMessage* message) {
  *message = {};
  Transcript t = begin_transcript(text_bytes(kIdentifier), peer.public_key);
  const KeyPair25519 ephemeral = generate_key_pair(random);
  if (!write_initiation(t, ephemeral, me.static_key.public_key, peer, message->sealed_static.data(),
                        timestamp, message->sealed_timestamp.data())) {
    return Verdict::kLowOrder;
  }
  message->header = header_of(kInitiation);
  message->sender_index = store_le32(local_index);
  message->ephemeral = ephemeral.public_key;
  handshake->transcript = t;
  handshake->ephemeral_private = ephemeral.private_key;
  handshake->local_index = local_index;
  return Verdict::kOk;
}

Verdict consume_initiation(const Identity& me, const FindPeer& find, const InitiationMessage& message,
                           ConsumedInitiation* out) {
  Transcript t = begin_transcript(text_bytes(kIdentifier), me.static_key.public_key);
  bool low_order = false;
  if (!read_initiation_static(t, me.static_key, message.ephemeral, message.sealed_static, &out->remote_static,
                              &low_order)) {
    return low_order ? Verdict::kLowOrder : Verdict::kUnauthentic;
  }
  const PeerSecrets* const secrets = find(out->remote_static);
  if (secrets == nullptr) return Verdict::kUnknownPeer;
  if (!secrets->static_static_ok) return Verdict::kLowOrder;
  if (!read_initiation_payload(t, *secrets, message.sealed_timestamp, out->timestamp.data())) {
    return Verdict::kUnauthentic;
  }
  out->transcript = t;
  out->remote_ephemeral = message.ephemeral;
  out->remote_index = load_le32(message.sender_index);
  return Verdict::kOk;
}

Verdict create_response(ConsumedInitiation& initiation, const PeerKeys& peer, std::uint32_t local_index,
                        Random& random, SessionKeys* keys, ResponseMessage* message) {
  *message = {};
  Transcript& t = initiation.transcript;
  const KeyPair25519 ephemeral = generate_key_pair(random);
  if (!write_response(t, ephemeral, initiation.remote_ephemeral, peer, {}, message->sealed_nothing.data())) {
    return Verdict::kLowOrder;
  }
  message->header = header_of(kResponse);
  message->sender_index = store_le32(local_index);
  message->receiver_index = store_le32(initiation.remote_index);
  message->ephemeral = ephemeral.public_key;
  derive_keys(t, &keys->receiving, &keys->sending);
  keys->remote_index = initiation.remote_index;
  return Verdict::kOk;
}

Verdict consume_response(const Identity& me, const PeerKeys& peer, Handshake& handshake,
                         const ResponseMessage& message, SessionKeys* keys) {
  Transcript t = handshake.transcript;
  bool low_order = false;
  std::uint8_t nothing = 0;
  if (!read_response(t, handshake.ephemeral_private.bytes, me.static_key.private_key.bytes, message.ephemeral,
                     peer.secrets.preshared_key, message.sealed_nothing, &nothing, &low_order)) {
    return low_order ? Verdict::kLowOrder : Verdict::kUnauthentic;
  }
  derive_keys(t, &keys->sending, &keys->receiving);
  keys->remote_index = load_le32(message.sender_index);
  return Verdict::kOk;
}

}  // namespace wg::noise
