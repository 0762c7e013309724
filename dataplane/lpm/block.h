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

// Writes the lines of a block for 1..kBlockPrefixes sorted prefixes, none shorter than `floor` bits and all
// equal in these.
template <typename Bits>
class BlockBuilder {
 public:
  [[nodiscard]] std::span<const Line> build(Prefixes<Bits> sorted, unsigned floor, Value fallback);

 private:
  struct Range {
    std::uint64_t start;
    Value entry;
  };
  struct Open {  // a prefix whose end the sweep has not passed
    std::uint64_t end;
    Value entry;
  };
  struct Child {
    Prefixes<Bits> prefixes;
    Value fallback;
  };
  std::size_t add_node(Prefixes<Bits> sorted, unsigned floor, Value fallback);
  void sweep(Prefixes<Bits> sorted, unsigned position, std::vector<Range>& ranges,
             std::vector<Child>& children);
  void fill_group(Group<Bits>& group, std::span<const Range> ranges);
  void add_cold(Prefixes<Bits> sorted);

  std::vector<Line> lines_;
};

// The prefixes of a block, appended in order.
template <typename Bits>
void append_prefixes(const Node<Bits>* block, std::vector<Prefix<Bits>>& out);

template <typename Bits>
std::size_t block_bytes(const Node<Bits>* block) noexcept;

}  // namespace wg::lpm
