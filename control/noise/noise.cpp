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

Secret generate_private_key(Random& random) {
  Secret key;
  random.fill(key.bytes);
  clamp(key.bytes);
  return key;
}

InitiationSecrets initiation_secrets(const Secret& ephemeral, const PublicKey& remote_static) noexcept {
  InitiationSecrets secrets;
  Secret public_key;
  std::array<DhOp, 2> ops{
      {{&ephemeral.bytes, &base_point(), &public_key}, {&ephemeral.bytes, &remote_static, &secrets.es}}};
  dh(ops);
  secrets.ephemeral = public_key.bytes;
  secrets.ok = ops[1].ok;
  return secrets;
}

EphemeralStatic ephemeral_static(const Key& own_static, const PublicKey& remote_ephemeral) noexcept {
  EphemeralStatic es;
  es.ok = dh(&es.shared, own_static, remote_ephemeral);
  return es;
}

ResponseSecrets response_secrets(const Secret& ephemeral, const PublicKey& remote_ephemeral,
                                 const PublicKey& remote_static) noexcept {
  ResponseSecrets secrets;
  Secret public_key;
  std::array<DhOp, 3> ops{{{&ephemeral.bytes, &base_point(), &public_key},
                           {&ephemeral.bytes, &remote_ephemeral, &secrets.ee},
                           {&ephemeral.bytes, &remote_static, &secrets.se}}};
  dh(ops);
  secrets.ephemeral = public_key.bytes;
  secrets.ok = ops[1].ok && ops[2].ok;
  return secrets;
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

bool write_initiation(Transcript& t, const InitiationSecrets& secrets, const PublicKey& own_static,
                      const PeerSecrets& responder, std::uint8_t* sealed_static, Bytes payload,
                      std::uint8_t* sealed_payload) {
  Secret key;
  /* e */
  t.mix_hash(secrets.ephemeral);
  t.mix_key(secrets.ephemeral);
  /* es */
  if (!secrets.ok) return false;
  t.mix_key(secrets.es.bytes, &key);
  /* s */
  t.seal_and_mix(sealed_static, key, own_static);
  /* ss */
  if (!responder.static_static_ok) return false;
  t.mix_key(responder.static_static.bytes, &key);
  /* {t} */
  t.seal_and_mix(sealed_payload, key, payload);
  return true;
}

bool read_initiation_static(Transcript& t, const EphemeralStatic& es, const PublicKey& remote_ephemeral,
                            Bytes sealed_static, PublicKey* initiator) {
  Secret key;
  /* e */
  t.mix_hash(remote_ephemeral);
  t.mix_key(remote_ephemeral);
  /* es */
  if (!es.ok) return false;
  t.mix_key(es.shared.bytes, &key);
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

bool write_response(Transcript& t, const ResponseSecrets& secrets, const Secret& preshared_key, Bytes payload,
                    std::uint8_t* sealed_payload) {
  Secret key;
  if (!secrets.ok) return false;
  /* e */
  t.mix_hash(secrets.ephemeral);
  t.mix_key(secrets.ephemeral);
  /* ee */
  t.mix_key(secrets.ee.bytes);
  /* se */
  t.mix_key(secrets.se.bytes);
  /* psk */
  t.mix_psk(preshared_key, &key);
  /* {} */
  t.seal_and_mix(sealed_payload, key, payload);
  return true;
}

bool read_response(Transcript& t, const Key& own_ephemeral, const Key& own_static,
                   const PublicKey& remote_ephemeral, const Secret& preshared_key, Bytes sealed_payload,
                   std::uint8_t* payload, bool* low_order) {
  Secret ee, se;
  Secret key;
  std::array<DhOp, 2> ops{{{&own_ephemeral, &remote_ephemeral, &ee}, {&own_static, &remote_ephemeral, &se}}};
  dh(ops);
  *low_order = !ops[0].ok || !ops[1].ok;
  if (*low_order) return false;
  /* e */
  t.mix_hash(remote_ephemeral);
  t.mix_key(remote_ephemeral);
  /* ee */
  t.mix_key(ee.bytes);
  /* se */
  t.mix_key(se.bytes);
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
  const Secret ephemeral = generate_private_key(random);
  const InitiationSecrets secrets = initiation_secrets(ephemeral, peer.public_key);
  if (!write_initiation(t, secrets, me.static_key.public_key, peer.secrets, message->sealed_static.data(),
                        timestamp, message->sealed_timestamp.data())) {
    return Verdict::kLowOrder;
  }
  message->header = header_of(kInitiation);
  message->sender_index = store_le32(local_index);
  message->ephemeral = secrets.ephemeral;
  handshake->transcript = t;
  handshake->ephemeral_private = ephemeral;
  handshake->local_index = local_index;
  return Verdict::kOk;
}

Verdict consume_initiation(const Identity& me, const FindPeer& find, const InitiationMessage& message,
                           ConsumedInitiation* out, const EphemeralStatic* es) {
  Transcript t = begin_transcript(text_bytes(kIdentifier), me.static_key.public_key);
  EphemeralStatic own;
  if (es == nullptr) {
    own = ephemeral_static(me.static_key.private_key.bytes, message.ephemeral);
    es = &own;
  }
  if (!es->ok) return Verdict::kLowOrder;
  if (!read_initiation_static(t, *es, message.ephemeral, message.sealed_static, &out->remote_static))
    return Verdict::kUnauthentic;
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
                        Random& random, SessionKeys* keys, ResponseMessage* message, Secret* ephemeral) {
  *message = {};
  Transcript& t = initiation.transcript;
  const Secret own = generate_private_key(random);
  const ResponseSecrets secrets = response_secrets(own, initiation.remote_ephemeral, peer.public_key);
  if (ephemeral != nullptr) *ephemeral = own;
  if (!write_response(t, secrets, peer.secrets.preshared_key, {}, message->sealed_nothing.data()))
    return Verdict::kLowOrder;
  message->header = header_of(kResponse);
  message->sender_index = store_le32(local_index);
  message->receiver_index = store_le32(initiation.remote_index);
  message->ephemeral = secrets.ephemeral;
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
