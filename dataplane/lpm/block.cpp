#include "dataplane/lpm/block.h"

#include <algorithm>

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
  return std::max(floor, std::min(common_length(sorted), kWidth<Bits> - 16));
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
                               std::vector<Prefixes<Bits>>& children) {
  constexpr std::uint32_t kWindow = 1 << 16;
  std::vector<Open> open{{kWindow, kInherit}};
  ranges.assign(1, {0, kInherit});
  const auto emit = [&ranges](std::uint32_t start, Unit entry) {
    if (ranges.back().start == start) ranges.pop_back();
    if (ranges.empty() || ranges.back().entry != entry) ranges.push_back({start, entry});
  };
  const auto close_until = [&](std::uint32_t point) {
    while (open.size() > 1 && open.back().end <= point) {
      const std::uint32_t end = open.back().end;
      open.pop_back();
      if (end < kWindow) emit(end, open.back().entry);
    }
  };
  for (std::size_t i = 0; i < sorted.size();) {
    const auto& prefix = sorted[i];
    const std::uint32_t start = window16(prefix.bits, position);
    close_until(start);
    if (prefix.length <= position + 16) {
      open.push_back({start + (1U << (16 - (prefix.length - position))), prefix.value});
      ++i;
    } else {
      std::size_t end = i + 1;
      while (end < sorted.size() && window16(sorted[end].bits, position) == start) ++end;
      open.push_back({start + 1, kChildEntry | static_cast<Unit>(children.size())});
      children.push_back(sorted.subspan(i, end - i));
      i = end;
    }
    emit(start, open.back().entry);
  }
  close_until(kWindow);
}

// Returns the index of the node's first unit. Entries of children are patched once their place is known.
template <typename Bits>
std::size_t BlockBuilder<Bits>::add_node(Prefixes<Bits> sorted, unsigned floor, Value fallback) {
  const unsigned position = node_position(sorted, floor);
  std::vector<Range> ranges;
  std::vector<Prefixes<Bits>> children;
  sweep(sorted, position, ranges, children);

  const std::size_t node = units_.size();
  const auto count = static_cast<unsigned>(ranges.size());
  const unsigned starts = padded_starts(count);
  units_.resize(node + kNodeUnits<Bits> + starts / 2 + count, 0xffffffff);
  units_[node] = fallback;
  units_[node + 1] = 0;
  units_[node + 2] = count | position << 16;
  const Bits path = sorted.front().bits & mask_of<Bits>(position);
  std::memcpy(&units_[node + 3], &path, sizeof path);
  for (unsigned r = 1; r < count; ++r) {
    const auto start = static_cast<std::uint16_t>(ranges[r].start);
    auto* bytes = reinterpret_cast<unsigned char*>(&units_[node + kNodeUnits<Bits>]);
    std::memcpy(bytes + 2 * (r - 1), &start, sizeof start);
  }

  // A child stands where its point would otherwise show the range around it, i.e. the innermost prefix
  // of this node that covers the point.
  const auto around = [&](Prefixes<Bits> child) {
    Value value = kInherit;
    for (const auto& prefix : sorted) {
      if (prefix.length <= position + 16 &&
          (child.front().bits & mask_of<Bits>(prefix.length)) == prefix.bits) {
        value = prefix.value;
      }
    }
    return value;
  };
  for (unsigned r = 0; r < count; ++r) {
    Unit entry = ranges[r].entry;
    if ((entry & kChildEntry) != 0) {
      const Prefixes<Bits> child = children[entry & ~kChildEntry];
      entry = kChildEntry | static_cast<Unit>(add_node(child, position + 16, around(child)) - node);
    }
    units_[node + kNodeUnits<Bits> + starts / 2 + r] = entry;
  }
  return node;
}

template <typename Bits>
void BlockBuilder<Bits>::add_cold(Prefixes<Bits> sorted) {
  const std::size_t n = sorted.size();
  const std::size_t cold = units_.size();
  units_[1] = static_cast<Unit>(n) | static_cast<Unit>(cold) << 16;
  units_.resize(cold + n * (kPathUnits<Bits> + 1) + (n + 3) / 4);
  for (std::size_t i = 0; i < n; ++i) {
    std::memcpy(&units_[cold + i * kPathUnits<Bits>], &sorted[i].bits, sizeof(Bits));
    units_[cold + n * kPathUnits<Bits> + i] = sorted[i].value;
    auto* lengths = reinterpret_cast<unsigned char*>(&units_[cold + n * (kPathUnits<Bits> + 1)]);
    lengths[i] = sorted[i].length;
  }
}

template <typename Bits>
std::span<const Unit> BlockBuilder<Bits>::build(Prefixes<Bits> sorted, unsigned floor, Value fallback) {
  units_.clear();
  add_node(sorted, floor, fallback);
  add_cold(sorted);
  return units_;
}

template <typename Bits>
void append_prefixes(const Unit* block, std::vector<Prefix<Bits>>& out) {
  const std::size_t n = block_prefixes(block);
  const Unit* bits = block + (block[1] >> 16);
  const Unit* values = bits + n * kPathUnits<Bits>;
  const auto* lengths = reinterpret_cast<const unsigned char*>(values + n);
  for (std::size_t i = 0; i < n; ++i) {
    out.push_back({load_bits<Bits>(bits + i * kPathUnits<Bits>), values[i], lengths[i]});
  }
}

template <typename Bits>
std::size_t block_bytes(const Unit* block) noexcept {
  const std::size_t n = block_prefixes(block);
  return ((block[1] >> 16) + n * (kPathUnits<Bits> + 1) + (n + 3) / 4) * sizeof(Unit);
}

#define LPM_INSTANTIATE(Bits)                                             \
  template unsigned common_length<Bits>(Prefixes<Bits>) noexcept;         \
  template class BlockBuilder<Bits>;                                      \
  template void append_prefixes(const Unit*, std::vector<Prefix<Bits>>&); \
  template std::size_t block_bytes<Bits>(const Unit*) noexcept;
LPM_INSTANTIATE(std::uint32_t)
LPM_INSTANTIATE(Uint128)
#undef LPM_INSTANTIATE

}  // namespace wg::lpm
