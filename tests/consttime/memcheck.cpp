// Seals and opens bursts whose keys and payloads valgrind takes for undefined memory: it then reports every
// branch and every address that depends on them; `x25519` multiplies scalars and points of that kind in the
// lanes of AVX2. Usage: consttime_memcheck VARIANT|x25519 [leak]; `leak` adds a branch on a secret, to show
// that it would be found. tests/consttime/memcheck.sh runs all.
#include <valgrind/valgrind.h>

#include <cstdio>
#include <cstring>
#include <vector>

#include "dataplane/crypto/aead.h"
#include "dataplane/crypto/constant_time.h"
#include "dataplane/crypto/x25519.h"

namespace {

using wg::crypto::AeadOp;
using wg::crypto::kAeadKeySize;
using wg::crypto::kAeadTagSize;

constexpr std::size_t kMargin = 64;

struct Packet {
  explicit Packet(std::size_t payload) : length(payload), memory(payload + kAeadTagSize + 2 * kMargin, 1) {}
  std::uint8_t* data() { return memory.data() + kMargin; }
  AeadOp op(std::uint64_t counter) { return {data(), key, counter, static_cast<std::uint32_t>(length), 0}; }

  std::uint8_t key[kAeadKeySize] = {};
  std::size_t length;
  std::vector<std::uint8_t> memory;
};

void run_burst(const wg::crypto::AeadEngine& engine, wg::crypto::AeadScratch& scratch, std::size_t count,
               std::size_t length) {
  std::vector<Packet> packets;
  for (std::size_t i = 0; i < count; ++i) packets.emplace_back(i % 3 == 2 ? length / 2 : length);
  std::vector<AeadOp> ops;
  for (std::size_t i = 0; i < count; ++i) {
    CONSTTIME_SECRET(packets[i].key, kAeadKeySize);
    CONSTTIME_SECRET(packets[i].data(), packets[i].length);
    ops.push_back(packets[i].op(i));
  }
  engine.seal(scratch, ops);
  std::size_t authentic = engine.open(scratch, ops);
  // The verdict is public, as is the packet once it is judged; nothing before it.
  CONSTTIME_DECLASSIFY(&authentic, sizeof authentic);
  if (authentic != count) std::abort();
}

// Valgrind rounds every FMA to nearest, so the results are wrong under it; what depends on what is not.
void run_x25519() {
  using wg::crypto::kX25519Size;
  constexpr std::size_t kLanes = wg::crypto::kX25519LanesAvx2;
  std::uint8_t scalar[kLanes][kX25519Size] = {}, point[kLanes][kX25519Size] = {}, shared[kLanes][kX25519Size];
  std::vector<wg::crypto::X25519Op> ops;
  for (std::size_t i = 0; i < kLanes; ++i) {
    CONSTTIME_SECRET(scalar[i], kX25519Size);
    CONSTTIME_SECRET(point[i], kX25519Size);
    ops.push_back({scalar[i], point[i], shared[i]});
  }
  wg::crypto::x25519_detail::multiply_lanes_avx2(ops);
}

void run_bursts(const wg::crypto::AeadEngine& engine) {
  const auto scratch = wg::crypto::make_aead_scratch();
  for (const std::size_t count : {1u, 2u, 5u, 9u, 32u, 40u}) {
    for (const std::size_t length : {0u, 1u, 64u, 100u, 300u, 1420u})
      run_burst(engine, *scratch, count, length);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const bool x25519 = argc > 1 && std::strcmp(argv[1], "x25519") == 0;
  const wg::crypto::AeadEngine* engine = argc > 1 ? wg::crypto::aead_engine_named(argv[1]) : nullptr;
  if (engine == nullptr && !x25519) {
    std::fprintf(stderr, "usage: consttime_memcheck VARIANT|x25519 [leak]\n");
    return 2;
  }
  if (RUNNING_ON_VALGRIND == 0)
    std::fprintf(stderr, "consttime_memcheck: not under valgrind, nothing is checked\n");
  if (x25519) {
    run_x25519();
  } else {
    run_bursts(*engine);
  }
  if (argc > 2 && std::strcmp(argv[2], "leak") == 0) {
    std::uint8_t secret = static_cast<std::uint8_t>(argc);
    CONSTTIME_SECRET(&secret, 1);
    if (secret != 0) std::puts("leaked");
  }
  return 0;
}
