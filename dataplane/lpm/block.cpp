#include "dataplane/lpm/block.h"

#include <algorithm>
#include <iterator>
#include <type_traits>

namespace wg::lpm {
namespace {

template <typename Bits>
unsigned shared_bits(Bits a, Bits b) noexcept {
  const Bits difference = a ^ b;
  if constexpr (sizeof(Bits) == 16) {
    const auto high = static_cast<std::uint64_t>(difference >> 64);
    const auto low = static_cast<std::uint64_t>(difference);
    if (high != 0) return static_cast<unsigned>(__builtin_clzll(high));
    return low == 0 ? 128 : 64 + static_cast<unsigned>(__builtin_clzll(low));
  } else {
    return difference == 0 ? 32 : static_cast<unsigned>(__builtin_clz(difference));
  }
}

// Where a range node for these prefixes stands: as deep as all of them allow, but not so deep that part of
// its window lies beyond the address, which would only lengthen the path to compare.
template <typename Bits>
unsigned node_position(Prefixes<Bits> sorted, unsigned floor) noexcept {
  return std::max(floor, std::min(common_length(sorted), kWidth<Bits> - kWindow<Bits>));
}

}  // namespace

template <typename Bits>
unsigned common_length(Prefixes<Bits> sorted) noexcept {
  unsigned length = shared_bits(sorted.front().bits, sorted.back().bits);
  for (const auto& prefix : sorted) length = std::min<unsigned>(length, prefix.length);
  return length;
}

// Walks the sorted prefixes once. `open` holds the prefixes around the current point, innermost last;
// prefixes that end beyond the window and agree in it become one child, entered as a point.
template <typename Bits>
void BlockBuilder<Bits>::sweep(Prefixes<Bits> sorted, unsigned position, std::vector<Range>& ranges,
                               std::vector<Child>& children) {
  constexpr std::uint64_t kEnd = std::uint64_t{1} << kWindow<Bits>;
  std::vector<Open> open{{kEnd, kInherit}};
  ranges.assign(1, {0, kInherit});
  const auto emit = [&ranges](std::uint64_t start, Value entry) {
    if (ranges.back().start == start) ranges.pop_back();
    if (ranges.empty() || ranges.back().entry != entry) ranges.push_back({start, entry});
  };
  const auto close_until = [&](std::uint64_t point) {
    while (open.size() > 1 && open.back().end <= point) {
      const std::uint64_t end = open.back().end;
      open.pop_back();
      if (end < kEnd) emit(end, open.back().entry);
    }
  };
  for (std::size_t i = 0; i < sorted.size();) {
    const auto& prefix = sorted[i];
    const std::uint64_t start = window(prefix.bits, position);
    close_until(start);
    if (prefix.length <= position + kWindow<Bits>) {
      open.push_back({start + (kEnd >> (prefix.length - position)), prefix.value});
      ++i;
    } else {
      std::size_t end = i + 1;
      while (end < sorted.size() && window(sorted[end].bits, position) == start) ++end;
      children.push_back({sorted.subspan(i, end - i), open.back().entry});
      open.push_back({start + 1, kChildEntry | static_cast<Value>(children.size() - 1)});
      i = end;
    }
    emit(start, open.back().entry);
  }
  close_until(kEnd);
}

template <typename Bits>
void BlockBuilder<Bits>::fill_group(Group<Bits>& group, std::span<const Range> ranges) {
  for (unsigned i = 0; i < Layout<Bits>::kLasts; ++i) {
    const bool used = i + 1 < ranges.size();
    group.lasts[i] = static_cast<Point<Bits>>(used ? ranges[i + 1].start - 1 : ~0U);
  }
  for (unsigned i = 0; i < Layout<Bits>::kRanges; ++i) {
    group.entries[i] = ranges[std::min<std::size_t>(i, ranges.size() - 1)].entry;
  }
}

// Returns the node's first line. Ranges that lead to children get their entries once the children have lines.
template <typename Bits>
std::size_t BlockBuilder<Bits>::add_node(Prefixes<Bits> sorted, unsigned floor, Value fallback) {
  constexpr unsigned kRanges = Layout<Bits>::kRanges;
  constexpr bool kFirstGroupInNode = std::is_same_v<Node<Bits>, Group<Bits>>;
  const unsigned position = node_position(sorted, floor);
  std::vector<Range> ranges;
  std::vector<Child> children;
  sweep(sorted, position, ranges, children);

  const std::size_t at = lines_.size();
  const auto groups = static_cast<unsigned>((ranges.size() + kRanges - 1) / kRanges);
  const unsigned own_lines = kFirstGroupInNode && groups == 1 ? 0 : groups;
  lines_.resize(at + 1 + own_lines);
  for (Range& range : ranges) {
    if ((range.entry & kChildEntry) == 0) continue;
    const Child child = children[range.entry & ~kChildEntry];
    const std::size_t child_at = add_node(child.prefixes, position + kWindow<Bits>, child.fallback);
    range.entry = kChildEntry | static_cast<Value>((child_at - at) * kLine);
  }

  auto* node = reinterpret_cast<Node<Bits>*>(&lines_[at]);
  node->meta = Meta(position, own_lines);
  node->fallback = fallback;
  node->path = sorted.front().bits & mask_of<Bits>(position);
  std::fill(std::begin(node->lasts), std::end(node->lasts), static_cast<Point<Bits>>(~0U));
  for (unsigned g = 0; g < groups; ++g) {
    const auto part = std::span<const Range>(ranges).subspan(g * kRanges);
    if (g > 0) node->lasts[g - 1] = static_cast<Point<Bits>>(part.front().start - 1);
    if constexpr (kFirstGroupInNode) {
      if (own_lines == 0) {
        fill_group(*node, part);
        break;
      }
    }
    fill_group(*reinterpret_cast<Group<Bits>*>(&lines_[at + 1 + g]),
               part.first(std::min<std::size_t>(part.size(), kRanges)));
  }
  return at;
}

template <typename Bits>
void BlockBuilder<Bits>::add_cold(Prefixes<Bits> sorted) {
  const std::size_t n = sorted.size();
  const std::size_t lines = lines_.size();
  reinterpret_cast<Node<Bits>*>(lines_.data())->meta.set_block(n, lines);
  lines_.resize(lines + (n * (sizeof(Bits) + sizeof(Value) + 1) + kLine - 1) / kLine);
  unsigned char* bits = lines_[lines].bytes;
  unsigned char* values = bits + n * sizeof(Bits);
  unsigned char* lengths = values + n * sizeof(Value);
  for (std::size_t i = 0; i < n; ++i) {
    std::memcpy(bits + i * sizeof(Bits), &sorted[i].bits, sizeof(Bits));
    std::memcpy(values + i * sizeof(Value), &sorted[i].value, sizeof(Value));
    lengths[i] = sorted[i].length;
  }
}

template <typename Bits>
std::span<const Line> BlockBuilder<Bits>::build(Prefixes<Bits> sorted, unsigned floor, Value fallback) {
  lines_.clear();
  add_node(sorted, floor, fallback);
  add_cold(sorted);
  return lines_;
}

template <typename Bits>
void append_prefixes(const Node<Bits>* block, std::vector<Prefix<Bits>>& out) {
  const std::size_t n = block->meta.prefixes();
  const unsigned char* bits = reinterpret_cast<const Line*>(block)[block->meta.lines()].bytes;
  const unsigned char* values = bits + n * sizeof(Bits);
  const unsigned char* lengths = values + n * sizeof(Value);
  for (std::size_t i = 0; i < n; ++i) {
    Prefix<Bits> prefix{0, 0, lengths[i]};
    std::memcpy(&prefix.bits, bits + i * sizeof(Bits), sizeof(Bits));
    std::memcpy(&prefix.value, values + i * sizeof(Value), sizeof(Value));
    out.push_back(prefix);
  }
}

template <typename Bits>
std::size_t block_bytes(const Node<Bits>* block) noexcept {
  const std::size_t cold = block->meta.prefixes() * (sizeof(Bits) + sizeof(Value) + 1);
  return block->meta.lines() * kLine + (cold + kLine - 1) / kLine * kLine;
}

#define LPM_INSTANTIATE(Bits)                                                         \
  template unsigned common_length<Bits>(Prefixes<Bits>) noexcept;                     \
  template class BlockBuilder<Bits>;                                                  \
  template void append_prefixes<Bits>(const Node<Bits>*, std::vector<Prefix<Bits>>&); \
  template std::size_t block_bytes<Bits>(const Node<Bits>*) noexcept;
LPM_INSTANTIATE(std::uint32_t)
LPM_INSTANTIATE(Uint128)
#undef LPM_INSTANTIATE

}  // namespace wg::lpm
