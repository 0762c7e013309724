// Seals and opens bursts whose keys and payloads valgrind takes for undefined memory: it then reports every
// branch and every address that depends on them. Usage: consttime_memcheck VARIANT [leak]; `leak` adds a
// branch on a secret, to show that it would be found. tests/consttime/memcheck.sh runs all.
#include <valgrind/valgrind.h>

#include <cstdio>
#include <cstring>
#include <vector>

#include "dataplane/crypto/aead.h"
#include "dataplane/crypto/constant_time.h"

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

}  // namespace

int main(int argc, char** argv) {
  const wg::crypto::AeadEngine* engine = argc > 1 ? wg::crypto::aead_engine_named(argv[1]) : nullptr;
  if (engine == nullptr) {
    std::fprintf(stderr, "usage: consttime_memcheck VARIANT [leak]\n");
    return 2;
  }
  if (RUNNING_ON_VALGRIND == 0)
    std::fprintf(stderr, "consttime_memcheck: not under valgrind, nothing is checked\n");
  const auto scratch = wg::crypto::make_aead_scratch();
  for (const std::size_t count : {1u, 2u, 5u, 9u, 32u, 40u}) {
    for (const std::size_t length : {0u, 1u, 64u, 100u, 300u, 1420u})
      run_burst(*engine, *scratch, count, length);
  }
  if (argc > 2 && std::strcmp(argv[2], "leak") == 0) {
    std::uint8_t secret = static_cast<std::uint8_t>(argc);
    CONSTTIME_SECRET(&secret, 1);
    if (secret != 0) std::puts("leaked");
  }
  return 0;
}
