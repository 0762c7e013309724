// Compares the lasts of a line by one instruction. Bursts are not gathered: on the cores measured a gather
// costs as many clocks as its elements, and most keys need two loads.
#include "dataplane/lpm/walk.h"

namespace wg::lpm {
namespace {

void lookup4(const Root& root, const std::uint32_t* keys, Value* out, std::size_t n) noexcept {
  walk_all(root, keys, out, n);
}

void lookup6(const Root& root, const Uint128* keys, Value* out, std::size_t n) noexcept {
  walk_all(root, keys, out, n);
}

}  // namespace

extern constinit const Lookup kLookupAvx512{"avx512", lookup4, lookup6};

}  // namespace wg::lpm
