// Building and reading back blocks (node.h): the writer's side.
#pragma once

#include <cstddef>
#include <deque>
#include <optional>
#include <span>
#include <vector>

#include "dataplane/lpm/node.h"

namespace wg::lpm {

template <typename Bits>
struct Prefix {
  Bits bits;
  Value value;
  std::uint8_t length;

  // Shorter before longer, so a prefix stands before all it covers.
  friend bool operator<(const Prefix& a, const Prefix& b) noexcept {
    return a.bits != b.bits ? a.bits < b.bits : a.length < b.length;
  }
};

template <typename Bits>
using Prefixes = std::span<const Prefix<Bits>>;

// How many of the first bits all prefixes share and none ends before: where a node for them may stand.
template <typename Bits>
unsigned common_length(Prefixes<Bits> sorted) noexcept;

// Writes the lines of a block for 1..kOnlyBlockPrefixes sorted prefixes, none shorter than `floor` bits and
// all equal in these. The lines live until the next call.
template <typename Bits>
class BlockBuilder {
 public:
  struct Block {
    std::span<const Line> lines;
    Word tags;  // of the word that leads to it
  };
  // `roomy`: rather more lines than arrays below; for tables whose lines all stay in the cache.
  [[nodiscard]] Block build(Prefixes<Bits> sorted, unsigned floor, Value fallback, bool roomy);

 private:
  // What one line or one array has to tell apart, all longer than its position: a prefix, or several of them
  // in an array below that covers the address bits they have in common.
  struct Part {
    Prefixes<Bits> prefixes;
    Value cover;      // what holds where none of them does; known after a sweep
    unsigned length;  // of the address bits it covers
    bool below;
    bool expandable;
  };
  using Parts = std::vector<Part>;
  struct Range {
    std::uint64_t start;
    Value entry;  // a child entry stands for parts[the rest of it]
  };
  struct Open {  // a range around the point that a sweep has come to
    std::uint64_t end;
    Value entry;
  };
  struct Division {
    Parts parts;
    std::vector<Range> ranges;
  };
  struct Area {  // the points of one line, or of a whole array
    unsigned position;
    std::uint64_t first;
    std::uint64_t end;
    Value cover;
  };
  struct Array {
    std::size_t line;
    unsigned line_bits;
  };

  Array add_array(Prefixes<Bits> sorted, unsigned position, Value cover);
  unsigned choose_line_bits();
  std::size_t add_lines(unsigned bits);
  void fill_line(std::size_t line, Prefixes<Bits> sorted, const Area& area);
  Value add_below(const Part& part, unsigned position);

  static void split(Prefixes<Bits> sorted, unsigned position, Parts& parts);
  static void flat(Prefixes<Bits> sorted, unsigned position, Parts& parts);
  void fitting(Prefixes<Bits> sorted, const Area& area, Division& division);
  void sweep(Parts& parts, const Area& area, std::vector<Range>& ranges);
  void add_cold(Prefixes<Bits> sorted);

  std::vector<Line> lines_;
  bool roomy_ = false;
  // Kept for their memory; a line's division outlives those of the arrays below it.
  std::vector<Open> open_;
  Division whole_;          // of a whole array
  bool overflows_ = false;  // some of its lines have more ranges than room
  std::deque<Division> divisions_;
  std::size_t depth_ = 0;
};

// The prefixes of a block, appended in order.
template <typename Bits>
void append_prefixes(const Header<Bits>* block, std::vector<Prefix<Bits>>& out);

// The value of one of them.
template <typename Bits>
std::optional<Value> value_in(const Header<Bits>* block, Bits bits, unsigned length);

// In all entries that hold it, while readers may be there.
template <typename Bits>
void set_fallback(Header<Bits>* block, Value fallback) noexcept;

template <typename Bits>
std::size_t block_bytes(const Header<Bits>* block) noexcept;

}  // namespace wg::lpm
