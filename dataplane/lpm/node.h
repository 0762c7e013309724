// The memory layout that writer and readers share. Everything below a root slot is immutable once published,
// except the fallback of the node to which the slot points.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "dataplane/lpm/lpm.h"

// The readers' code is compiled once per instruction set. The files must not share any compiled function.
#define LPM_INLINE [[gnu::always_inline]] inline

namespace wg::lpm {

// No value here: the value of the nodes above applies. It is never a user's value (kMaxValue is below it).
inline constexpr Value kInherit = 0x7fffffff;

template <typename Bits>
inline constexpr unsigned kWidth = sizeof(Bits) * 8;

// Converts 16 bytes in network order.
LPM_INLINE Uint128 bits_of(const std::uint8_t* address) noexcept {
  std::uint64_t high;
  std::uint64_t low;
  std::memcpy(&high, address, sizeof high);
  std::memcpy(&low, address + 8, sizeof low);
  return Uint128{__builtin_bswap64(high)} << 64 | __builtin_bswap64(low);
}

// The 8 bits from `position`.
template <typename Bits>
LPM_INLINE unsigned byte_at(Bits address, unsigned position) noexcept {
  return static_cast<unsigned>(static_cast<Bits>(address << position) >> (kWidth<Bits> - 8));
}

// True when the first `length` bits agree; length < width.
template <typename Bits>
LPM_INLINE bool same_start(Bits a, Bits b, unsigned length) noexcept {
  return static_cast<Bits>((a ^ b) >> 1) >> (kWidth<Bits> - 1 - length) == 0;
}

template <typename Bits>
LPM_INLINE Bits mask_of(unsigned length) noexcept {
  return length == 0 ? Bits{0} : static_cast<Bits>(~Bits{0} << (kWidth<Bits> - length));
}

// ---- The content of a slot of the root or of a branch.
// Odd: a leaf with its value in the upper half. Otherwise a pointer, aligned to a line, with tags: kBranchTag
// for a branch, none for a block. Without kPathTag the node is at the position of the slot, with kPathTag it
// is deeper. For blocks the word also holds the number of bits that choose the line.
using Word = std::uint64_t;
inline constexpr Word kLeafTag = 1;
inline constexpr Word kBranchTag = 2;
inline constexpr Word kPathTag = 4;
inline constexpr Word kTags = kLeafTag | kBranchTag | kPathTag;
inline constexpr unsigned kLineBitsShift = 3;
inline constexpr unsigned kMaxLineBits = 7;
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
LPM_INLINE unsigned line_bits(Word word) noexcept {
  return word >> kLineBitsShift & kMaxLineBits;
}

// ---- Block: some prefixes in one allocation: a header, an array of lines, the arrays below it, and at the
// end, as "cold" data for the writer, the sorted prefixes themselves.
//
// An array of 2^n lines belongs to a position in the address. The point of an address is its 32 bits from
// there; the first n of them choose the line. A line divides its points into at most kRanges ranges, whose
// last points are in `lasts`: the range of a point is the number of lasts below it. Unused lasts are all
// ones, so no point is above them. The entry of a range is a value, or kChildEntry and an array below (Below)
// for addresses that agree in more bits than the line distinguishes.
//
// The fallback of a block is the value that applies outside its prefixes, and the only part of a block that
// may change. The entries of ranges without a prefix of the block hold it, so that a key needs one load for
// its answer; a line marks them in `inherits`. A block without a fallback has kInherit (the branch above
// decides).
using Point = std::uint32_t;
inline constexpr unsigned kWindow = 32;
inline constexpr unsigned kRanges = 8;
inline constexpr Value kChildEntry = 0x80000000;

struct alignas(kLine) Line {  // the memory of a line
  unsigned char bytes[kLine];
};
struct alignas(kLine) Ranges {  // the content of a line
  Point lasts[kRanges - 1];
  Value inherits;  // one bit for each entry that holds the block's fallback
  Value entries[kRanges];
};
static_assert(sizeof(Line) == kLine && sizeof(Ranges) == kLine);
inline constexpr std::size_t kInheritsAt = offsetof(Ranges, inherits);
inline constexpr std::size_t kFallbackAt = kInheritsAt;

// A child entry. With a path, one more line precedes the array (Path).
struct Below {
  static constexpr unsigned kLineBitsAt = 16;
  static constexpr unsigned kDistanceAt = 19;
  static constexpr unsigned kPathAt = 26;
  static constexpr Value kMaxLine = 0xffff;
  static constexpr Value kMaxDistance = 127;
  Value entry;

  [[nodiscard, gnu::always_inline]] std::size_t line() const noexcept { return entry & kMaxLine; }
  [[nodiscard, gnu::always_inline]] unsigned line_bits() const noexcept {
    return entry >> kLineBitsAt & kMaxLineBits;
  }
  // Its position relative to the array above.
  [[nodiscard, gnu::always_inline]] unsigned distance() const noexcept {
    return entry >> kDistanceAt & kMaxDistance;
  }
  [[nodiscard, gnu::always_inline]] bool has_path() const noexcept { return (entry >> kPathAt & 1) != 0; }
  static Value to(std::size_t line, unsigned line_bits, unsigned distance, bool path) noexcept {
    return kChildEntry | static_cast<Value>(line) | line_bits << kLineBitsAt | distance << kDistanceAt |
           Value{path} << kPathAt;
  }
};

// The leading bits of the addresses that an array below covers. For other addresses `cover` applies.
template <typename Bits>
struct alignas(kLine) Path {
  Bits path;
  unsigned char unused[kInheritsAt - sizeof(Bits)];
  Value inherits;  // 1 if the cover is the block's fallback, as for the first entry of a line
  Value cover;
};
static_assert(sizeof(Path<std::uint32_t>) == kLine && sizeof(Path<Uint128>) == kLine);
static_assert(offsetof(Path<Uint128>, cover) == offsetof(Ranges, entries));
static_assert(offsetof(Path<std::uint32_t>, cover) == offsetof(Ranges, entries));

// The first line of a block.
template <typename Bits>
struct alignas(kLine) Header {
  Bits path;               // the address bits before position
  std::uint16_t prefixes;  // number of prefixes, for the writer
  std::uint16_t lines;     // number of lines, this one included
  std::uint8_t position;   // position of the first array
  unsigned char unused[kFallbackAt - sizeof(Bits) - 5];
  Value fallback;
  static constexpr std::size_t kRoom = kLine - kFallbackAt - sizeof(Value);
  unsigned char room[kRoom];  // the prefixes if they fit; otherwise they follow the lines
};
static_assert(sizeof(Header<std::uint32_t>) == kLine && sizeof(Header<Uint128>) == kLine);

template <typename Bits>
inline constexpr std::size_t kColdPrefix = sizeof(Bits) + sizeof(Value) + 1;

// A block costs the writer a copy, a branch costs the reader a step. A table with a single slot has no
// branches.
template <typename Bits>
inline constexpr std::size_t kBlockPrefixes = sizeof(Bits) == 4 ? 512 : 256;
inline constexpr std::size_t kOnlyBlockPrefixes = 1024;

// The bits [position, position + kWindow) of an address; zero beyond its end. position < width.
template <typename Bits>
LPM_INLINE Point window(Bits address, unsigned position) noexcept {
  return static_cast<Point>(static_cast<Bits>(address << position) >> (kWidth<Bits> - kWindow));
}

template <>
LPM_INLINE Point window(Uint128 address, unsigned position) noexcept {
  const auto high = static_cast<std::uint64_t>(address >> 64);
  const auto low = static_cast<std::uint64_t>(address);
  if (position >= 64) return static_cast<Point>(low << (position - 64) >> kWindow);
  return static_cast<Point>((high << position | low >> 1 >> (63 - position)) >> kWindow);
}

// The line, among 2^bits, of a point.
LPM_INLINE std::size_t line_of(Point point, unsigned bits) noexcept {
  return static_cast<std::size_t>(std::uint64_t{point} >> (kWindow - bits));
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
  Bits path;
  std::uint32_t prefixes;  // number of prefixes in the whole subtree
  std::uint16_t locals;    // number of locals after the slots, for the writer
  std::uint8_t position;
  unsigned char unused[kFallbackAt - sizeof(Bits) - 7];
  Value fallback;
  Word slots[256];

  [[nodiscard]] std::size_t bytes() const noexcept { return sizeof(Branch) + locals * sizeof(Local<Bits>); }
  [[nodiscard]] Local<Bits>* local() noexcept { return reinterpret_cast<Local<Bits>*>(this + 1); }
  [[nodiscard]] const Local<Bits>* local() const noexcept {
    return reinterpret_cast<const Local<Bits>*>(this + 1);
  }
};

static_assert(offsetof(Branch<std::uint32_t>, fallback) == kFallbackAt);
static_assert(offsetof(Branch<Uint128>, fallback) == kFallbackAt);

// The fallback of a branch or a block.
LPM_INLINE std::atomic_ref<Value> fallback_of(const void* node) noexcept {
  const auto at = reinterpret_cast<std::uintptr_t>(node) + kFallbackAt;
  return std::atomic_ref<Value>(*reinterpret_cast<Value*>(at));
}
LPM_INLINE Value fallback_at(const void* node) noexcept {
  return fallback_of(node).load(std::memory_order_acquire);
}
// Loads an entry or a cover, which may be the fallback and change.
LPM_INLINE Value entry_at(const Value& entry) noexcept {
  return std::atomic_ref<Value>(const_cast<Value&>(entry)).load(std::memory_order_acquire);
}
template <typename Bits>
LPM_INLINE const Header<Bits>* block_of(Word word) noexcept {
  return reinterpret_cast<const Header<Bits>*>(word & ~Word{kLine - 1});
}
template <typename Bits>
LPM_INLINE const Branch<Bits>* branch_of(Word word) noexcept {
  return reinterpret_cast<const Branch<Bits>*>(word & ~Word{kLine - 1});
}

// ---- Root: one slot, or one for each value of the first bits. Readers see changes only here and in the
// fallback of the node to which a slot points.
struct Root {
  std::uint64_t grown;         // 0: a single slot; 1: all slots of RootShape
  std::atomic<Word> slots[1];  // allocated with RootShape::slots() elements when grown
};

// ---- Defaults: the values where the trie has kNoMatch. They are the shortest prefixes, which would
// otherwise be written to most lines. Immutable; one value for all addresses, or one for each value of the
// first kWideBits bits.
inline constexpr unsigned kWideBits = 7;
struct Defaults {
  std::uint64_t unused_bits;  // of the first kWideBits bits of an address: all or none
  Value values[1];            // allocated with 1 << (kWideBits - unused_bits) elements

  [[nodiscard, gnu::always_inline]] bool is_single() const noexcept { return unused_bits == kWideBits; }
};

struct SlotRange {
  std::size_t first;
  std::size_t count;
};

// Maps addresses to the slots of a grown root.
template <typename Bits>
struct RootShape;

template <>
struct RootShape<std::uint32_t> {
  static constexpr unsigned kDepth = 16;
  static constexpr std::size_t kSlots = std::size_t{1} << kDepth;
  // The number of bits that a slot decides.
  [[gnu::always_inline]] static unsigned depth(std::uint32_t) noexcept { return kDepth; }
  [[gnu::always_inline]] static std::size_t slot(std::uint32_t address) noexcept {
    return address >> (32 - kDepth);
  }
  // The 64 bits that follow, zero beyond the end of the address.
  [[gnu::always_inline]] static std::uint64_t view(std::uint32_t address) noexcept {
    return std::uint64_t{address} << (32 + kDepth);
  }
  // The slots of a prefix that is not longer than the depth of its slots. They are in two parts, of which the
  // second may be empty.
  static std::array<SlotRange, 2> under(std::uint32_t bits, unsigned length) noexcept {
    return {{{slot(bits), std::size_t{1} << (kDepth - length)}, {0, 0}}};
  }
};

// All global unicast addresses are in 2000::/3, so it has as many slots as all other addresses together.
template <>
struct RootShape<Uint128> {
  static constexpr unsigned kDepth = 13;  // 3 more in 2000::/3
  static constexpr std::size_t kPart = 1 << kDepth;
  static constexpr std::size_t kSlots = 2 * kPart;
  [[gnu::always_inline]] static unsigned is_global(Uint128 address) noexcept {
    return static_cast<std::uint64_t>(address >> 125) == 1 ? 1 : 0;
  }
  [[gnu::always_inline]] static unsigned depth(Uint128 address) noexcept {
    return kDepth + 3 * is_global(address);
  }
  [[gnu::always_inline]] static std::size_t slot(Uint128 address) noexcept {
    const auto high = static_cast<std::uint64_t>(address >> 64);
    return (high >> (64 - depth(address)) & (kPart - 1)) + kPart * is_global(address);
  }
  [[gnu::always_inline]] static std::uint64_t view(Uint128 address) noexcept {
    const unsigned bits = depth(address);
    return static_cast<std::uint64_t>(address >> 64) << bits |
           static_cast<std::uint64_t>(address) >> (64 - bits);
  }
  static std::array<SlotRange, 2> under(Uint128 bits, unsigned length) noexcept {
    if (length >= 3 && is_global(bits) != 0)
      return {{{slot(bits), std::size_t{1} << (kDepth + 3 - length)}, {0, 0}}};
    const bool around = length < 3 && (bits >> 126) == 0;
    const SlotRange all_global{kPart, kPart};
    return {{{slot(bits), std::size_t{1} << (kDepth - length)}, around ? all_global : SlotRange{0, 0}}};
  }
};

}  // namespace wg::lpm
