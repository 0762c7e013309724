// The subtrees below a root slot: blocks for up to kBlockPrefixes prefixes, branches for more.
#include <algorithm>
#include <cstring>
#include <new>

#include "dataplane/lpm/table.h"

namespace wg::lpm {
namespace {

// Up to this number of prefixes all lines stay in the cache.
constexpr std::size_t kRoomyBelow = 8192;

// A branch becomes a block again at half of the limit, so that a single prefix cannot toggle it.
template <typename Bits>
constexpr std::size_t kMergeBelow = kBlockPrefixes<Bits> / 2;

template <typename Bits>
Word branch_word(const Branch<Bits>* branch) noexcept {
  return reinterpret_cast<Word>(branch) | kBranchTag;
}

template <typename Bits>
Word branch_word(const Branch<Bits>* branch, unsigned floor) noexcept {
  return branch_word(branch) | (branch->position != floor ? kPathTag : 0);
}

// The word of a branch, for another slot.
template <typename Bits>
Word at_floor(Word word, unsigned floor) noexcept {
  return branch_word(branch_of<Bits>(word), floor);
}

// The position of a branch for prefixes with `common` common bits: as deep as possible, in steps of 8 from
// the floor so that branches do not overlap. IPv4 has at most two levels of branches below a grown root, so
// its branches stay at the floor and spare readers the comparison of the path.
template <typename Bits>
unsigned branch_position(unsigned floor, unsigned common) noexcept {
  if (sizeof(Bits) == 4) return floor;
  return floor + ((std::min(common, kWidth<Bits> - 1) - floor) & ~7U);
}

// The slots that a local prefix covers.
template <typename Bits>
std::pair<unsigned, unsigned> local_slots(const Local<Bits>& local, unsigned position) noexcept {
  return {byte_at(local.bits, position), 1U << (position + 8 - local.length)};
}

template <typename Bits>
bool same_prefix(const Local<Bits>& local, const Prefix<Bits>& prefix) noexcept {
  return local.bits == prefix.bits && local.length == prefix.length;
}

}  // namespace

// ---- Creating nodes

template <typename Bits>
Word Table<Bits>::build(Prefixes<Bits> sorted, unsigned floor, Value fallback) {
  const std::size_t most = floor == 0 ? kOnlyBlockPrefixes : kBlockPrefixes<Bits>;
  return sorted.size() > most ? make_branch(sorted, floor, fallback) : make_block(sorted, floor, fallback);
}

template <typename Bits>
Word Table<Bits>::make_block(Prefixes<Bits> sorted, unsigned floor, Value fallback) {
  const auto block = builder_.build(sorted, floor, fallback, size_ < kRoomyBelow);
  void* memory = memory_.allocate(block.lines.size_bytes());
  std::memcpy(memory, block.lines.data(), block.lines.size_bytes());
  return reinterpret_cast<Word>(memory) | block.tags;
}

template <typename Bits>
Branch<Bits>* Table<Bits>::new_branch(std::size_t locals) {
  auto* branch = new (memory_.allocate(sizeof(Branch<Bits>) + locals * sizeof(Local<Bits>))) Branch<Bits>;
  branch->locals = static_cast<std::uint16_t>(locals);
  return branch;
}

// Allocates space for `locals` locals and copies those that fit.
template <typename Bits>
Branch<Bits>* Table<Bits>::copy_branch(const Branch<Bits>* from, std::size_t locals) {
  Branch<Bits>* to = new_branch(locals);
  to->fallback = from->fallback;
  to->position = from->position;
  to->prefixes = from->prefixes;
  to->path = from->path;
  std::copy(std::begin(from->slots), std::end(from->slots), std::begin(to->slots));
  std::copy_n(from->local(), std::min<std::size_t>(locals, from->locals), to->local());
  return to;
}

template <typename Bits>
Word Table<Bits>::make_branch(Prefixes<Bits> sorted, unsigned floor, Value fallback) {
  const unsigned position = branch_position<Bits>(floor, common_length(sorted));
  const auto is_local = [position](const Prefix<Bits>& prefix) { return prefix.length <= position + 8; };
  const auto locals = static_cast<std::size_t>(std::count_if(sorted.begin(), sorted.end(), is_local));
  Branch<Bits>* branch = new_branch(locals);
  branch->fallback = fallback;
  branch->position = static_cast<std::uint8_t>(position);
  branch->prefixes = static_cast<std::uint32_t>(sorted.size());
  branch->path = sorted.front().bits & mask_of<Bits>(position);
  std::fill(std::begin(branch->slots), std::end(branch->slots), leaf_word(kInherit));
  Local<Bits>* local = branch->local();
  for (std::size_t i = 0; i < sorted.size();) {
    const Prefix<Bits>& prefix = sorted[i];
    const unsigned slot = byte_at(prefix.bits, position);
    if (is_local(prefix)) {
      *local = {prefix.bits, prefix.value, prefix.length};
      std::fill_n(branch->slots + slot, local_slots(*local++, position).second, leaf_word(prefix.value));
      ++i;
      continue;
    }
    std::size_t end = i + 1;
    while (end < sorted.size() && byte_at(sorted[end].bits, position) == slot) ++end;
    branch->slots[slot] = build(sorted.subspan(i, end - i), position + 8, leaf_value(branch->slots[slot]));
    i = end;
  }
  return branch_word(branch, floor);
}

// Returns the same node with another fallback. Nodes below a branch are copied: only the fallback of a root
// slot's node may change in place, because a reader must not combine two fallbacks that changed at different
// moments.
template <typename Bits>
Word Table<Bits>::with_fallback(Word word, Value fallback) {
  if (is_leaf(word)) return leaf_word(fallback);
  if (is_branch(word)) {
    const auto* from = branch_of<Bits>(word);
    if (from->fallback == fallback) return word;
    Branch<Bits>* to = copy_branch(from, from->locals);
    to->fallback = fallback;
    memory_.discard(from, from->bytes());
    return branch_word(to) | (word & kPathTag);
  }
  const auto* from = block_of<Bits>(word);
  if (from->fallback == fallback) return word;
  const std::size_t bytes = block_bytes<Bits>(from);
  void* to = memory_.allocate(bytes);
  std::memcpy(to, from, bytes);
  set_fallback(static_cast<Header<Bits>*>(to), fallback);
  memory_.discard(from, bytes);
  return reinterpret_cast<Word>(to) | (word & (kLine - 1));
}

// Updates the slots [first, first + count) from the locals.
template <typename Bits>
void Table<Bits>::cover_branch_slots(Branch<Bits>* branch, unsigned first, unsigned count) {
  struct Cover {
    Value value = kInherit;
    int length = -1;
  };
  Cover covers[256];
  for (unsigned i = 0; i < branch->locals; ++i) {
    const Local<Bits>& local = branch->local()[i];
    const auto [start, slots] = local_slots(local, branch->position);
    for (unsigned slot = start; slot < start + slots; ++slot) {
      if (local.length > covers[slot].length) covers[slot] = {local.value, local.length};
    }
  }
  for (unsigned slot = first; slot < first + count; ++slot) {
    branch->slots[slot] = with_fallback(branch->slots[slot], covers[slot].value);
  }
}

// ---- Inserting

template <typename Bits>
Word Table<Bits>::insert_below(Word word, unsigned floor, const Prefix<Bits>& prefix) {
  if (is_leaf(word)) return build({&prefix, 1}, floor, leaf_value(word));
  if (!is_branch(word)) return insert_in_block(word, floor, prefix);
  const auto* branch = branch_of<Bits>(word);
  const bool inside =
      prefix.length >= branch->position && (prefix.bits & mask_of<Bits>(branch->position)) == branch->path;
  return inside ? insert_in_branch(word, prefix) : insert_above(word, floor, prefix);
}

template <typename Bits>
Word Table<Bits>::insert_in_block(Word word, unsigned floor, const Prefix<Bits>& prefix) {
  const auto* block = block_of<Bits>(word);
  scratch_.clear();
  append_prefixes<Bits>(block, scratch_);
  const auto at = std::lower_bound(scratch_.begin(), scratch_.end(), prefix);
  if (at != scratch_.end() && at->bits == prefix.bits && at->length == prefix.length) {
    at->value = prefix.value;
  } else {
    scratch_.insert(at, prefix);
  }
  memory_.discard(block, block_bytes<Bits>(block));
  return build(scratch_, floor, block->fallback);
}

template <typename Bits>
Word Table<Bits>::insert_in_branch(Word word, const Prefix<Bits>& prefix) {
  const auto* from = branch_of<Bits>(word);
  memory_.discard(from, from->bytes());
  if (prefix.length > from->position + 8U) {
    Branch<Bits>* to = copy_branch(from, from->locals);
    Word& slot = to->slots[byte_at(prefix.bits, to->position)];
    slot = insert_below(slot, to->position + 8U, prefix);
    to->prefixes += adding_ ? 1 : 0;
    return branch_word(to) | (word & kPathTag);
  }
  const Local<Bits> local{prefix.bits, prefix.value, prefix.length};
  Branch<Bits>* to = copy_branch(from, from->locals + (adding_ ? 1U : 0U));
  to->prefixes += adding_ ? 1 : 0;
  auto* at = adding_
                 ? to->local() + from->locals
                 : std::find_if(to->local(), to->local() + to->locals,
                                [&prefix](const Local<Bits>& other) { return same_prefix(other, prefix); });
  *at = local;
  const auto [first, count] = local_slots(local, to->position);
  cover_branch_slots(to, first, count);
  return branch_word(to) | (word & kPathTag);
}

// The prefix ends before the branch or diverges from its path, so a new branch above holds both.
template <typename Bits>
Word Table<Bits>::insert_above(Word word, unsigned floor, const Prefix<Bits>& prefix) {
  const auto* below = branch_of<Bits>(word);
  const Prefix<Bits> ends[] = {{below->path, 0, below->position}, prefix};
  const unsigned position = branch_position<Bits>(floor, common_length(Prefixes<Bits>(ends)));
  Branch<Bits>* above = new_branch(0);
  above->fallback = below->fallback;
  above->position = static_cast<std::uint8_t>(position);
  above->prefixes = below->prefixes;
  above->path = prefix.bits & mask_of<Bits>(position);
  std::fill(std::begin(above->slots), std::end(above->slots), leaf_word(kInherit));
  above->slots[byte_at(below->path, position)] = at_floor<Bits>(with_fallback(word, kInherit), position + 8);
  // insert_in_branch() copies `above` again. That happens once per branch and keeps a single way to insert.
  return insert_in_branch(branch_word(above, floor), prefix);
}

// ---- Removing an existing prefix

template <typename Bits>
Word Table<Bits>::remove_below(Word word, unsigned floor, const Prefix<Bits>& prefix) {
  if (is_branch(word)) return remove_in_branch(word, floor, prefix);
  const auto* block = block_of<Bits>(word);
  const Value fallback = block->fallback;
  scratch_.clear();
  append_prefixes<Bits>(block, scratch_);
  scratch_.erase(std::lower_bound(scratch_.begin(), scratch_.end(), prefix));
  memory_.discard(block, block_bytes<Bits>(block));
  return scratch_.empty() ? leaf_word(fallback) : make_block(scratch_, floor, fallback);
}

template <typename Bits>
Word Table<Bits>::remove_in_branch(Word word, unsigned floor, const Prefix<Bits>& prefix) {
  const auto* from = branch_of<Bits>(word);
  memory_.discard(from, from->bytes());
  const bool local = prefix.length <= from->position + 8U;
  Branch<Bits>* to = copy_branch(from, from->locals - (local ? 1U : 0U));
  --to->prefixes;
  if (local) {
    std::remove_copy_if(from->local(), from->local() + from->locals, to->local(),
                        [&prefix](const Local<Bits>& other) { return same_prefix(other, prefix); });
    const auto [first, count] = local_slots(Local<Bits>{prefix.bits, 0, prefix.length}, to->position);
    cover_branch_slots(to, first, count);
  } else {
    Word& slot = to->slots[byte_at(prefix.bits, to->position)];
    slot = remove_below(slot, to->position + 8U, prefix);
  }
  return shrink_branch(to, floor);
}

// Replaces a branch by a block when it has few prefixes left, and by its only child when it no longer decides
// anything. The latter does not apply to IPv4, where a node must be at the position of its slot
// (branch_position()).
template <typename Bits>
Word Table<Bits>::shrink_branch(Branch<Bits>* branch, unsigned floor) {
  const Value fallback = branch->fallback;
  if (branch->prefixes <= kMergeBelow<Bits>) {
    scratch_.clear();
    collect(branch_word(branch), scratch_);
    std::sort(scratch_.begin(), scratch_.end());
    discard_subtree(branch_word(branch));
    if (scratch_.empty()) return leaf_word(fallback);
    return make_block(scratch_, floor, fallback);
  }
  const auto is_child = [](Word word) { return !is_leaf(word); };
  if (sizeof(Bits) == 4 || branch->locals != 0 ||
      std::count_if(std::begin(branch->slots), std::end(branch->slots), is_child) != 1) {
    return branch_word(branch, floor);
  }
  const Word child = *std::find_if(std::begin(branch->slots), std::end(branch->slots), is_child);
  memory_.discard(branch, branch->bytes());
  if (is_branch(child)) return at_floor<Bits>(with_fallback(child, fallback), floor);
  scratch_.clear();  // a block is at the position of its slot, so it cannot move up unchanged
  collect(child, scratch_);
  discard_subtree(child);
  return make_block(scratch_, floor, fallback);
}

// ---- Whole subtrees

template <typename Bits>
void Table<Bits>::collect(Word word, std::vector<Prefix<Bits>>& out) const {
  if (is_leaf(word)) return;
  if (!is_branch(word)) return append_prefixes<Bits>(block_of<Bits>(word), out);
  const auto* branch = branch_of<Bits>(word);
  for (unsigned i = 0; i < branch->locals; ++i) {
    const Local<Bits>& local = branch->local()[i];
    out.push_back({local.bits, local.value, local.length});
  }
  for (const Word slot : branch->slots) collect(slot, out);
}

template <typename Bits>
void Table<Bits>::discard_subtree(Word word) {
  if (is_leaf(word)) return;
  if (!is_branch(word)) return memory_.discard(block_of<Bits>(word), block_bytes<Bits>(block_of<Bits>(word)));
  const auto* branch = branch_of<Bits>(word);
  for (const Word slot : branch->slots) discard_subtree(slot);
  memory_.discard(branch, branch->bytes());
}

// The functions that table.cpp calls; the compiler instantiates the rest from these.
#define LPM_INSTANTIATE(Bits)                                                   \
  template Word Table<Bits>::build(Prefixes<Bits>, unsigned, Value);            \
  template Word Table<Bits>::insert_below(Word, unsigned, const Prefix<Bits>&); \
  template Word Table<Bits>::remove_below(Word, unsigned, const Prefix<Bits>&); \
  template void Table<Bits>::collect(Word, std::vector<Prefix<Bits>>&) const;   \
  template void Table<Bits>::discard_subtree(Word);
LPM_INSTANTIATE(std::uint32_t)
LPM_INSTANTIATE(Uint128)
#undef LPM_INSTANTIATE

}  // namespace wg::lpm
