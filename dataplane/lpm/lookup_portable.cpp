// The baseline of DPDK's x86 builds: SSE4.2 and POPCNT.
#include "dataplane/lpm/walk.h"

namespace wg::lpm {
namespace {

void lookup4(const Root& root, const std::uint32_t* keys, Value* out, std::size_t n) noexcept {
  if (root.grown == 0) return walk_all(root, keys, out, n);
  Burst4 burst;
  burst.keys = keys;
  burst.out = out;
  std::size_t branches = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const Word word = root.slots[RootShape<std::uint32_t>::slot(keys[i])].load(std::memory_order_acquire);
    prefetch_node(word);
    burst.words[i] = word;
    burst.points[i] = static_cast<std::uint16_t>(keys[i]);
    out[i] = kNoMatch;
    burst.rest[branches] = static_cast<std::uint16_t>(i);
    branches += word / kBranchTag & 1;
  }
  pass_branches(burst, burst.rest, branches);
  for (std::size_t i = 0; i < n; ++i) out[i] = resolve(burst.words[i], burst.points[i], out[i]);
}

void lookup6(const Root& root, const Uint128* keys, Value* out, std::size_t n) noexcept {
  walk_all(root, keys, out, n);
}

}  // namespace

extern constinit const Lookup kLookupPortable{"portable", lookup4, lookup6};

}  // namespace wg::lpm
