// The memory layout that writer and readers share. Everything below a root slot is immutable once published,
// except the fallback of the node the slot points to.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "dataplane/lpm/lpm.h"

// Code of the readers is compiled once per instruction set; nothing of it may be shared between these files.
#define LPM_INLINE [[gnu::always_inline]] inline

namespace wg::lpm {

// "Nothing here: what the nodes above said holds." Never a user's value (kMaxValue is below it).
inline constexpr Value kInherit = 0x7fffffff;

template <typename Bits>
inline constexpr unsigned kWidth = sizeof(Bits) * 8;

// The 8 bits from `position`.
template <typename Bits>
LPM_INLINE unsigned byte_at(Bits address, unsigned position) noexcept {
  return static_cast<unsigned>(static_cast<Bits>(address << position) >> (kWidth<Bits> - 8));
}

// The first `length` bits agree; length < width.
template <typename Bits>
LPM_INLINE bool same_start(Bits a, Bits b, unsigned length) noexcept {
  return static_cast<Bits>((a ^ b) >> 1) >> (kWidth<Bits> - 1 - length) == 0;
}

template <typename Bits>
LPM_INLINE Bits mask_of(unsigned length) noexcept {
  return length == 0 ? Bits{0} : static_cast<Bits>(~Bits{0} << (kWidth<Bits> - length));
}

// ---- What a slot of the root or of a branch holds.
// Odd: a leaf, its value in the upper half. Otherwise a pointer, aligned to a line, and what it points to:
// kBranchTag, kGroupedTag (a block whose first node has groups), or none (any other block).
using Word = std::uint64_t;
inline constexpr Word kLeafTag = 1;
inline constexpr Word kBranchTag = 2;
inline constexpr Word kGroupedTag = 4;
inline constexpr std::size_t kLine = 64;

LPM_INLINE Word leaf_word(Value value) noexcept {
  return Word{value} << 32 | kLeafTag;
}
LPM_INLINE bool is_leaf(Word word) noexcept {
  return (word & kLeafTag) != 0;
}
LPM_INLINE bool is_branch(Word word) noexcept {
  return (word & kBranchTag) != 0;
}
LPM_INLINE Value leaf_value(Word word) noexcept {
  return static_cast<Value>(word >> 32);
}

// ---- Block: a few prefixes as a small trie of range nodes, in one allocation of whole lines; behind the
// nodes ("cold") the prefixes themselves for the writer, sorted: bits, values, lengths.
//
// A range node cuts the window of address bits from `position` into ranges and holds the answer of each: a
// value, kInherit, or kChildEntry | distance in bytes to a deeper node. Ranges stand in groups of one line;
// range r of a group ends with the point lasts[r], so the range of a point is the number of lasts below it.
// Unused lasts are all ones: no point is above. With more than one group, the node's own lasts are those of
// the groups.
struct alignas(kLine) Line {
  unsigned char bytes[kLine];
};
inline constexpr Value kChildEntry = 0x80000000;

// The first node's counts of prefixes and lines speak for the block.
struct Meta {
  std::uint32_t word = 0;

  Meta() = default;
  Meta(unsigned position, unsigned groups) noexcept : word(position | groups << 7) {}
  void set_block(std::size_t prefixes, std::size_t lines) noexcept {
    word |= static_cast<std::uint32_t>(prefixes << 11 | lines << 18);
  }
  [[nodiscard, gnu::always_inline]] unsigned position() const noexcept { return word & 127; }
  [[nodiscard, gnu::always_inline]] unsigned groups() const noexcept {
    return word >> 7 & 15;
  }  // in lines of their own
  [[nodiscard]] unsigned prefixes() const noexcept { return word >> 11 & 127; }
  [[nodiscard]] unsigned lines() const noexcept { return word >> 18; }
};

template <typename Bits>
struct Layout;

// IPv4: 16 bits per node; nodes of one group are one line, so the usual walk is root, line.
template <>
struct Layout<std::uint32_t> {
  using Point = std::uint16_t;
  static constexpr unsigned kLasts = 8;
  static constexpr unsigned kRanges = 9;
  static constexpr unsigned kBlockPrefixes = 40;     // at most 81 ranges: 9 groups
  static constexpr std::ptrdiff_t kBlockLocals = 8;  // of these, no longer than the floor + 8
  struct alignas(kLine) Node {
    Value fallback;      // the answer when the node has none
    std::uint32_t path;  // the address bits before position
    Point lasts[kLasts];
    Value entries[kRanges];
    Meta meta;
  };
  using Group = Node;
};

// IPv6: 32 bits per node, so that one node reaches from /16 to /48; a line of fences, then the groups.
template <>
struct Layout<Uint128> {
  using Point = std::uint32_t;
  static constexpr unsigned kLasts = 7;
  static constexpr unsigned kRanges = 8;
  static constexpr unsigned kBlockPrefixes = 31;  // at most 63 ranges: 8 groups
  static constexpr std::ptrdiff_t kBlockLocals = 31;
  struct alignas(kLine) Node {
    Value fallback;
    Meta meta;
    std::uint64_t unused;
    Uint128 path;
    Point lasts[kLasts];
    std::uint32_t unused_too[5];
  };
  struct alignas(kLine) Group {
    Point lasts[kLasts];
    Value entries[kRanges];
    std::uint32_t unused;
  };
};
static_assert(sizeof(Layout<std::uint32_t>::Node) == kLine);
static_assert(sizeof(Layout<Uint128>::Group) == kLine);

template <typename Bits>
using Node = typename Layout<Bits>::Node;
template <typename Bits>
using Group = typename Layout<Bits>::Group;
template <typename Bits>
using Point = typename Layout<Bits>::Point;
template <typename Bits>
inline constexpr unsigned kWindow = sizeof(Point<Bits>) * 8;

// The bits [position, position + kWindow) of an address; zero beyond its end. position < width.
template <typename Bits>
LPM_INLINE Point<Bits> window(Bits address, unsigned position) noexcept {
  return static_cast<Point<Bits>>(static_cast<Bits>(address << position) >> (kWidth<Bits> - kWindow<Bits>));
}

// ---- Branch: 256 slots for the 8 bits from `position`.
template <typename Bits>
struct Local {  // a prefix that ends inside the branch: position <= length <= position + 8
  Bits bits;
  Value value;
  std::uint8_t length;
};

template <typename Bits>
struct Branch {
  std::atomic<Value> fallback;  // as [0] of a block
  std::uint8_t position;
  std::uint16_t locals;    // behind the slots, for the writer
  std::uint32_t prefixes;  // in the whole subtree
  Bits path;
  Word slots[256];

  [[nodiscard]] std::size_t bytes() const noexcept { return sizeof(Branch) + locals * sizeof(Local<Bits>); }
  [[nodiscard]] Local<Bits>* local() noexcept { return reinterpret_cast<Local<Bits>*>(this + 1); }
  [[nodiscard]] const Local<Bits>* local() const noexcept {
    return reinterpret_cast<const Local<Bits>*>(this + 1);
  }
};

// Every node begins with its fallback.
LPM_INLINE std::atomic_ref<Value> fallback_of(const void* node) noexcept {
  return std::atomic_ref<Value>(*static_cast<Value*>(const_cast<void*>(node)));
}
template <typename Bits>
LPM_INLINE const Node<Bits>* block_of(Word word) noexcept {
  return reinterpret_cast<const Node<Bits>*>(word & ~Word{kLine - 1});
}
template <typename Bits>
LPM_INLINE const Branch<Bits>* branch_of(Word word) noexcept {
  return reinterpret_cast<const Branch<Bits>*>(word & ~Word{kLine - 1});
}

// ---- Root: one slot, or one for each value of the first bits. The only place readers see change, besides
// the fallback of what a slot points to.
struct Root {
  std::uint64_t grown;         // 0: the single slot; 1: all of RootShape
  std::atomic<Word> slots[1];  // RootShape::slots() in fact
};

struct SlotRange {
  std::size_t first;
  std::size_t count;
};

// How addresses map to the slots of a grown root.
template <typename Bits>
struct RootShape;

template <>
struct RootShape<std::uint32_t> {
  static constexpr std::size_t kSlots = 1 << 16;
  // The bits a slot decides.
  static unsigned depth(std::uint32_t) noexcept { return 16; }
  [[gnu::always_inline]] static std::size_t slot(std::uint32_t address) noexcept { return address >> 16; }
  // The slots under a prefix not longer than its slots' depth, in two parts, the second possibly empty.
  static std::array<SlotRange, 2> under(std::uint32_t bits, unsigned length) noexcept {
    return {{{bits >> 16, std::size_t{1} << (16 - length)}, {0, 0}}};
  }
};

// All global unicast addresses are in 2000::/3, most of the 2^16 slots would stay empty: these have 2^16
// slots of their own, by the bits 3 to 18.
template <>
struct RootShape<Uint128> {
  static constexpr std::size_t kPart = 1 << 16;
  static constexpr std::size_t kSlots = 2 * kPart;
  [[gnu::always_inline]] static bool is_global(Uint128 address) noexcept {
    return static_cast<std::uint64_t>(address >> 125) == 1;
  }
  static unsigned depth(Uint128 address) noexcept { return is_global(address) ? 19 : 16; }
  [[gnu::always_inline]] static std::size_t slot(Uint128 address) noexcept {
    const auto high = static_cast<std::uint64_t>(address >> 64);
    return is_global(address) ? kPart + (high >> 45 & (kPart - 1)) : high >> 48;
  }
  static std::array<SlotRange, 2> under(Uint128 bits, unsigned length) noexcept {
    if (length >= 3 && is_global(bits)) return {{{slot(bits), std::size_t{1} << (19 - length)}, {0, 0}}};
    const bool around = length < 3 && (bits >> 126) == 0;
    const SlotRange all_global{kPart, kPart};
    return {{{slot(bits), std::size_t{1} << (16 - length)}, around ? all_global : SlotRange{0, 0}}};
  }
};

}  // namespace wg::lpm
