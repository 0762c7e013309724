// Peers that were heard of shortly before the gateway was started, and where they were: they get an
// initiation at once instead of finding out after 15 s that their session is gone. Also the format in which
// that is kept on disk.
//
// Link-local endpoints are not kept: their link's number is another after the start.
// Control thread only, but for encode() and decode().
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "config/key.h"
#include "control/noise/types.h"

namespace wg::control {

struct RememberedPeer {
  config::Key key;
  noise::Endpoint remote;
  noise::IpAddress local;  // our address; zero: not known
  WallTime heard_at{};

  bool operator==(const RememberedPeer&) const = default;
};

// Layout, integers little-endian: magic and version (8) | records of 84 bytes: key (32), address (16), local
// address (16), time (8), port (2), flags (2: 1 IPv6 remote, 2 IPv6 local), zero (8) | BLAKE2s of all before.
[[nodiscard]] std::vector<std::uint8_t> encode(std::span<const RememberedPeer> peers);
// nullopt: not of ours, or damaged.
[[nodiscard]] std::optional<std::vector<RememberedPeer>> decode(std::span<const std::uint8_t> bytes);

class RememberedPeers {
 public:
  // After this time a peer's session is over, and so is its need for an initiation.
  static constexpr std::chrono::nanoseconds kFreshFor = REJECT_AFTER_TIME;

  // Those that were heard of within kFreshFor. A time in the future is a clock that went back: not taken.
  void load(std::vector<RememberedPeer> peers, const noise::Now& now);
  // The peer with this key takes `slot`. What is known of it, while that is fresh; the address from which it
  // may send what no session opens is watched from here on.
  std::optional<RememberedPeer> claim(const config::Key& key, std::uint32_t slot, const noise::Now& now);
  // The slot of the peer that was at this address.
  [[nodiscard]] std::optional<std::uint32_t> slot_at(const noise::Endpoint& remote) const;
  // It has a session, or is gone.
  void forget(const config::Key& key);
  // Drops, once all of them are old, a part of them. Call it now and then.
  void expire(const noise::Now& now);
  // Some peer has been claimed and has no session yet.
  [[nodiscard]] bool watching() const { return !slots_.empty(); }
  // Those that are fresh and have not been heard of since, for the next start.
  [[nodiscard]] std::vector<RememberedPeer> list(const noise::Now& now) const;

 private:
  // SipHash with a random key: peers choose their endpoints.
  struct EndpointHash {
    EndpointHash();
    std::size_t operator()(const noise::Endpoint& endpoint) const noexcept;
    std::array<std::uint8_t, 16> secret;
  };

  BootTime old_at_ = kNever;  // when all of them are old
  std::unordered_map<config::Key, RememberedPeer> peers_;
  std::unordered_map<noise::Endpoint, std::uint32_t, EndpointHash> slots_;  // of those claimed
};

}  // namespace wg::control
