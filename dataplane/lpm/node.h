// The memory layout that writer and readers share. Everything below a root slot is immutable once published,
// except the fallback of the node the slot points to.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstring>

#include "dataplane/lpm/lpm.h"

namespace wg::lpm {

// "Nothing here: what the nodes above said holds." Never a user's value (kMaxValue is below it).
inline constexpr Value kInherit = 0x7fffffff;

template <typename Bits>
inline constexpr unsigned kWidth = sizeof(Bits) * 8;

// The bits [position, position + 16) of an address; zero beyond its end. position < width.
template <typename Bits>
inline std::uint16_t window16(Bits address, unsigned position) noexcept {
  return static_cast<std::uint16_t>(static_cast<Bits>(address << position) >> (kWidth<Bits> - 16));
}

// The first `length` bits agree; length < width.
template <typename Bits>
inline bool same_start(Bits a, Bits b, unsigned length) noexcept {
  return static_cast<Bits>((a ^ b) >> 1) >> (kWidth<Bits> - 1 - length) == 0;
}

template <typename Bits>
inline Bits mask_of(unsigned length) noexcept {
  return length == 0 ? Bits{0} : static_cast<Bits>(~Bits{0} << (kWidth<Bits> - length));
}

// ---- What a slot of the root or of a branch holds.
// Odd: a leaf, its value in the upper half. Otherwise a pointer to a block (bits 00) or a branch (bits 10).
using Word = std::uint64_t;

inline Word leaf_word(Value value) noexcept {
  return Word{value} << 32 | 1;
}
inline bool is_leaf(Word word) noexcept {
  return (word & 1) != 0;
}
inline bool is_branch(Word word) noexcept {
  return (word & 2) != 0;
}
inline Value leaf_value(Word word) noexcept {
  return static_cast<Value>(word >> 32);
}

// ---- Block: up to kBlockPrefixes prefixes, as a small trie of range nodes in one allocation.
// A range node cuts the 16 bits from `position` into ranges; range r starts at starts[r - 1], range 0 at 0.
// In 32-bit units:
//   [0] fallback: the answer when the node has none   [1] first node: prefixes | cold offset << 16
//   [2] ranges | position << 16                       [3..] path: the address bits before position
//   starts: uint16 each, padded with 0xffff to a multiple of 8
//   entries: one per range, a value, kInherit, or kChildEntry | distance to a deeper range node
// Behind the nodes ("cold") the prefixes themselves, sorted, for the writer: bits, values, lengths.
using Unit = std::uint32_t;
inline constexpr Unit kChildEntry = 0x80000000;
inline constexpr unsigned kBlockPrefixes = 64;
template <typename Bits>
inline constexpr unsigned kPathUnits = sizeof(Bits) / sizeof(Unit);
template <typename Bits>
inline constexpr unsigned kNodeUnits = 3 + kPathUnits<Bits>;

inline unsigned padded_starts(unsigned ranges) noexcept {
  return (ranges - 1 + 7) & ~7U;
}

template <typename Bits>
inline Bits load_bits(const Unit* units) noexcept {
  Bits bits;
  std::memcpy(&bits, units, sizeof bits);
  return bits;
}

// ---- Branch: 256 slots for the 8 bits from `position`, a multiple of 8.
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

inline std::atomic_ref<Value> fallback_of(const Unit* block) noexcept {
  return std::atomic_ref<Value>(const_cast<Unit*>(block)[0]);
}
inline const Unit* block_of(Word word) noexcept {
  return reinterpret_cast<const Unit*>(word);
}
template <typename Bits>
inline const Branch<Bits>* branch_of(Word word) noexcept {
  return reinterpret_cast<const Branch<Bits>*>(word & ~Word{2});
}

// ---- Root: one slot, or one for each value of the first 16 bits. The only place readers see change.
struct Root {
  unsigned bits;               // 0 or 16
  std::atomic<Word> slots[1];  // 1 << bits in fact
};

}  // namespace wg::lpm
