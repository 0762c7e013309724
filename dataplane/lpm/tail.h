// The rest of a burst: keys that the first part (walk.h, lookup_avx512.cpp) leaves at a node or in a block
// descend level by level, all keys in turn, with prefetch. Only lookup_*.cpp include this header, and each
// has its own copy.
#pragma once

#include "dataplane/lpm/range.h"

namespace wg::lpm {
namespace {

LPM_INLINE Value answer_of(const Ranges* line, Point point) noexcept {
  return entry_at(line->entries[range_of(line->lasts, point)]);
}

LPM_INLINE Value known_or(Value value, Value otherwise) noexcept {
  return value == kInherit ? otherwise : value;
}

// The line for keys that have none.
alignas(kLine) constexpr Ranges kNoRanges{
    {}, kInherit, {kInherit, kInherit, kInherit, kInherit, kInherit, kInherit, kInherit, kInherit}};

LPM_INLINE const Line* lines_at(Word word) noexcept {
  return reinterpret_cast<const Line*>(word & ~Word{kLine - 1});
}

// A block with a single line, as tables of a few prefixes have: its point is the key's first 32 bits.
LPM_INLINE bool is_one_line(Word word) noexcept {
  return (word & kTags) == 0 && line_bits(word) == 0;
}
LPM_INLINE const Ranges* first_line(Word word) noexcept {
  return reinterpret_cast<const Ranges*>(lines_at(word)) + 1;
}

// `Keys` returns the address of each key by its number.
template <typename Bits, typename Keys>
class Tail {
 public:
  Tail(Keys keys, Value* out) noexcept : keys_(keys), out_(out) {}

  LPM_INLINE void offer(std::uint16_t key, Value value) noexcept { out_[key] = known_or(value, out_[key]); }

  // Precondition: `word` is not a leaf.
  LPM_INLINE void go_to(std::uint16_t key, Word word, unsigned floor) noexcept {
    if ((word & kTags) == 0) return step(key, lines_at(word), 1, line_bits(word), floor);
    node_[nodes_] = {word, key, static_cast<std::uint8_t>(floor)};
    prefetch_node(node_[nodes_++]);
  }

  // Continues from a line of `block` whose entry refers to an array below.
  LPM_INLINE void go_below_from(std::uint16_t key, const Line* block, Value entry,
                                unsigned position) noexcept {
    rest_[rests_++] = {block, entry, key, static_cast<std::uint8_t>(position)};
  }

  LPM_INLINE void finish() noexcept {
    while (nodes_ != 0) visit_nodes();
    while (steps_ + rests_ != 0) {
      read_lines();
      go_below();
      compare_paths();
    }
  }

 private:
  // A key at a line of the block.
  struct Step {
    const Ranges* line;
    const Line* block;
    Point point;
    std::uint16_t key;
    std::uint8_t position;  // position of the line's array
  };
  // A key at a branch, or at a block with a path.
  struct Node {
    Word word;
    std::uint16_t key;
    std::uint8_t floor;
  };
  // A key whose line refers to an array below.
  struct Rest {
    const Line* block;
    Value entry;
    std::uint16_t key;
    std::uint8_t position;
  };

  LPM_INLINE void prefetch_node(const Node& node) noexcept {
    const Line* first = lines_at(node.word);
    __builtin_prefetch(first);
    const auto* slot = branch_of<Bits>(node.word)->slots + byte_at(keys_[node.key], node.floor);
    __builtin_prefetch(is_branch(node.word) ? static_cast<const void*>(slot) : first + 1);
  }

  LPM_INLINE void step(std::uint16_t key, const Line* block, std::size_t first, unsigned bits,
                       unsigned position) noexcept {
    const Point point = window(keys_[key], position);
    const Line* line = block + first + line_of(point, bits);
    __builtin_prefetch(line);
    step_[steps_++] = {reinterpret_cast<const Ranges*>(line), block, point, key,
                       static_cast<std::uint8_t>(position)};
  }

  LPM_INLINE void visit_nodes() noexcept {
    const std::size_t count = nodes_;
    nodes_ = 0;
    for (std::size_t i = 0; i < count; ++i) {
      const Node node = node_[i];
      if (is_branch(node.word)) {
        visit_branch(node.key, *branch_of<Bits>(node.word));
      } else {
        visit_block(node.key, node.word);
      }
    }
  }

  LPM_INLINE void visit_branch(std::uint16_t key, const Branch<Bits>& branch) noexcept {
    offer(key, fallback_at(&branch));
    if (!same_start(keys_[key], branch.path, branch.position)) return;
    const Word word = branch.slots[byte_at(keys_[key], branch.position)];
    if (is_leaf(word)) {
      offer(key, leaf_value(word));
    } else {
      go_to(key, word, branch.position + 8U);
    }
  }

  LPM_INLINE void visit_block(std::uint16_t key, Word word) noexcept {
    const auto& header = *block_of<Bits>(word);
    if (same_start(keys_[key], header.path, header.position)) {
      step(key, lines_at(word), 1, line_bits(word), header.position);
    } else {
      offer(key, fallback_at(&header));
    }
  }

  LPM_INLINE void read_lines() noexcept {
    for (std::size_t i = 0; i < steps_; ++i) {
      const Step& at = step_[i];
      const Value value = answer_of(at.line, at.point);
      const bool below = value >= kChildEntry && value != kNoMatch;
      const Value best = out_[at.key];
      out_[at.key] = below ? best : known_or(value, best);
      rest_[rests_] = {at.block, value, at.key, at.position};
      rests_ += below ? 1 : 0;
    }
    steps_ = 0;
  }

  LPM_INLINE void go_below() noexcept {
    for (std::size_t i = 0; i < rests_; ++i) {
      const Rest rest = rest_[i];
      const Below below{rest.entry};
      if (below.has_path()) {
        __builtin_prefetch(rest.block + below.line());
        __builtin_prefetch(rest.block + below.line() + 1);
        path_[paths_++] = rest;
      } else {
        step(rest.key, rest.block, below.line(), below.line_bits(), rest.position + below.distance());
      }
    }
    rests_ = 0;
  }

  LPM_INLINE void compare_paths() noexcept {
    for (std::size_t i = 0; i < paths_; ++i) {
      const Rest rest = path_[i];
      const Below below{rest.entry};
      const auto& in = *reinterpret_cast<const Path<Bits>*>(rest.block + below.line());
      const unsigned position = rest.position + below.distance();
      if (same_start(keys_[rest.key], in.path, position)) {
        step(rest.key, rest.block, below.line() + 1, below.line_bits(), position);
      } else {
        offer(rest.key, entry_at(in.cover));
      }
    }
    paths_ = 0;
  }

  Keys keys_;
  Value* out_;
  std::size_t steps_ = 0;
  std::size_t nodes_ = 0;
  std::size_t rests_ = 0;
  std::size_t paths_ = 0;
  Step step_[kMaxBurst + 1];  // one more, because an element is written before it is known to count
  Node node_[kMaxBurst + 1];
  Rest rest_[kMaxBurst + 1];
  Rest path_[kMaxBurst];
};

}  // namespace
}  // namespace wg::lpm
