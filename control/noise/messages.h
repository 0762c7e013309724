// The handshake messages as on the wire (WireGuard paper section 5.4). Every member is a byte array, so the
// structs have no padding and can be copied to and from a buffer by memcpy.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "control/noise/primitives.h"

namespace wg::noise {

enum MessageType : std::uint8_t { kInitiation = 1, kResponse = 2, kCookieReply = 3, kTransportData = 4 };

inline constexpr std::size_t kTimestampSize = 12;

constexpr std::size_t sealed_size(std::size_t plain) {
  return plain + kTagSize;
}

struct Header {
  std::array<std::uint8_t, 4> type;  // little endian: the type byte and three zero bytes
};

struct Macs {
  Mac mac1;  // over everything before it
  Mac mac2;  // over everything before it, mac1 included; zero without a cookie
};

struct InitiationMessage {
  Header header;
  std::array<std::uint8_t, 4> sender_index;
  PublicKey ephemeral;
  std::array<std::uint8_t, sealed_size(kKeySize)> sealed_static;
  std::array<std::uint8_t, sealed_size(kTimestampSize)> sealed_timestamp;
  Macs macs;
};

struct ResponseMessage {
  Header header;
  std::array<std::uint8_t, 4> sender_index;
  std::array<std::uint8_t, 4> receiver_index;
  PublicKey ephemeral;
  std::array<std::uint8_t, sealed_size(0)> sealed_nothing;
  Macs macs;
};

struct CookieReplyMessage {
  Header header;
  std::array<std::uint8_t, 4> receiver_index;
  std::array<std::uint8_t, kXNonceSize> nonce;
  std::array<std::uint8_t, sealed_size(kMacSize)> sealed_cookie;
};

static_assert(sizeof(InitiationMessage) == 148 && alignof(InitiationMessage) == 1);
static_assert(sizeof(ResponseMessage) == 92 && alignof(ResponseMessage) == 1);
static_assert(sizeof(CookieReplyMessage) == 64 && alignof(CookieReplyMessage) == 1);

inline constexpr std::size_t kMaxHandshakeMessage = sizeof(InitiationMessage);

inline std::uint32_t load_le32(const std::array<std::uint8_t, 4>& b) {
  return std::uint32_t{b[0]} | std::uint32_t{b[1]} << 8 | std::uint32_t{b[2]} << 16 |
         std::uint32_t{b[3]} << 24;
}
inline std::array<std::uint8_t, 4> store_le32(std::uint32_t v) {
  return {static_cast<std::uint8_t>(v), static_cast<std::uint8_t>(v >> 8), static_cast<std::uint8_t>(v >> 16),
          static_cast<std::uint8_t>(v >> 24)};
}
inline Header header_of(MessageType type) {
  return {store_le32(type)};
}

// Message type, or 0 when there are fewer than four bytes or a reserved byte is not zero.
inline std::uint32_t message_type(Bytes message) {
  if (message.size() < 4) return 0;
  std::array<std::uint8_t, 4> type;
  std::memcpy(type.data(), message.data(), 4);
  const std::uint32_t value = load_le32(type);
  return value <= kTransportData ? value : 0;
}
// Exact length of a handshake message of `type`; 0: not a handshake message.
constexpr std::size_t handshake_length(std::uint32_t type) {
  switch (type) {
    case kInitiation:
      return sizeof(InitiationMessage);
    case kResponse:
      return sizeof(ResponseMessage);
    case kCookieReply:
      return sizeof(CookieReplyMessage);
    default:
      return 0;
  }
}
// Precondition: the caller has checked the exact length.
template <typename Message>
Message message_as(Bytes bytes) {
  Message message;
  std::memcpy(&message, bytes.data(), sizeof message);
  return message;
}
template <typename Message>
Bytes bytes_of(const Message& message) {
  return {reinterpret_cast<const std::uint8_t*>(&message), sizeof message};
}
// The bytes that mac1 covers; mac2 covers 16 bytes more.
inline Bytes before_mac1(Bytes message) {
  return message.first(message.size() - sizeof(Macs));
}
inline Bytes before_mac2(Bytes message) {
  return message.first(message.size() - kMacSize);
}
inline Macs macs_of(Bytes message) {
  Macs macs;
  std::memcpy(&macs, message.data() + message.size() - sizeof macs, sizeof macs);
  return macs;
}

}  // namespace wg::noise
