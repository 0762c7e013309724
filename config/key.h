// Keys of the configuration: public keys as plain values, secret keys in a type that wipes itself.
//
// Text forms: base64 of 32 bytes (44 characters, as wg(8) prints) or 64 hexadecimal digits (as the
// wg control protocol carries). Both are decoded in constant time by libsodium, because the same
// function reads secrets.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace wg::config {

inline constexpr std::size_t kKeyBytes = 32;

// A public key: may be printed and compared in any way.
struct Key {
  std::array<std::uint8_t, kKeyBytes> bytes{};

  auto operator<=>(const Key&) const = default;
  [[nodiscard]] bool is_zero() const { return *this == Key{}; }
};

// A private or preshared key. Every copy is wiped when it is destroyed or overwritten, comparison is
// in constant time, and there is deliberately no way to stream it.
class SecretKey {
 public:
  SecretKey() = default;
  explicit SecretKey(std::span<const std::uint8_t, kKeyBytes> bytes);
  SecretKey(const SecretKey& other) = default;
  SecretKey& operator=(const SecretKey& other) = default;
  SecretKey(SecretKey&& other) noexcept;
  SecretKey& operator=(SecretKey&& other) noexcept;
  ~SecretKey();

  bool operator==(const SecretKey& other) const;
  [[nodiscard]] bool is_zero() const;
  [[nodiscard]] std::span<const std::uint8_t, kKeyBytes> bytes() const { return bytes_; }

 private:
  std::array<std::uint8_t, kKeyBytes> bytes_{};
};

[[nodiscard]] std::optional<Key> parse_key(std::string_view text);
[[nodiscard]] std::optional<SecretKey> parse_secret_key(std::string_view text);

// Base64, 44 characters.
[[nodiscard]] std::string to_string(const Key& key);
// Base64 of a secret, for files written on purpose (export, save). The caller owns the exposure and
// wipes the string with wipe() when done.
[[nodiscard]] std::string reveal(const SecretKey& key);

// The public key of a private key (X25519 with the base point, RFC 7748 section 6.1).
[[nodiscard]] Key public_key_of(const SecretKey& private_key);

// Overwrites text that held a secret; the compiler may not remove it.
void wipe(std::string& text);

}  // namespace wg::config

template <>
struct std::hash<wg::config::Key> {
  // SipHash with a key drawn at the first use: whoever chooses the keys cannot choose their buckets. The
  // order of a table of keys therefore differs from run to run.
  std::size_t operator()(const wg::config::Key& key) const noexcept;
};
