#include "dataplane/lpm/block.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <iterator>

namespace wg::lpm {
namespace {

// A block in a slot is placed as deep as its prefixes allow if that skips at least this many bits: the reader
// then compares the path but finds the prefixes in the first array. It is never so deep that points lie
// beyond the address.
constexpr unsigned kWorthAPath = 16;

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

template <typename Bits>
unsigned deepest_position(Prefixes<Bits> sorted, unsigned floor) noexcept {
  return std::max(floor, std::min(common_length(sorted), kWidth<Bits> - kWindow));
}

template <typename Bits>
bool is_set(Bits bits, unsigned position) noexcept {
  return (bits >> (kWidth<Bits> - 1 - position) & 1) != 0;
}

template <typename Bits>
Header<Bits>* header_at(Line& line) noexcept {
  return reinterpret_cast<Header<Bits>*>(&line);
}

template <typename Bits>
std::size_t cold_lines(std::size_t prefixes) noexcept {
  const std::size_t bytes = prefixes * kColdPrefix<Bits>;
  return bytes <= Header<Bits>::kRoom ? 0 : (bytes + kLine - 1) / kLine;
}

template <typename Bits>
unsigned char* cold_of(const Header<Bits>* block) noexcept {
  auto* header = const_cast<Header<Bits>*>(block);
  if (cold_lines<Bits>(header->prefixes) == 0) return header->room;
  return reinterpret_cast<unsigned char*>(reinterpret_cast<Line*>(header) + header->lines);
}

}  // namespace

template <typename Bits>
unsigned common_length(Prefixes<Bits> sorted) noexcept {
  unsigned length = shared_bits(sorted.front().bits, sorted.back().bits);
  for (const auto& prefix : sorted) length = std::min<unsigned>(length, prefix.length);
  return length;
}

// Splits the prefixes one step below their common bits: the prefix that ends there, if any, then those with a
// zero in the next bit and those with a one. Prefixes that a point of the area at `position` cannot
// distinguish stay together.
template <typename Bits>
void BlockBuilder<Bits>::split(Prefixes<Bits> sorted, unsigned position, Parts& parts) {
  const unsigned deepest = position + kWindow;
  const unsigned common = std::min(common_length(sorted), deepest);
  const auto add = [&](Prefixes<Bits> part) {
    if (part.empty()) return;
    const unsigned length = std::min(common_length(part), deepest);
    const bool single = part.size() == 1 && part.front().length <= deepest;
    parts.push_back({part, kInherit, length, !single, !single && length < deepest});
  };
  if (sorted.front().length == common) {
    add(sorted.first(1));
    sorted = sorted.subspan(1);
  }
  if (common == deepest) return add(sorted);
  const auto ones = std::partition_point(sorted.begin(), sorted.end(), [common](const Prefix<Bits>& prefix) {
    return !is_set(prefix.bits, common);
  });
  const auto zeros = static_cast<std::size_t>(ones - sorted.begin());
  add(sorted.first(zeros));
  add(sorted.subspan(zeros));
}

// Makes each prefix a part, except that prefixes which points cannot distinguish share one.
template <typename Bits>
void BlockBuilder<Bits>::flat(Prefixes<Bits> sorted, unsigned position, Parts& parts) {
  const unsigned deepest = position + kWindow;
  parts.clear();
  for (std::size_t i = 0; i < sorted.size();) {
    std::size_t end = i + 1;
    const bool below = sorted[i].length > deepest;
    const Point point = window(sorted[i].bits, position);
    while (below && end < sorted.size() && window(sorted[end].bits, position) == point) ++end;
    const auto length = std::min<unsigned>(sorted[i].length, deepest);
    parts.push_back({sorted.subspan(i, end - i), kInherit, length, below, false});
    i = end;
  }
}

// Walks the parts in order, computes the ranges, and sets the cover of each part. The innermost open range is
// the last one in `open`.
template <typename Bits>
void BlockBuilder<Bits>::sweep(Parts& parts, const Area& area, std::vector<Range>& ranges) {
  std::vector<Open>& open = open_;
  open.assign(1, {area.end, area.cover});
  ranges.assign(1, {area.first, area.cover});
  const auto emit = [&ranges](std::uint64_t start, Value entry) {
    if (ranges.back().start == start) ranges.pop_back();
    if (ranges.empty() || ranges.back().entry != entry) ranges.push_back({start, entry});
  };
  const auto close_until = [&](std::uint64_t point) {
    while (open.size() > 1 && open.back().end <= point) {
      const std::uint64_t end = open.back().end;
      open.pop_back();
      if (end < area.end) emit(end, open.back().entry);
    }
  };
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const std::uint64_t start =
        window(parts[i].prefixes.front().bits & mask_of<Bits>(parts[i].length), area.position);
    close_until(start);
    parts[i].cover = open.back().entry;
    const Value entry =
        parts[i].below ? kChildEntry | static_cast<Value>(i) : parts[i].prefixes.front().value;
    open.push_back({start + (std::uint64_t{1} << (area.position + kWindow - parts[i].length)), entry});
    emit(start, entry);
  }
  close_until(area.end);
}

// Finds parts whose ranges fit in a line: all prefixes if possible; otherwise arrays below, expanded from the
// largest on while the line has space.
template <typename Bits>
void BlockBuilder<Bits>::fitting(Prefixes<Bits> sorted, const Area& area, Division& division) {
  auto& [parts, ranges] = division;
  flat(sorted, area.position, parts);
  sweep(parts, area, ranges);
  if (ranges.size() <= kRanges) return;
  parts.clear();
  split(sorted, area.position, parts);
  for (;;) {
    const auto largest = std::max_element(parts.begin(), parts.end(), [](const Part& a, const Part& b) {
      return (a.expandable ? a.prefixes.size() : 0) < (b.expandable ? b.prefixes.size() : 0);
    });
    if (largest == parts.end() || !largest->expandable) break;
    Parts opened(parts.begin(), largest);
    split(largest->prefixes, area.position, opened);
    opened.insert(opened.end(), largest + 1, parts.end());
    sweep(opened, area, ranges);
    if (ranges.size() <= kRanges) {
      parts.swap(opened);
    } else {
      largest->expandable = false;
    }
  }
  sweep(parts, area, ranges);
}

// Chooses the smallest number of lines that leaves no range to arrays below, but not more lines than ranges,
// or four times as many when roomy.
template <typename Bits>
unsigned BlockBuilder<Bits>::choose_line_bits() {
  const auto& ranges = whole_.ranges;
  // For each of the finest lines: the number of ranges that start in it, and whether one starts at its first
  // point.
  std::array<std::uint16_t, std::size_t{1} << kMaxLineBits> starts{};
  std::array<bool, std::size_t{1} << kMaxLineBits> exact{};
  constexpr unsigned kShift = kWindow - kMaxLineBits;
  for (const Range& range : ranges) {
    const std::size_t line = range.start >> kShift;
    ++starts[line];
    exact[line] |= (range.start & ((std::uint64_t{1} << kShift) - 1)) == 0;
  }
  unsigned best = 0;
  std::size_t least = ~std::size_t{0};
  for (unsigned bits = kMaxLineBits + 1; bits-- > 0;) {
    const std::size_t count = std::size_t{1} << bits, step = starts.size() >> bits;
    std::size_t overflowing = 0;
    for (std::size_t line = 0; line < count; ++line) {
      const std::size_t inside = std::size_t{starts[line]} + (exact[line * step] ? 0 : 1);
      overflowing += inside > kRanges ? inside : 0;
    }
    const std::size_t cost = overflowing * (roomy_ ? 16 : 4) + count;
    if (cost <= least && (bits == 0 || count <= ranges.size() * (roomy_ ? 4 : 1))) {
      least = cost;
      best = bits;
      overflows_ = overflowing != 0;
    }
    for (std::size_t line = 0; line < count / 2; ++line)
      starts[line] = static_cast<std::uint16_t>(starts[2 * line] + starts[2 * line + 1]);
  }
  return best;
}

template <typename Bits>
typename BlockBuilder<Bits>::Array BlockBuilder<Bits>::add_array(Prefixes<Bits> sorted, unsigned position,
                                                                 Value cover) {
  if (!sorted.empty() && sorted.front().length == position) {
    cover = sorted.front().value;
    sorted = sorted.subspan(1);
  }
  unsigned bits = 0;
  if (2 * sorted.size() + 1 > kRanges) {
    flat(sorted, position, whole_.parts);
    sweep(whole_.parts, {position, 0, std::uint64_t{1} << kWindow, cover}, whole_.ranges);
    bits = choose_line_bits();
    const bool below =
        std::any_of(whole_.parts.begin(), whole_.parts.end(), [](const Part& part) { return part.below; });
    if (!overflows_ && !below) return {add_lines(bits), bits};
  }
  const std::size_t count = std::size_t{1} << bits;
  const std::uint64_t size = std::uint64_t{1} << (kWindow - bits);
  const std::size_t first = lines_.size();
  lines_.resize(first + count);
  std::vector<Value> covers(count, cover);
  std::size_t i = 0;
  for (std::size_t line = 0; line < count; ++line) {
    const auto here = [&] {
      return i < sorted.size() && line_of(window(sorted[i].bits, position), bits) == line;
    };
    for (; here() && sorted[i].length <= position + bits; ++i) {
      std::fill_n(covers.begin() + static_cast<long>(line),
                  std::size_t{1} << (position + bits - sorted[i].length), sorted[i].value);
    }
    const std::size_t begin = i;
    while (here()) ++i;
    fill_line(first + line, sorted.subspan(begin, i - begin),
              {position, line * size, (line + 1) * size, covers[line]});
  }
  return {first, bits};
}

// Distributes the ranges of the whole array over 2^bits lines. They fit and need no array below.
template <typename Bits>
std::size_t BlockBuilder<Bits>::add_lines(unsigned bits) {
  const auto& ranges = whole_.ranges;
  const std::size_t count = std::size_t{1} << bits, first = lines_.size();
  lines_.resize(first + count);
  std::size_t i = 0;  // the range that holds the line's first point
  for (std::size_t line = 0; line < count; ++line) {
    const std::uint64_t end = std::uint64_t{line + 1} << (kWindow - bits);
    auto* in = reinterpret_cast<Ranges*>(&lines_[first + line]);
    std::fill_n(in->lasts, kRanges - 1, ~Point{0});
    std::fill_n(in->entries, kRanges, kInherit);
    for (unsigned r = 0;; ++r) {
      in->entries[r] = ranges[i].entry;
      if (ranges[i].entry == kInherit) in->inherits |= 1U << r;
      if (i + 1 == ranges.size() || ranges[i + 1].start >= end) break;
      in->lasts[r] = static_cast<Point>(ranges[++i].start - 1);
    }
    if (i + 1 < ranges.size() && ranges[i + 1].start == end) ++i;
  }
  return first;
}

template <typename Bits>
void BlockBuilder<Bits>::fill_line(std::size_t line, Prefixes<Bits> sorted, const Area& area) {
  if (depth_ == divisions_.size()) divisions_.emplace_back();
  Division& division = divisions_[depth_++];
  const auto& ranges = division.ranges;
  if (sorted.empty()) {
    division.ranges.assign(1, {area.first, area.cover});
  } else {
    fitting(sorted, area, division);
  }
  for (unsigned r = 0; r < kRanges; ++r) {
    Value entry = r < ranges.size() ? ranges[r].entry : kInherit;
    if (r < ranges.size() && (entry & kChildEntry) != 0)
      entry = add_below(division.parts[entry & ~kChildEntry], area.position);
    auto* in = reinterpret_cast<Ranges*>(&lines_[line]);  // add_below() may have moved it
    in->entries[r] = entry;
    if (r < ranges.size() && entry == kInherit) in->inherits |= 1U << r;
    if (r + 1 < kRanges)
      in->lasts[r] = r + 1 < ranges.size() ? static_cast<Point>(ranges[r + 1].start - 1) : ~Point{0};
  }
  --depth_;
}

template <typename Bits>
Value BlockBuilder<Bits>::add_below(const Part& part, unsigned position) {
  const bool deep = part.length == position + kWindow;
  const unsigned at = deep ? deepest_position(part.prefixes, part.length) : part.length;
  const bool path = at > part.length;
  const std::size_t line = lines_.size();
  if (path) {
    auto* in = reinterpret_cast<Path<Bits>*>(&lines_.emplace_back());
    in->path = part.prefixes.front().bits & mask_of<Bits>(at);
    in->cover = part.cover;
    in->inherits = part.cover == kInherit ? 1 : 0;
  }
  const Array array = add_array(part.prefixes, at, part.cover);
  return Below::to(line, array.line_bits, at - position, path);
}

template <typename Bits>
void BlockBuilder<Bits>::add_cold(Prefixes<Bits> sorted) {
  const std::size_t n = sorted.size();
  auto* header = header_at<Bits>(lines_.front());
  header->prefixes = static_cast<std::uint16_t>(n);
  header->lines = static_cast<std::uint16_t>(lines_.size());
  lines_.resize(lines_.size() + cold_lines<Bits>(n));
  unsigned char* bits = cold_of(header_at<Bits>(lines_.front()));
  unsigned char* values = bits + n * sizeof(Bits);
  unsigned char* lengths = values + n * sizeof(Value);
  for (std::size_t i = 0; i < n; ++i) {
    std::memcpy(bits + i * sizeof(Bits), &sorted[i].bits, sizeof(Bits));
    std::memcpy(values + i * sizeof(Value), &sorted[i].value, sizeof(Value));
    lengths[i] = sorted[i].length;
  }
}

template <typename Bits>
typename BlockBuilder<Bits>::Block BlockBuilder<Bits>::build(Prefixes<Bits> sorted, unsigned floor,
                                                             Value fallback, bool roomy) {
  roomy_ = roomy;
  const unsigned deepest = deepest_position(sorted, floor);
  const bool beyond = std::any_of(sorted.begin(), sorted.end(), [floor](const Prefix<Bits>& prefix) {
    return prefix.length > floor + kWindow;
  });
  const bool path = beyond && deepest >= floor + kWorthAPath;
  const unsigned position = path ? deepest : floor;
  depth_ = 0;
  lines_.assign(1, {});
  const Array array = add_array(sorted, position, kInherit);
  auto* header = header_at<Bits>(lines_.front());
  header->position = static_cast<std::uint8_t>(position);
  header->path = sorted.front().bits & mask_of<Bits>(position);
  add_cold(sorted);
  set_fallback(header_at<Bits>(lines_.front()), fallback);
  return {lines_, (path ? kPathTag : 0) | Word{array.line_bits} << kLineBitsShift};
}

template <typename Bits>
void append_prefixes(const Header<Bits>* block, std::vector<Prefix<Bits>>& out) {
  const std::size_t n = block->prefixes;
  const unsigned char* bits = cold_of(block);
  const unsigned char* values = bits + n * sizeof(Bits);
  const unsigned char* lengths = values + n * sizeof(Value);
  const std::size_t before = out.size();
  out.resize(before + n);
  Prefix<Bits>* to = out.data() + before;
  for (std::size_t i = 0; i < n; ++i) {
    std::memcpy(&to[i].bits, bits + i * sizeof(Bits), sizeof(Bits));
    std::memcpy(&to[i].value, values + i * sizeof(Value), sizeof(Value));
    to[i].length = lengths[i];
  }
}

template <typename Bits>
std::optional<Value> value_in(const Header<Bits>* block, Bits bits, unsigned length) {
  const std::size_t n = block->prefixes;
  const unsigned char* all_bits = cold_of(block);
  const unsigned char* values = all_bits + n * sizeof(Bits);
  const unsigned char* lengths = values + n * sizeof(Value);
  const Prefix<Bits> wanted{bits, 0, static_cast<std::uint8_t>(length)};
  const auto prefix_at = [&](std::size_t i) {
    Prefix<Bits> prefix{0, 0, lengths[i]};
    std::memcpy(&prefix.bits, all_bits + i * sizeof(Bits), sizeof(Bits));
    return prefix;
  };
  std::size_t first = 0;
  for (std::size_t count = n; count != 0;) {
    const std::size_t half = count / 2;
    const bool after = prefix_at(first + half) < wanted;
    first = after ? first + half + 1 : first;
    count = after ? count - half - 1 : half;
  }
  if (first == n || wanted < prefix_at(first)) return std::nullopt;
  Value value;
  std::memcpy(&value, values + first * sizeof(Value), sizeof(Value));
  return value;
}

template <typename Bits>
void set_fallback(Header<Bits>* block, Value fallback) noexcept {
  fallback_of(block).store(fallback, std::memory_order_release);
  auto* lines = reinterpret_cast<Ranges*>(block);
  for (std::size_t i = 1; i < block->lines; ++i) {
    for (Value marked = lines[i].inherits; marked != 0; marked &= marked - 1) {
      Value& entry = lines[i].entries[__builtin_ctz(marked)];
      std::atomic_ref<Value>(entry).store(fallback, std::memory_order_release);
    }
  }
}

template <typename Bits>
std::size_t block_bytes(const Header<Bits>* block) noexcept {
  return (block->lines + cold_lines<Bits>(block->prefixes)) * kLine;
}

#define LPM_INSTANTIATE(Bits)                                                           \
  template unsigned common_length<Bits>(Prefixes<Bits>) noexcept;                       \
  template class BlockBuilder<Bits>;                                                    \
  template void append_prefixes<Bits>(const Header<Bits>*, std::vector<Prefix<Bits>>&); \
  template std::optional<Value> value_in<Bits>(const Header<Bits>*, Bits, unsigned);    \
  template void set_fallback<Bits>(Header<Bits>*, Value) noexcept;                      \
  template std::size_t block_bytes<Bits>(const Header<Bits>*) noexcept;
LPM_INSTANTIATE(std::uint32_t)
LPM_INSTANTIATE(Uint128)
#undef LPM_INSTANTIATE

}  // namespace wg::lpm
