// The lookup for NEON: the generic walk, which compares a point with the lasts of a line in two vectors. NEON
// has no gather, so the walk's loads, of a whole burst in turn, stay those of the portable variant.
#define LINEGATE_LPM_NEON
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

extern constinit const Lookup kLookupNeon{"neon", lookup4, lookup6};

}  // namespace wg::lpm
