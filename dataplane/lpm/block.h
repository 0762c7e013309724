// Building and reading back blocks (node.h): the writer's side.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "dataplane/lpm/node.h"

namespace wg::lpm {

template <typename Bits>
struct Prefix {
  Bits bits;
  Value value;
  std::uint8_t length;

  // Shorter before longer, so a prefix stands before all it covers.
  friend bool operator<(const Prefix& a, const Prefix& b) noexcept {
    return a.bits != b.bits ? a.bits < b.bits : a.length < b.length;
  }
};

template <typename Bits>
using Prefixes = std::span<const Prefix<Bits>>;

// How many of the first bits all prefixes share and none ends before: where a node for them may stand.
template <typename Bits>
unsigned common_length(Prefixes<Bits> sorted) noexcept;

// Writes the units of a block for 1..kBlockPrefixes sorted prefixes, all longer than or as long as `floor`
// bits and equal in these.
template <typename Bits>
class BlockBuilder {
 public:
  [[nodiscard]] std::span<const Unit> build(Prefixes<Bits> sorted, unsigned floor, Value fallback);

 private:
  struct Range {
    std::uint32_t start;
    Unit entry;
  };
  struct Open {  // a prefix whose end the sweep has not passed
    std::uint32_t end;
    Unit entry;
  };
  std::size_t add_node(Prefixes<Bits> sorted, unsigned floor, Value fallback);
  void sweep(Prefixes<Bits> sorted, unsigned position, std::vector<Range>& ranges,
             std::vector<Prefixes<Bits>>& children);
  void add_cold(Prefixes<Bits> sorted);

  std::vector<Unit> units_;
};

// The prefixes of a block, appended in order.
template <typename Bits>
void append_prefixes(const Unit* block, std::vector<Prefix<Bits>>& out);

inline unsigned block_prefixes(const Unit* block) noexcept {
  return block[1] & 0xffff;
}
template <typename Bits>
std::size_t block_bytes(const Unit* block) noexcept;

}  // namespace wg::lpm
