// Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s (Noise revision 34, WireGuard paper section 5.4):
//
//   <- s
//   ...
//   -> e, es, s, ss, {t}
//   <- e, ee, se, psk, {}
//
// Pure functions over values: no clock, no tables, no sockets. Secrets are wiped when values go out of scope.
// The transcript functions take prologue and payload as parameters so that public vectors apply.
#pragma once

#include <functional>

#include "control/noise/messages.h"
#include "control/noise/tai64n.h"

namespace wg::noise {

struct KeyPair25519 {
  Secret private_key;
  PublicKey public_key{};
};

// The interface's own key pair, and the values that every handshake derives from it first.
struct Identity {
  KeyPair25519 static_key;
};
Identity make_identity(const Key& private_key);  // clamps

// The secrets shared with one peer.
struct PeerSecrets {
  Secret preshared_key;
  Secret static_static;           // DH(own static, peer's static), precomputed
  bool static_static_ok = false;  // false: low-order public key, no handshake is possible (protocol C1-5)
};

// The part of a peer that the Noise functions use.
struct PeerKeys {
  const PublicKey& public_key;
  const PeerSecrets& secrets;
};

// The running chaining key and hash.
struct Transcript {
  Secret chaining_key;
  Hash hash{};

  ~Transcript() { wipe(hash.data(), hash.size()); }

  void mix_hash(Bytes bytes) noexcept;
  void mix_key(Bytes input) noexcept;  // without a message key
  void mix_key(Bytes input, Secret* message_key) noexcept;
  void mix_psk(const Secret& preshared_key, Secret* message_key) noexcept;
  void seal_and_mix(std::uint8_t* out, const Secret& message_key, Bytes plain) noexcept;
  [[nodiscard]] bool open_and_mix(std::uint8_t* out, const Secret& message_key, Bytes sealed) noexcept;
};

// ---- the pattern, with prologue and payload as parameters
Transcript begin_transcript(Bytes prologue, const PublicKey& responder);
// `sealed_static` has room for 48 bytes, `sealed_payload` for payload.size() + 16.
// An initiation's ephemeral public key and es, computed at once.
struct InitiationSecrets {
  PublicKey ephemeral{};
  Secret es;
  bool ok = false;  // false: low-order point
};
[[nodiscard]] InitiationSecrets initiation_secrets(const Secret& ephemeral,
                                                   const PublicKey& remote_static) noexcept;
[[nodiscard]] bool write_initiation(Transcript& t, const InitiationSecrets& secrets,
                                    const PublicKey& own_static, const PeerSecrets& responder,
                                    std::uint8_t* sealed_static, Bytes payload, std::uint8_t* sealed_payload);
// DH(own static, remote ephemeral): what reading an initiation begins with.
struct EphemeralStatic {
  Secret shared;
  bool ok = false;  // false: low-order point
};
[[nodiscard]] EphemeralStatic ephemeral_static(const Key& own_static,
                                               const PublicKey& remote_ephemeral) noexcept;
[[nodiscard]] bool read_initiation_static(Transcript& t, const EphemeralStatic& es,
                                          const PublicKey& remote_ephemeral, Bytes sealed_static,
                                          PublicKey* initiator);
[[nodiscard]] bool read_initiation_payload(Transcript& t, const PeerSecrets& initiator, Bytes sealed_payload,
                                           std::uint8_t* payload);
// All that a response takes from its ephemeral key, computed at once.
struct ResponseSecrets {
  PublicKey ephemeral{};  // the public key
  Secret ee, se;
  bool ok = false;  // false: low-order point
};
[[nodiscard]] ResponseSecrets response_secrets(const Secret& ephemeral, const PublicKey& remote_ephemeral,
                                               const PublicKey& remote_static) noexcept;
[[nodiscard]] bool write_response(Transcript& t, const ResponseSecrets& secrets, const Secret& preshared_key,
                                  Bytes payload, std::uint8_t* sealed_payload);
[[nodiscard]] bool read_response(Transcript& t, const Key& own_ephemeral, const Key& own_static,
                                 const PublicKey& remote_ephemeral, const Secret& preshared_key,
                                 Bytes sealed_payload, std::uint8_t* payload, bool* low_order);

// ---- WireGuard's messages. Macs are left zero: see cookie.h.
// The initiator's state between initiation and response. Lives in the secret arena.
struct Handshake {
  Transcript transcript;
  Secret ephemeral_private;
  std::uint32_t local_index = 0;
  std::uint32_t refused_responses = 0;  // written by the engine
};

// The responder's state between consuming an initiation and creating the response. It is never stored.
struct ConsumedInitiation {
  Transcript transcript;
  PublicKey remote_static{};
  PublicKey remote_ephemeral{};
  Tai64n timestamp{};
  std::uint32_t remote_index = 0;
};

struct SessionKeys {
  Secret sending;
  Secret receiving;
  std::uint32_t remote_index = 0;
};

enum class Verdict : std::uint8_t { kOk, kUnauthentic, kUnknownPeer, kLowOrder };

using FindPeer = std::function<const PeerSecrets*(const PublicKey&)>;

[[nodiscard]] Secret generate_private_key(Random& random);
[[nodiscard]] Verdict create_initiation(const Identity& me, const PeerKeys& peer, const Tai64n& timestamp,
                                        std::uint32_t local_index, Random& random, Handshake* handshake,
                                        InitiationMessage* message);
// `es`: when it has been computed already.
[[nodiscard]] Verdict consume_initiation(const Identity& me, const FindPeer& find,
                                         const InitiationMessage& message, ConsumedInitiation* out,
                                         const EphemeralStatic* es = nullptr);
// `ephemeral`: gets the private key, unless it is null.
[[nodiscard]] Verdict create_response(ConsumedInitiation& initiation, const PeerKeys& peer,
                                      std::uint32_t local_index, Random& random, SessionKeys* keys,
                                      ResponseMessage* message, Secret* ephemeral = nullptr);
// `handshake` is changed only on success: a forged response must not spoil the real one.
[[nodiscard]] Verdict consume_response(const Identity& me, const PeerKeys& peer, Handshake& handshake,
                                       const ResponseMessage& message, SessionKeys* keys);

}  // namespace wg::noise
