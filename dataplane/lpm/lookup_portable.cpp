// The portable lookup. On x86-64 it is for the baseline of DPDK's builds, SSE4.2 and POPCNT; elsewhere it has
// no vectors of its own.
#include "dataplane/lpm/walk.h"

namespace wg::lpm {
namespace {

void lookup4(const Root& root, const std::uint32_t* keys, Value* out, std::size_t n) noexcept {
  walk_all(root, keys, out, n);
}

void lookup6(const Root& root, const std::uint8_t* const* keys, Value* out, std::size_t n) noexcept {
  walk_all(root, keys, out, n);
}

}  // namespace

extern constinit const Lookup kLookupPortable{"portable", lookup4, lookup6};

}  // namespace wg::lpm
