// The writer: a persistent trie below a small, directly indexed root. An update builds new nodes beside the
// old ones up to the root slot, stores that slot, and only then retires the nodes that it replaced.
#pragma once

#include <atomic>
#include <cstddef>
#include <map>
#include <optional>
#include <vector>

#include "dataplane/lpm/block.h"
#include "dataplane/lpm/update_memory.h"

namespace wg::lpm {

template <typename Bits>
class Table {
 public:
  explicit Table(Reclaimer& reclaimer);
  ~Table();
  Table(const Table&) = delete;
  Table& operator=(const Table&) = delete;

  Expected<Inserted> insert(Bits bits, unsigned length, Value value);
  bool remove(Bits bits, unsigned length);
  [[nodiscard]] std::optional<Value> find_exact(Bits bits, unsigned length) const;
  // All prefixes, sorted.
  [[nodiscard]] std::vector<Prefix<Bits>> prefixes() const;
  // Appends those of a part of the table, unsorted. Part 0 is the first; returns the next one.
  std::optional<std::size_t> append_part(std::size_t part, std::vector<Prefix<Bits>>& out) const;
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] std::size_t memory_bytes() const noexcept;

  // The root, from which readers start.
  [[nodiscard]] const Root* root() const noexcept { return root_.load(std::memory_order_acquire); }
  // The defaults for keys without another match. Each change creates a new object, so a reader that finds the
  // same one before and after its walk knows that trie and defaults applied together.
  [[nodiscard]] const Defaults* defaults() const noexcept {
    return defaults_.load(std::memory_order_acquire);
  }

 private:
  using ShortPrefixes = std::map<std::uint32_t, Value>;  // first 24 bits << 8 | length

  [[nodiscard]] static bool is_wide(const Root& root, unsigned length) noexcept;
  bool insert_wide(Bits bits, unsigned length, Value value);
  void remove_wide(Bits bits, unsigned length);
  void change_wide(ShortPrefixes wide);
  const Defaults* new_defaults(const ShortPrefixes& wide);
  void publish_defaults(const Defaults* defaults);
  void discard_defaults();
  bool insert_short(Bits bits, unsigned length, Value value);
  bool remove_short(Bits bits, unsigned length);
  void cover_slots(Bits bits, unsigned length, unsigned new_length, Value value);
  void resize_root(bool grown);
  void fill_root(Root& root, Prefixes<Bits> sorted, ShortPrefixes& wide, ShortPrefixes& short_prefixes,
                 std::vector<std::uint8_t>& cover);
  void discard_root(Root* root);

  // Each function returns the word that replaces `word`. `floor` is the number of bits decided above it.
  Word insert_below(Word word, unsigned floor, const Prefix<Bits>& prefix);
  Word insert_in_block(Word word, unsigned floor, const Prefix<Bits>& prefix);
  Word insert_in_branch(Word word, const Prefix<Bits>& prefix);
  Word insert_above(Word word, unsigned floor, const Prefix<Bits>& prefix);
  Word remove_below(Word word, unsigned floor, const Prefix<Bits>& prefix);
  Word remove_in_branch(Word word, unsigned floor, const Prefix<Bits>& prefix);
  Word shrink_branch(Branch<Bits>* branch, unsigned floor);

  Word build(Prefixes<Bits> sorted, unsigned floor, Value fallback);
  Word make_block(Prefixes<Bits> sorted, unsigned floor, Value fallback);
  Word make_branch(Prefixes<Bits> sorted, unsigned floor, Value fallback);
  Branch<Bits>* new_branch(std::size_t locals);
  Branch<Bits>* copy_branch(const Branch<Bits>* from, std::size_t locals);
  void cover_branch_slots(Branch<Bits>* branch, unsigned first, unsigned count);
  Word with_fallback(Word word, Value fallback);
  void collect(Word word, std::vector<Prefix<Bits>>& out) const;
  void append_of_root(std::vector<Prefix<Bits>>& out) const;
  void discard_subtree(Word word);

  Root* new_root(bool grown);
  void publish(std::atomic<Word>& slot, Word word);

  std::atomic<Root*> root_{nullptr};
  std::atomic<const Defaults*> defaults_{nullptr};
  ShortPrefixes wide_;               // prefixes in the defaults
  ShortPrefixes short_;              // prefixes that end in the root
  std::vector<std::uint8_t> cover_;  // per root slot: length of its fallback prefix in short_
  std::size_t size_ = 0;
  bool adding_ = false;  // the current insert adds a new prefix
  BlockBuilder<Bits> builder_;
  std::vector<Prefix<Bits>> scratch_;
  UpdateMemory memory_;
};

}  // namespace wg::lpm
