#include "control/noise/ratelimiter.h"

#include <sodium.h>

#include <algorithm>
#include <cstring>

namespace wg::noise {

std::size_t RateLimiter::SourceHash::operator()(const SourceKey& key) const noexcept {
  std::array<std::uint8_t, 9> input;
  std::memcpy(input.data(), &key.prefix, 8);
  input[8] = key.v6 ? 1 : 0;
  std::uint64_t out = 0;
  crypto_shorthash(reinterpret_cast<std::uint8_t*>(&out), input.data(), input.size(), seed.data());
  return out;
}

RateLimiter::SourceHash RateLimiter::seeded(Random& random) {
  SourceHash h{};
  random.fill(h.seed);
  return h;
}

RateLimiter::RateLimiter(Random& random) : buckets_(0, seeded(random)) {}

RateLimiter::SourceKey RateLimiter::key_of(const IpAddress& source) {
  SourceKey key;
  key.v6 = source.v6;
  std::memcpy(&key.prefix, source.bytes.data(), source.v6 ? 8 : 4);
  return key;
}

std::chrono::nanoseconds RateLimiter::tokens_at(const Bucket& bucket, BootTime now) noexcept {
  return std::min(kMost, bucket.tokens + std::min(elapsed(now, bucket.last), kMost));
}

bool RateLimiter::exhausted(const IpAddress& source, BootTime now) const {
  const auto found = buckets_.find(key_of(source));
  return found != buckets_.end() && tokens_at(found->second, now) < kToken;
}

bool RateLimiter::allow(const IpAddress& source, BootTime now) {
  sweep(now);
  const SourceKey key = key_of(source);
  if (const auto found = buckets_.find(key); found != buckets_.end()) {
    Bucket& bucket = found->second;
    bucket.tokens = tokens_at(bucket, now);
    bucket.last = now;
    if (bucket.tokens < kToken) return false;
    bucket.tokens -= kToken;
    return true;
  }
  if (buckets_.size() >= kMaxSources) return false;
  buckets_.emplace(key, Bucket{now, kMost - kToken});
  return true;
}

void RateLimiter::sweep(BootTime now) {
  if (now < last_sweep_ + kIdle) return;
  last_sweep_ = now;
  std::erase_if(buckets_, [now](const auto& entry) { return now - entry.second.last > kIdle; });
}

std::size_t RateLimiter::memory_bytes() const noexcept {
  return buckets_.size() * (sizeof(decltype(buckets_)::value_type) + 2 * sizeof(void*)) +
         buckets_.bucket_count() * sizeof(void*);
}

}  // namespace wg::noise
