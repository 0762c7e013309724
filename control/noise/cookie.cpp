#include "control/noise/cookie.h"

#include <cstring>
#include <string_view>

#include "dataplane/crypto/constant_time.h"

namespace wg::noise {

namespace {

Key labelled(std::string_view label, const PublicKey& public_key) {
  return hash({reinterpret_cast<const std::uint8_t*>(label.data()), label.size()}, public_key);
}

}  // namespace

Key derive_mac1_key(const PublicKey& public_key) {
  return labelled("mac1----", public_key);
}
Key derive_cookie_key(const PublicKey& public_key) {
  return labelled("cookie--", public_key);
}

void CookieChecker::set_public_key(const PublicKey& public_key) {
  mac1_key_ = derive_mac1_key(public_key);
  cookie_key_ = derive_cookie_key(public_key);
}

bool CookieChecker::mac1_valid(Bytes message) const noexcept {
  const Mac expected = mac(mac1_key_, before_mac1(message));
  return crypto::equal(expected.data(), macs_of(message).mac1.data(), kMacSize);
}

bool CookieChecker::mac2_valid(Bytes message, const Endpoint& source, BootTime now) {
  const Macs macs = macs_of(message);
  if (is_zero(macs.mac2)) return false;  // the sender had no cookie: skip the two hashes
  const Cookie cookie = make_cookie(source, now);
  const Mac expected = mac(cookie.bytes, before_mac2(message));
  return crypto::equal(expected.data(), macs.mac2.data(), kMacSize);
}

// The cookie covers the source address and port, as in the kernel: two peers behind one NAT address get two
// different cookies.
Cookie CookieChecker::make_cookie(const Endpoint& source, BootTime now) {
  if (secret_birthdate_ == kNever || now - secret_birthdate_ >= COOKIE_SECRET_MAX_AGE) {
    random_.fill(secret_.bytes);
    secret_birthdate_ = now;
  }
  std::array<std::uint8_t, 18> input{};
  const std::size_t n = source.address.v6 ? 16 : 4;
  std::memcpy(input.data(), source.address.bytes.data(), n);
  input[n] = static_cast<std::uint8_t>(number_of(source.port) >> 8);
  input[n + 1] = static_cast<std::uint8_t>(number_of(source.port));
  return Cookie(mac(secret_.bytes, Bytes(input).first(n + 2)));
}

// Nonces are drawn in batches: one call of the kernel's generator costs the same for one as for sixteen.
const CookieChecker::CookieNonce& CookieChecker::next_nonce() {
  if (nonces_left_ == 0) {
    random_.fill({nonces_.front().data(), sizeof nonces_});
    nonces_left_ = nonces_.size();
  }
  return nonces_[--nonces_left_];
}

CookieReplyMessage CookieChecker::create_reply(Bytes message, const Endpoint& source, BootTime now) {
  CookieReplyMessage reply{};
  reply.header = header_of(kCookieReply);
  std::memcpy(reply.receiver_index.data(), message.data() + sizeof(Header), 4);  // its sender_index
  reply.nonce = next_nonce();
  const Cookie cookie = make_cookie(source, now);
  xseal(reply.sealed_cookie.data(), cookie_key_, reply.nonce, cookie.bytes, macs_of(message).mac1);
  return reply;
}

void CookieJar::set_public_key(const PublicKey& public_key) {
  mac1_key_ = derive_mac1_key(public_key);
  cookie_key_ = derive_cookie_key(public_key);
}

void CookieJar::add_macs(std::span<std::uint8_t> message, BootTime now) {
  const std::size_t at = message.size() - sizeof(Macs);
  last_mac1_ = mac(mac1_key_, message.first(at));
  have_sent_mac1_ = true;
  std::memcpy(message.data() + at, last_mac1_.data(), kMacSize);
  Mac mac2{};
  if (has_cookie(now)) mac2 = mac(cookie_.bytes, message.first(at + kMacSize));
  std::memcpy(message.data() + at + kMacSize, mac2.data(), kMacSize);
}

bool CookieJar::has_cookie(BootTime now) const noexcept {
  return cookie_birthdate_ != kNever &&
         now - cookie_birthdate_ < COOKIE_SECRET_MAX_AGE - COOKIE_SECRET_LATENCY;
}

std::optional<CookieJar::BadReply> CookieJar::consume_reply(const CookieReplyMessage& reply, BootTime now) {
  if (!have_sent_mac1_) return BadReply::kUnexpected;
  Cookie cookie;
  if (!xopen(cookie.bytes.data(), cookie_key_, reply.nonce, reply.sealed_cookie, last_mac1_)) {
    return BadReply::kUnauthentic;
  }
  cookie_ = cookie;
  cookie_birthdate_ = now;
  have_sent_mac1_ = false;
  return std::nullopt;
}

}  // namespace wg::noise
