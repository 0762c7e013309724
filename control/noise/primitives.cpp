#include "control/noise/primitives.h"

#include <blake2.h>
#include <sodium.h>

#include <cassert>
#include <cstring>

#include "dataplane/crypto/x25519.h"

namespace wg::noise {

namespace {

constexpr std::size_t kBlock = 64;  // BLAKE2s block size
constexpr std::array<std::uint8_t, 12> kZeroNonce{};
constexpr PublicKey kBasePoint{9};
static_assert(kDhAtOnce == crypto::kX25519Lanes);

// Streaming BLAKE2s. Its state is wiped, because HMAC leaves key material in it.
class Blake2s {
 public:
  explicit Blake2s(std::size_t out_size) { blake2s_init(&state_, out_size); }
  Blake2s(std::size_t out_size, Bytes key) { blake2s_init_key(&state_, out_size, key.data(), key.size()); }
  ~Blake2s() { wipe(&state_, sizeof state_); }
  Blake2s(const Blake2s&) = delete;
  Blake2s& operator=(const Blake2s&) = delete;

  Blake2s& update(Bytes bytes) {
    if (!bytes.empty()) blake2s_update(&state_, bytes.data(), bytes.size());
    return *this;
  }
  template <std::size_t n>
  void finish(std::array<std::uint8_t, n>& out) {
    blake2s_final(&state_, out.data(), n);
  }

 private:
  blake2s_state state_;
};

#ifdef LINEGATE_FUZZ_AEAD_ALWAYS_OPENS
constexpr bool kAlwaysOpens = true;  // fuzzing only: mutated messages pass the authentication
#else
constexpr bool kAlwaysOpens = false;
#endif

}  // namespace

void wipe(void* memory, std::size_t size) noexcept {
  sodium_memzero(memory, size);
}

bool is_zero(Bytes bytes) noexcept {
  return sodium_is_zero(bytes.data(), bytes.size()) == 1;
}

Hash hash(Bytes a, Bytes b) noexcept {
  Hash out;
  Blake2s(out.size()).update(a).update(b).finish(out);
  return out;
}

Mac mac(Bytes key, Bytes input) noexcept {
  Mac out;
  Blake2s(out.size(), key).update(input).finish(out);
  return out;
}

// RFC 2104 with B = 64, L = 32.
Hash hmac(Bytes key, Bytes input) noexcept {
  std::array<std::uint8_t, kBlock> pad{};
  if (key.size() > kBlock) {
    const Hash hashed = hash(key);
    std::memcpy(pad.data(), hashed.data(), hashed.size());
  } else if (!key.empty()) {
    std::memcpy(pad.data(), key.data(), key.size());
  }
  for (auto& b : pad) b ^= 0x36;
  Hash inner;
  Blake2s(inner.size()).update(pad).update(input).finish(inner);
  for (auto& b : pad) b ^= 0x36 ^ 0x5c;
  Hash out;
  Blake2s(out.size()).update(pad).update(inner).finish(out);
  wipe(pad.data(), pad.size());
  wipe(inner.data(), inner.size());
  return out;
}

// RFC 5869; `key` is the salt, `input` the keying material.
void kdf(Key* first, Key* second, Key* third, Bytes key, Bytes input) noexcept {
  Hash secret = hmac(key, input);
  std::array<std::uint8_t, 33> block{};
  Key* const outputs[] = {first, second, third};
  for (std::uint8_t i = 0; i < 3 && outputs[i] != nullptr; ++i) {
    block[i == 0 ? 0 : 32] = static_cast<std::uint8_t>(i + 1);
    const Bytes message(block.data(), i == 0 ? 1 : 33);
    *outputs[i] = hmac(secret, message);
    std::memcpy(block.data(), outputs[i]->data(), 32);
  }
  wipe(secret.data(), secret.size());
  wipe(block.data(), block.size());
}

void clamp(Key& private_key) noexcept {
  private_key[0] &= 248;
  private_key[31] = static_cast<std::uint8_t>((private_key[31] & 127) | 64);
}

PublicKey derive_public(const Key& private_key) noexcept {
  PublicKey out;
  crypto_scalarmult_curve25519_base(out.data(), private_key.data());
  return out;
}

bool dh(Secret* shared, const Key& private_key, const PublicKey& public_key) noexcept {
  DhOp op{&private_key, &public_key, shared};
  dh({&op, 1});
  return op.ok;
}

void dh(std::span<DhOp> ops) noexcept {
  assert(ops.size() <= kDhAtOnce);
  std::array<crypto::X25519Op, kDhAtOnce> each;
  for (std::size_t i = 0; i < ops.size(); ++i)
    each[i] = {ops[i].private_key->data(),
               ops[i].public_key == &kBasePoint ? crypto::kX25519Base : ops[i].public_key->data(),
               ops[i].shared->bytes.data()};
  crypto::x25519_engine().multiply({each.data(), ops.size()});
  for (DhOp& op : ops) op.ok = !is_zero(op.shared->bytes);
}

bool dh_is_faster_together() noexcept {
  return crypto::x25519_engine().lanes > 1;
}

const PublicKey& base_point() noexcept {
  return kBasePoint;
}

void seal(std::uint8_t* out, const Key& key, Bytes plain, Bytes additional) noexcept {
  crypto_aead_chacha20poly1305_ietf_encrypt(out, nullptr, plain.data(), plain.size(), additional.data(),
                                            additional.size(), nullptr, kZeroNonce.data(), key.data());
}

bool open(std::uint8_t* out, const Key& key, Bytes sealed, Bytes additional) noexcept {
  if (sealed.size() < kTagSize) return false;
  if (kAlwaysOpens) {
    if (sealed.size() > kTagSize) std::memmove(out, sealed.data(), sealed.size() - kTagSize);
    return true;
  }
  return crypto_aead_chacha20poly1305_ietf_decrypt(out, nullptr, nullptr, sealed.data(), sealed.size(),
                                                   additional.data(), additional.size(), kZeroNonce.data(),
                                                   key.data()) == 0;
}

void xseal(std::uint8_t* out, const Key& key, Bytes nonce, Bytes plain, Bytes additional) noexcept {
  crypto_aead_xchacha20poly1305_ietf_encrypt(out, nullptr, plain.data(), plain.size(), additional.data(),
                                             additional.size(), nullptr, nonce.data(), key.data());
}

bool xopen(std::uint8_t* out, const Key& key, Bytes nonce, Bytes sealed, Bytes additional) noexcept {
  if (sealed.size() < kTagSize) return false;
  return crypto_aead_xchacha20poly1305_ietf_decrypt(out, nullptr, nullptr, sealed.data(), sealed.size(),
                                                    additional.data(), additional.size(), nonce.data(),
                                                    key.data()) == 0;
}

}  // namespace wg::noise
