// mac1, mac2 and cookies (WireGuard paper section 5.4.4 and 5.4.7).
//
// CookieChecker is the receiving side: one per interface. CookieJar is the sending side: one per peer.
#pragma once

#include <chrono>
#include <optional>

#include "control/noise/messages.h"

namespace wg::noise {

inline constexpr std::chrono::seconds COOKIE_SECRET_MAX_AGE{120};
// A sender stops using a cookie this much before the receiver's secret could have changed.
inline constexpr std::chrono::seconds COOKIE_SECRET_LATENCY{5};

// The keys of mac1 and of cookie replies: HASH(label || public key) with the labels "mac1----" and
// "cookie--".
Key derive_mac1_key(const PublicKey& public_key);
Key derive_cookie_key(const PublicKey& public_key);

class CookieChecker {
 public:
  explicit CookieChecker(Random& random) : random_(random) {}

  void set_public_key(const PublicKey& public_key);
  [[nodiscard]] bool mac1_valid(Bytes message) const noexcept;
  [[nodiscard]] bool mac2_valid(Bytes message, const Endpoint& source, BootTime now);
  // Creates the cookie reply to `message`, whose mac1 is valid, for its sender at `source`.
  CookieReplyMessage create_reply(Bytes message, const Endpoint& source, BootTime now);

 private:
  static constexpr std::size_t kNonces = 16;
  using CookieNonce = decltype(CookieReplyMessage::nonce);

  Cookie make_cookie(const Endpoint& source, BootTime now);
  const CookieNonce& next_nonce();

  Random& random_;
  std::array<CookieNonce, kNonces> nonces_;  // drawn in one batch, used from the back; not secret
  std::size_t nonces_left_ = 0;
  Key mac1_key_{};
  Key cookie_key_{};
  Secret secret_;
  BootTime secret_birthdate_ = kNever;  // kNever: no secret yet
};

class CookieJar {
 public:
  void set_public_key(const PublicKey& public_key);
  // Fills the last 32 bytes of `message`: mac2 only while a fresh cookie is held.
  void add_macs(std::span<std::uint8_t> message, BootTime now);
  // Accepts one reply to the last mac1 sent. Returns nullopt on success, else what is wrong with it.
  enum class BadReply : std::uint8_t { kUnexpected, kUnauthentic };
  [[nodiscard]] std::optional<BadReply> consume_reply(const CookieReplyMessage& reply, BootTime now);
  [[nodiscard]] bool has_cookie(BootTime now) const noexcept;

 private:
  Key mac1_key_{};
  Key cookie_key_{};
  Cookie cookie_;
  Mac last_mac1_{};
  BootTime cookie_birthdate_ = kNever;  // kNever: no cookie
  bool have_sent_mac1_ = false;
};

}  // namespace wg::noise
