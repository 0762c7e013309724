#include "config/key.h"

#include <sodium.h>

#include <array>
#include <cstdint>
#include <cstring>

namespace wg::config {
namespace {

constexpr std::size_t kBase64Length = 44;
constexpr std::size_t kHexLength = 64;

bool decode(std::string_view text, std::array<std::uint8_t, kKeyBytes>& bytes) {
  std::size_t length = 0;
  const char* end = nullptr;
  int status = -1;
  if (text.size() == kBase64Length)
    status = sodium_base642bin(bytes.data(), bytes.size(), text.data(), text.size(), nullptr, &length, &end,
                               sodium_base64_VARIANT_ORIGINAL);
  else if (text.size() == kHexLength)
    status = sodium_hex2bin(bytes.data(), bytes.size(), text.data(), text.size(), nullptr, &length, &end);
  return status == 0 && length == kKeyBytes && end == text.data() + text.size();
}

std::string encode(std::span<const std::uint8_t, kKeyBytes> bytes) {
  std::string text(kBase64Length + 1, '\0');
  sodium_bin2base64(text.data(), text.size(), bytes.data(), bytes.size(), sodium_base64_VARIANT_ORIGINAL);
  text.resize(kBase64Length);
  return text;
}

}  // namespace

SecretKey::SecretKey(std::span<const std::uint8_t, kKeyBytes> bytes) {
  std::memcpy(bytes_.data(), bytes.data(), bytes_.size());
}

SecretKey::SecretKey(SecretKey&& other) noexcept : bytes_(other.bytes_) {
  sodium_memzero(other.bytes_.data(), other.bytes_.size());
}

SecretKey& SecretKey::operator=(SecretKey&& other) noexcept {
  if (this == &other) return *this;
  bytes_ = other.bytes_;
  sodium_memzero(other.bytes_.data(), other.bytes_.size());
  return *this;
}

SecretKey::~SecretKey() {
  sodium_memzero(bytes_.data(), bytes_.size());
}

bool SecretKey::operator==(const SecretKey& other) const {
  return sodium_memcmp(bytes_.data(), other.bytes_.data(), bytes_.size()) == 0;
}

bool SecretKey::is_zero() const {
  return sodium_is_zero(bytes_.data(), bytes_.size()) == 1;
}

std::optional<Key> parse_key(std::string_view text) {
  Key key;
  if (!decode(text, key.bytes)) return std::nullopt;
  return key;
}

std::optional<SecretKey> parse_secret_key(std::string_view text) {
  std::array<std::uint8_t, kKeyBytes> bytes{};
  std::optional<SecretKey> key;
  if (decode(text, bytes)) key.emplace(bytes);
  sodium_memzero(bytes.data(), bytes.size());
  return key;
}

std::string to_string(const Key& key) {
  return encode(key.bytes);
}

std::string reveal(const SecretKey& key) {
  return encode(key.bytes());
}

Key public_key_of(const SecretKey& private_key) {
  Key key;
  crypto_scalarmult_base(key.bytes.data(), private_key.bytes().data());
  return key;
}

void wipe(std::string& text) {
  sodium_memzero(text.data(), text.size());
  text.clear();
}

}  // namespace wg::config

std::size_t std::hash<wg::config::Key>::operator()(const wg::config::Key& key) const noexcept {
  using HashKey = std::array<std::uint8_t, crypto_shorthash_KEYBYTES>;
  static const HashKey secret = [] {
    HashKey drawn;
    randombytes_buf(drawn.data(), drawn.size());
    return drawn;
  }();
  static_assert(crypto_shorthash_BYTES == sizeof(std::uint64_t));
  std::uint64_t value = 0;
  crypto_shorthash(reinterpret_cast<std::uint8_t*>(&value), key.bytes.data(), key.bytes.size(),
                   secret.data());
  return value;
}
