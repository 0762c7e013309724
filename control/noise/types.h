// Plain types of the protocol engine: keys, and the time and randomness that callers provide.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "dataplane/base/clocks.h"
#include "dataplane/packet/address.h"
#include "dataplane/session/limits.h"
#include "dataplane/session/peer.h"

namespace wg::noise {

using dataplane::Endpoint;
using dataplane::IpAddress;
using dataplane::PeerRef;

inline constexpr std::size_t kKeySize = 32;

using Key = std::array<std::uint8_t, kKeySize>;
using PublicKey = Key;
using PresharedKey = Key;  // all zero: none
using Hash = std::array<std::uint8_t, 32>;

// The two clocks of protocol C3-13. Ages use `boot`; only TAI64N and last-handshake use `wall`.
struct Now {
  BootTime boot = kNever;  // in use: later than kNever
  WallTime wall{};
};

// Source of randomness: the system's in the daemon, a seeded one in tests and simulation.
class Random {
 public:
  virtual ~Random() = default;
  virtual void fill(std::span<std::uint8_t> out) = 0;

  std::uint32_t u32() {
    std::array<std::uint8_t, 4> b{};
    fill(b);
    return std::uint32_t{b[0]} | std::uint32_t{b[1]} << 8 | std::uint32_t{b[2]} << 16 |
           std::uint32_t{b[3]} << 24;
  }
};

// libsodium's generator. Safe to construct before anything else: it initialises the library.
class SystemRandom final : public Random {
 public:
  SystemRandom();
  void fill(std::span<std::uint8_t> out) override;
};

}  // namespace wg::noise
