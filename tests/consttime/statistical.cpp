// Does the time of seal() and open() depend on secrets? A statistical test in the manner of dudect (Reparaz,
// Balasch, Verbauwhede 2017), for every variant this machine can run, AVX-512 among them, which valgrind
// cannot execute.
//
// Two classes of input are measured in random order on the same buffers; Welch's t-test tells whether their
// mean times differ. Samples above a percentile of all are dropped (interrupts). A leak makes |t| grow with
// the number of samples, noise does not: a class pair passes when one of three attempts stays below the
// threshold. A comparison that stops at the first wrong byte is measured too and must fail.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <random>
#include <vector>

#include "dataplane/base/processor.h"
#include "dataplane/crypto/aead.h"
#include "dataplane/crypto/constant_time.h"
#include "dataplane/crypto/x25519.h"

namespace {

using wg::crypto::AeadEngine;
using wg::crypto::AeadOp;
using wg::crypto::kAeadKeySize;
using wg::crypto::kAeadTagSize;

constexpr double kThreshold = 5.0;  // |t| above 4.5 is what dudect calls a leak; with three attempts each
constexpr int kSamples = 12000;
constexpr int kAttempts = 3;
constexpr double kKept = 0.8;

struct Sample {
  bool second;
  std::uint64_t ticks;
};

double welch_t(std::vector<Sample> samples) {
  std::sort(samples.begin(), samples.end(),
            [](const Sample& a, const Sample& b) { return a.ticks < b.ticks; });
  const std::uint64_t limit =
      samples[static_cast<std::size_t>(static_cast<double>(samples.size()) * kKept)].ticks;
  double count[2] = {}, mean[2] = {}, squares[2] = {};
  for (const Sample& sample : samples) {
    if (sample.ticks > limit) continue;
    const int c = sample.second ? 1 : 0;
    count[c] += 1;
    const double delta = static_cast<double>(sample.ticks) - mean[c];
    mean[c] += delta / count[c];
    squares[c] += delta * (static_cast<double>(sample.ticks) - mean[c]);
  }
  const double variance = squares[0] / (count[0] - 1) / count[0] + squares[1] / (count[1] - 1) / count[1];
  return variance == 0 ? 0 : (mean[0] - mean[1]) / std::sqrt(variance);
}

// `prepare` sets up the input of a class, `run` is timed.
double measure(std::mt19937_64& random, const std::function<void(bool)>& prepare,
               const std::function<void()>& run) {
  std::vector<Sample> samples;
  for (int i = 0; i < kSamples; ++i) {
    const bool second = (random() & 1) != 0;
    prepare(second);
    const std::uint64_t start = wg::processor::cycle_counter_ordered();
    run();
    const std::uint64_t stop = wg::processor::cycle_counter_ordered();
    samples.push_back({second, stop - start});
  }
  samples.erase(samples.begin(), samples.begin() + kSamples / 20);  // warming up
  return welch_t(std::move(samples));
}

bool stays_below(const char* name, std::mt19937_64& random, const std::function<void(bool)>& prepare,
                 const std::function<void()>& run) {
  double t = 0;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    t = measure(random, prepare, run);
    if (std::fabs(t) < kThreshold) {
      std::printf("ok %s t=%.2f\n", name, t);
      return true;
    }
  }
  std::printf("FAIL %s t=%.2f\n", name, t);
  return false;
}

class Burst {
 public:
  Burst(std::size_t count, std::size_t length) : length_(length), keys_(count * kAeadKeySize) {
    memory_.resize(count * stride() + 64);
    for (std::size_t i = 0; i < count; ++i) {
      ops_.push_back({memory_.data() + 64 + i * stride(), keys_.data() + i * kAeadKeySize, i,
                      static_cast<std::uint32_t>(length), 0});
    }
    sealed_.resize(count * (length + kAeadTagSize));
  }

  std::span<AeadOp> ops() { return ops_; }

  // Class 1: secrets at random; class 0: all zeros. Both are written the same way.
  void set_secrets(std::mt19937_64& random, bool at_random) {
    const std::uint64_t mask = at_random ? ~0ull : 0;
    const auto fill = [&](std::uint8_t* p, std::size_t size) {
      for (std::size_t i = 0; i + 8 <= size; i += 8) {
        const std::uint64_t word = random() & mask;
        std::memcpy(p + i, &word, 8);
      }
    };
    fill(keys_.data(), keys_.size());
    for (AeadOp& op : ops_) fill(op.data, length_);
  }

  void remember_sealed() {
    for (std::size_t i = 0; i < ops_.size(); ++i) {
      std::memcpy(sealed_.data() + i * (length_ + kAeadTagSize), ops_[i].data, length_ + kAeadTagSize);
    }
  }

  // The sealed packets again, every tag changed by `difference` in its byte `position`.
  void restore_sealed(std::size_t position, std::uint8_t difference) {
    for (std::size_t i = 0; i < ops_.size(); ++i) {
      std::memcpy(ops_[i].data, sealed_.data() + i * (length_ + kAeadTagSize), length_ + kAeadTagSize);
      ops_[i].data[length_ + position] ^= difference;
    }
  }

 private:
  std::size_t stride() const { return (length_ + 16 + 128) / 64 * 64 + 64; }

  std::size_t length_;
  std::vector<std::uint8_t> keys_;
  std::vector<std::uint8_t> memory_;
  std::vector<AeadOp> ops_;
  std::vector<std::uint8_t> sealed_;
};

bool check_engine(const AeadEngine& engine, std::size_t count, std::size_t length) {
  std::mt19937_64 random(count * 1000 + length);
  const auto scratch = wg::crypto::make_aead_scratch();
  Burst burst(count, length);
  char name[96];
  std::snprintf(name, sizeof name, "%s seal burst=%zu payload=%zu zero/random secrets", engine.name, count,
                length);
  bool ok = stays_below(
      name, random, [&](bool second) { burst.set_secrets(random, second); },
      [&] { engine.seal(*scratch, burst.ops()); });

  // libsodium stops before decrypting a forged packet: its verdict shows in time, which is public.
  if (std::strcmp(engine.name, "portable") == 0) return ok;
  burst.set_secrets(random, true);
  engine.seal(*scratch, burst.ops());
  burst.remember_sealed();
  std::snprintf(name, sizeof name, "%s open burst=%zu payload=%zu authentic/forged", engine.name, count,
                length);
  ok &= stays_below(
      name, random, [&](bool second) { burst.restore_sealed(random() % kAeadTagSize, second ? 1 : 0); },
      [&] { static_cast<void>(engine.open(*scratch, burst.ops())); });
  return ok;
}

// Scalars and points of all lanes: zeros, or at random.
bool check_x25519(const wg::crypto::X25519Engine& engine) {
  using wg::crypto::kX25519Lanes;
  using wg::crypto::kX25519Size;
  std::mt19937_64 random(7);
  std::uint8_t scalar[kX25519Lanes][kX25519Size], point[kX25519Lanes][kX25519Size],
      shared[kX25519Lanes][kX25519Size];
  std::vector<wg::crypto::X25519Op> ops;
  for (std::size_t i = 0; i < kX25519Lanes; ++i) ops.push_back({scalar[i], point[i], shared[i]});
  const auto set_secrets = [&](bool at_random) {
    const std::uint64_t mask = at_random ? ~0ull : 0;
    for (std::size_t i = 0; i < kX25519Lanes; ++i) {
      for (std::size_t at = 0; at < kX25519Size; at += 8) {
        const std::uint64_t of_scalar = random() & mask, of_point = random() & mask;
        std::memcpy(scalar[i] + at, &of_scalar, 8);
        std::memcpy(point[i] + at, &of_point, 8);
      }
    }
  };
  char name[64];
  std::snprintf(name, sizeof name, "%s x25519 lanes=%zu zero/random secrets", engine.name, ops.size());
  return stays_below(name, random, set_secrets, [&] { engine.multiply(ops); });
}

bool equal_until_first_difference(const volatile std::uint8_t* a, const volatile std::uint8_t* b,
                                  std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) {
    if (a[i] != b[i]) return false;
  }
  return true;
}

bool check_comparisons() {
  std::mt19937_64 random(3);
  std::uint8_t a[256] = {}, b[256] = {};
  bool result = false;
  const auto differ_at_random = [&](bool second) {
    std::memset(b, 0, sizeof b);
    b[second ? 0 : 255] = 1;
  };
  const bool ok = stays_below("equal() first/last byte", random, differ_at_random,
                              [&] { result ^= wg::crypto::equal(a, b, sizeof a); });
  const double t =
      measure(random, differ_at_random, [&] { result ^= equal_until_first_difference(a, b, sizeof a); });
  const bool found = std::fabs(t) > kThreshold;
  std::printf("%s a comparison that stops early is found t=%.2f\n", found ? "ok" : "FAIL", t);
  if (result) std::puts("");
  return ok && found;
}

}  // namespace

int main() {
  bool ok = check_comparisons();
  for (const AeadEngine* engine : wg::crypto::aead_engines()) {
    ok &= check_engine(*engine, 1, 64);
    ok &= check_engine(*engine, 4, 200);
    ok &= check_engine(*engine, 16, 64);
  }
  // libsodium's own, one by one, tells points of low order from others by its time, which is public.
  for (const wg::crypto::X25519Engine* engine : wg::crypto::x25519_engines()) {
    if (engine->lanes > 1) ok &= check_x25519(*engine);
  }
  return ok ? 0 : 1;
}
