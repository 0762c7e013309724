// Token bucket per source: 20 handshakes per second with a burst of 5, keyed by IPv4 address or IPv6 /64
// (protocol C2-5). The table holds at most 65 536 sources and refuses new ones when full. Entries that were
// idle for a second are swept.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <unordered_map>

#include "control/noise/types.h"

namespace wg::noise {

class RateLimiter {
 public:
  static constexpr std::int64_t kPerSecond = 20;
  static constexpr std::int64_t kBurst = 5;
  static constexpr std::size_t kMaxSources = 65536;

  explicit RateLimiter(Random& random);

  // Takes one token from the source's bucket. False: the bucket is empty, or the table is full.
  [[nodiscard]] bool allow(const IpAddress& source, BootTime now);
  // True when allow() would refuse the source because its bucket is empty. Takes no token.
  [[nodiscard]] bool exhausted(const IpAddress& source, BootTime now) const;
  // Drops idle sources; runs at most once per second, so it may be called at any rate.
  void sweep(BootTime now);
  [[nodiscard]] BootTime next_sweep() const noexcept { return last_sweep_ + kIdle; }
  [[nodiscard]] std::size_t sources() const noexcept { return buckets_.size(); }
  [[nodiscard]] std::size_t memory_bytes() const noexcept;

 private:
  static constexpr std::chrono::seconds kIdle{1};
  // A token is the time in which it is earned.
  static constexpr std::chrono::nanoseconds kToken =
      std::chrono::nanoseconds(std::chrono::seconds(1)) / kPerSecond;
  static constexpr std::chrono::nanoseconds kMost = kToken * kBurst;

  struct SourceKey {
    std::uint64_t prefix = 0;
    bool v6 = false;
    friend bool operator==(const SourceKey&, const SourceKey&) = default;
  };
  // The hash is keyed, because an attacker chooses the sources.
  struct SourceHash {
    std::array<std::uint8_t, 16> seed;
    std::size_t operator()(const SourceKey& key) const noexcept;
  };
  struct Bucket {
    BootTime last = kNever;
    std::chrono::nanoseconds tokens{0};
  };

  static std::chrono::nanoseconds tokens_at(const Bucket& bucket, BootTime now) noexcept;
  static SourceKey key_of(const IpAddress& source);
  static SourceHash seeded(Random& random);

  std::unordered_map<SourceKey, Bucket, SourceHash> buckets_;
  BootTime last_sweep_ = kNever;
};

}  // namespace wg::noise
