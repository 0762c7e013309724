#include "dataplane/lpm/table.h"

#include <algorithm>
#include <cerrno>
#include <new>
#include <string>

namespace wg::lpm {
namespace {

// A grown root pays off from a few hundred prefixes on. The two limits are far apart, so that it does not
// toggle.
constexpr std::size_t kGrowAbove = 512;
constexpr std::size_t kShrinkBelow = 128;
constexpr std::size_t kPartPrefixes = 1024;  // or all of a slot

template <typename Bits>
std::uint32_t short_key(Bits bits, unsigned length) noexcept {
  return static_cast<std::uint32_t>(bits >> (kWidth<Bits> - 24)) << 8 | length;
}

template <typename Bits>
Bits short_bits(std::uint32_t key) noexcept {
  return static_cast<Bits>(key >> 8) << (kWidth<Bits> - 24);
}

std::size_t defaults_bytes(std::size_t values) noexcept {
  return sizeof(Defaults) + (values - 1) * sizeof(Value);
}

template <typename Bits>
std::size_t slots_of(const Root& root) noexcept {
  return root.grown != 0 ? RootShape<Bits>::kSlots : 1;
}

template <typename Bits>
std::size_t slot_of(const Root& root, Bits bits) noexcept {
  return root.grown != 0 ? RootShape<Bits>::slot(bits) : 0;
}

// The number of bits that the root decides for this address. Prefixes up to this length end in the root.
template <typename Bits>
unsigned depth_of(const Root& root, Bits bits) noexcept {
  return root.grown != 0 ? RootShape<Bits>::depth(bits) : 0;
}

}  // namespace

template <typename Bits>
Table<Bits>::Table(Reclaimer& reclaimer) : memory_(reclaimer) {
  try {
    root_.store(new_root(false), std::memory_order_release);
    defaults_.store(new_defaults(wide_), std::memory_order_release);
  } catch (const std::bad_alloc&) {
    memory_.abandon();
    throw;
  }
  memory_.commit();
}

template <typename Bits>
Table<Bits>::~Table() {
  try {
    discard_root(root_.load(std::memory_order_relaxed));
    discard_defaults();
    memory_.commit();
  } catch (const std::bad_alloc&) {
    // The nodes leak: that is better than freeing them under a reader.
  }
}

template <typename Bits>
std::size_t Table<Bits>::memory_bytes() const noexcept {
  constexpr std::size_t kMapNode = 64;
  return sizeof *this + memory_.bytes() + (wide_.size() + short_.size()) * kMapNode + cover_.size();
}

template <typename Bits>
Root* Table<Bits>::new_root(bool grown) {
  const std::size_t slots = grown ? RootShape<Bits>::kSlots : 1;
  auto* root = static_cast<Root*>(memory_.allocate(sizeof(Root) + sizeof(Word) * (slots - 1)));
  root->grown = grown ? 1 : 0;
  for (std::size_t slot = 0; slot < slots; ++slot)
    new (&root->slots[slot]) std::atomic<Word>(leaf_word(kNoMatch));
  return root;
}

template <typename Bits>
void Table<Bits>::publish(std::atomic<Word>& slot, Word word) {
  slot.store(word, std::memory_order_release);
  memory_.commit();
}

// ---- Prefixes that end in the root

template <typename Bits>
bool Table<Bits>::is_wide(const Root& root, unsigned length) noexcept {
  return length == 0 || (root.grown != 0 && length <= kWideBits);
}

// A shorter prefix precedes all prefixes that it covers.
template <typename Bits>
const Defaults* Table<Bits>::new_defaults(const ShortPrefixes& wide) {
  const bool single = wide.empty() || (wide.rbegin()->first & 0xff) == 0;
  const std::size_t count = single ? 1 : std::size_t{1} << kWideBits;
  auto* defaults = static_cast<Defaults*>(memory_.allocate(defaults_bytes(count)));
  defaults->unused_bits = single ? kWideBits : 0;
  std::fill_n(defaults->values, count, kNoMatch);
  for (const auto& [key, value] : wide) {
    const std::size_t first = key >> (32 - kWideBits) >> defaults->unused_bits;
    std::fill_n(defaults->values + first, count >> (key & 0xff), value);
  }
  return defaults;
}

template <typename Bits>
void Table<Bits>::discard_defaults() {
  const Defaults* defaults = defaults_.load(std::memory_order_relaxed);
  memory_.discard(defaults, defaults_bytes(std::size_t{1} << (kWideBits - defaults->unused_bits)));
}

template <typename Bits>
void Table<Bits>::publish_defaults(const Defaults* defaults) {
  discard_defaults();
  defaults_.store(defaults, std::memory_order_release);
}

template <typename Bits>
void Table<Bits>::change_wide(ShortPrefixes wide) {
  try {
    publish_defaults(new_defaults(wide));
  } catch (const std::bad_alloc&) {
    memory_.abandon();
    throw;
  }
  wide_.swap(wide);
  memory_.commit();
}

template <typename Bits>
bool Table<Bits>::insert_wide(Bits bits, unsigned length, Value value) {
  ShortPrefixes wide = wide_;
  const bool added = wide.insert_or_assign(short_key(bits, length), value).second;
  change_wide(std::move(wide));
  return added;
}

template <typename Bits>
void Table<Bits>::remove_wide(Bits bits, unsigned length) {
  ShortPrefixes wide = wide_;
  wide.erase(short_key(bits, length));
  change_wide(std::move(wide));
}

// Makes `value` the fallback of the prefix's slots that fall back to it or to a shorter prefix.
template <typename Bits>
void Table<Bits>::cover_slots(Bits bits, unsigned length, unsigned new_length, Value value) {
  Root* root = root_.load(std::memory_order_relaxed);
  for (const SlotRange& range : RootShape<Bits>::under(bits, length)) {
    for (std::size_t slot = range.first; slot < range.first + range.count; ++slot) {
      if (cover_[slot] > length) continue;
      cover_[slot] = static_cast<std::uint8_t>(new_length);
      const Word word = root->slots[slot].load(std::memory_order_relaxed);
      if (is_leaf(word)) {
        root->slots[slot].store(leaf_word(value), std::memory_order_release);
      } else if (is_branch(word)) {
        fallback_of(branch_of<Bits>(word)).store(value, std::memory_order_release);
      } else {
        set_fallback(const_cast<Header<Bits>*>(block_of<Bits>(word)), value);
      }
    }
  }
}

template <typename Bits>
bool Table<Bits>::insert_short(Bits bits, unsigned length, Value value) {
  const bool added = short_.insert_or_assign(short_key(bits, length), value).second;
  cover_slots(bits, length, length, value);
  return added;
}

template <typename Bits>
bool Table<Bits>::remove_short(Bits bits, unsigned length) {
  if (short_.erase(short_key(bits, length)) == 0) return false;
  unsigned shorter = length - 1;
  Value value = kNoMatch;
  for (; shorter > kWideBits; --shorter) {
    const auto found = short_.find(short_key(static_cast<Bits>(bits & mask_of<Bits>(shorter)), shorter));
    if (found != short_.end()) {
      value = found->second;
      break;
    }
  }
  cover_slots(bits, length, shorter > kWideBits ? shorter : 0, value);
  return true;
}

// ---- The public operations

template <typename Bits>
Expected<Inserted> Table<Bits>::insert(Bits bits, unsigned length, Value value) {
  if (length > kWidth<Bits>)
    return Refusal{EINVAL, "prefix length " + std::to_string(length) + " is too large"};
  if (value > kMaxValue) return Refusal{EINVAL, "value " + std::to_string(value) + " is too large"};
  bits &= mask_of<Bits>(length);
  Root* root = root_.load(std::memory_order_relaxed);
  bool added = false;
  if (is_wide(*root, length)) {
    added = insert_wide(bits, length, value);
  } else if (length <= depth_of(*root, bits)) {
    added = insert_short(bits, length, value);
  } else {
    added = adding_ = !find_exact(bits, length);
    auto& slot = root->slots[slot_of(*root, bits)];
    try {
      const Word old = slot.load(std::memory_order_relaxed);
      const Word word =
          insert_below(old, depth_of(*root, bits), {bits, value, static_cast<std::uint8_t>(length)});
      publish(slot, word);
    } catch (const std::bad_alloc&) {
      memory_.abandon();
      throw;
    }
  }
  size_ += added ? 1 : 0;
  if (size_ > kGrowAbove && root->grown == 0) resize_root(true);
  return added ? Inserted::kAdded : Inserted::kReplaced;
}

template <typename Bits>
bool Table<Bits>::remove(Bits bits, unsigned length) {
  if (length > kWidth<Bits>) return false;
  bits &= mask_of<Bits>(length);
  Root* root = root_.load(std::memory_order_relaxed);
  if (!find_exact(bits, length)) return false;
  if (is_wide(*root, length)) {
    remove_wide(bits, length);
  } else if (length <= depth_of(*root, bits)) {
    remove_short(bits, length);
  } else {
    auto& slot = root->slots[slot_of(*root, bits)];
    try {
      const Word old = slot.load(std::memory_order_relaxed);
      const Word word =
          remove_below(old, depth_of(*root, bits), {bits, 0, static_cast<std::uint8_t>(length)});
      publish(slot, word);
    } catch (const std::bad_alloc&) {
      memory_.abandon();
      throw;
    }
  }
  --size_;
  if (size_ < kShrinkBelow && root->grown != 0) resize_root(false);
  return true;
}

template <typename Bits>
std::optional<Value> Table<Bits>::find_exact(Bits bits, unsigned length) const {
  if (length > kWidth<Bits>) return std::nullopt;
  bits &= mask_of<Bits>(length);
  const Root* root = root_.load(std::memory_order_relaxed);
  if (is_wide(*root, length) || length <= depth_of(*root, bits)) {
    const ShortPrefixes& among = is_wide(*root, length) ? wide_ : short_;
    const auto found = among.find(short_key(bits, length));
    return found == among.end() ? std::nullopt : std::optional(found->second);
  }
  Word word = root->slots[slot_of(*root, bits)].load(std::memory_order_relaxed);
  while (!is_leaf(word) && is_branch(word)) {
    const auto* branch = branch_of<Bits>(word);
    if (length <= branch->position + 8U) {
      for (unsigned i = 0; i < branch->locals; ++i) {
        const auto& local = branch->local()[i];
        if (local.bits == bits && local.length == length) return local.value;
      }
      return std::nullopt;
    }
    word = branch->slots[byte_at(bits, branch->position)];
  }
  if (is_leaf(word)) return std::nullopt;
  return value_in<Bits>(block_of<Bits>(word), bits, length);
}

template <typename Bits>
void Table<Bits>::append_of_root(std::vector<Prefix<Bits>>& out) const {
  for (const ShortPrefixes* some : {&wide_, &short_}) {
    for (const auto& [key, value] : *some)
      out.push_back({short_bits<Bits>(key), value, static_cast<std::uint8_t>(key & 0xff)});
  }
}

// Part 0 is what the root and the defaults hold, each other begins with a slot of the root. A root that has
// not grown is one part, and so few prefixes that it does not matter how many parts were read before it
// shrank.
template <typename Bits>
std::optional<std::size_t> Table<Bits>::append_part(std::size_t part, std::vector<Prefix<Bits>>& out) const {
  const Root* root = root_.load(std::memory_order_relaxed);
  const bool grown = root->grown != 0;
  if (part == 0 || !grown) append_of_root(out);
  if (part == 0 && grown) return 1;
  std::size_t slot = grown ? part - 1 : 0;
  const std::size_t slots = slots_of<Bits>(*root);
  for (; slot < slots && out.size() < kPartPrefixes; ++slot)
    collect(root->slots[slot].load(std::memory_order_relaxed), out);
  return slot < slots ? std::optional(slot + 1) : std::nullopt;
}

template <typename Bits>
std::vector<Prefix<Bits>> Table<Bits>::prefixes() const {
  std::vector<Prefix<Bits>> all;
  append_of_root(all);
  const Root* root = root_.load(std::memory_order_relaxed);
  for (std::size_t slot = 0; slot < slots_of<Bits>(*root); ++slot) {
    collect(root->slots[slot].load(std::memory_order_relaxed), all);
  }
  std::sort(all.begin(), all.end());
  return all;
}

// Both roots, each with its defaults, hold the same prefixes, so a reader in the old root gets the same
// answers. Wide prefixes are in both places while the root changes: a key without a match in the root that
// holds them is under none of them. The new root is only an optimisation: without memory for it the table
// stays unchanged.
template <typename Bits>
void Table<Bits>::resize_root(bool grown) {
  try {
    const auto all = prefixes();
    Root* old = root_.load(std::memory_order_relaxed);
    Root* root = new_root(grown);
    ShortPrefixes wide;
    ShortPrefixes short_prefixes;
    std::vector<std::uint8_t> cover(grown ? RootShape<Bits>::kSlots : 0);
    fill_root(*root, all, wide, short_prefixes, cover);
    const Defaults* defaults = new_defaults(wide);
    discard_root(old);
    discard_defaults();
    if (grown) defaults_.store(defaults, std::memory_order_release);
    root_.store(root, std::memory_order_release);
    if (!grown) defaults_.store(defaults, std::memory_order_release);
    wide_.swap(wide);
    short_.swap(short_prefixes);
    cover_.swap(cover);
    memory_.commit();
  } catch (const std::bad_alloc&) {
    memory_.abandon();
  }
}

template <typename Bits>
void Table<Bits>::fill_root(Root& root, Prefixes<Bits> sorted, ShortPrefixes& wide,
                            ShortPrefixes& short_prefixes, std::vector<std::uint8_t>& cover) {
  for (std::size_t i = 0; i < sorted.size();) {
    const Prefix<Bits>& prefix = sorted[i];
    const std::size_t first = slot_of(root, prefix.bits);
    std::size_t end = i + 1;
    const unsigned depth = depth_of(root, prefix.bits);
    if (is_wide(root, prefix.length)) {
      wide.emplace(short_key(prefix.bits, prefix.length), prefix.value);
    } else if (prefix.length > depth) {
      while (end < sorted.size() && slot_of(root, sorted[end].bits) == first) ++end;
      const Value fallback = leaf_value(root.slots[first].load(std::memory_order_relaxed));
      root.slots[first].store(build(sorted.subspan(i, end - i), depth, fallback), std::memory_order_relaxed);
    } else {
      short_prefixes.emplace(short_key(prefix.bits, prefix.length), prefix.value);
      for (const SlotRange& range : RootShape<Bits>::under(prefix.bits, prefix.length)) {
        for (std::size_t slot = range.first; slot < range.first + range.count; ++slot) {
          cover[slot] = prefix.length;
          root.slots[slot].store(leaf_word(prefix.value), std::memory_order_relaxed);
        }
      }
    }
    i = end;
  }
}

template <typename Bits>
void Table<Bits>::discard_root(Root* root) {
  const std::size_t slots = slots_of<Bits>(*root);
  for (std::size_t slot = 0; slot < slots; ++slot) {
    discard_subtree(root->slots[slot].load(std::memory_order_relaxed));
  }
  memory_.discard(root, sizeof(Root) + sizeof(Word) * (slots - 1));
}

template class Table<std::uint32_t>;
template class Table<Uint128>;

}  // namespace wg::lpm
