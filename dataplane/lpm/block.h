// The writer's side of blocks (node.h): building them and reading them back.
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

  // Shorter prefixes sort first, so a prefix precedes every prefix that it covers.
  friend bool operator<(const Prefix& a, const Prefix& b) noexcept {
    return a.bits != b.bits ? a.bits < b.bits : a.length < b.length;
  }
};

template <typename Bits>
using Prefixes = std::span<const Prefix<Bits>>;

// The number of leading bits that all prefixes share and within which none ends. A node for the prefixes may
// be placed at this position.
template <typename Bits>
unsigned common_length(Prefixes<Bits> sorted) noexcept;

// Writes the lines of a block for 1..kOnlyBlockPrefixes sorted prefixes, which have at least `floor` bits and
// agree in the first `floor` bits. The lines are valid until the next call.
template <typename Bits>
class BlockBuilder {
 public:
  struct Block {
    std::span<const Line> lines;
    Word tags;  // tags of the word that points to the block
  };
  // `roomy` prefers more lines over arrays below, for tables whose lines all stay in the cache.
  [[nodiscard]] Block build(Prefixes<Bits> sorted, unsigned floor, Value fallback, bool roomy);

 private:
  // One unit that a line or an array distinguishes: a prefix, or several prefixes in an array below that
  // covers their common address bits. All of them are longer than the position of the line or array.
  struct Part {
    Prefixes<Bits> prefixes;
    Value cover;      // the value where none of the prefixes matches; set by sweep()
    unsigned length;  // number of address bits that it covers
    bool below;
    bool expandable;
  };
  using Parts = std::vector<Part>;
  struct Range {
    std::uint64_t start;
    Value entry;  // a child entry refers to parts[its other bits]
  };
  struct Open {  // a range around the current point of a sweep
    std::uint64_t end;
    Value entry;
  };
  struct Division {
    Parts parts;
    std::vector<Range> ranges;
  };
  struct Area {  // the points of one line or of a whole array
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
  // Members, so that their memory is reused. The division of a line outlives those of the arrays below it.
  std::vector<Open> open_;
  Division whole_;          // division of a whole array
  bool overflows_ = false;  // some of its lines have more ranges than fit
  std::deque<Division> divisions_;
  std::size_t depth_ = 0;
};

// Appends the prefixes of a block in order.
template <typename Bits>
void append_prefixes(const Header<Bits>* block, std::vector<Prefix<Bits>>& out);

// The value of one prefix of a block.
template <typename Bits>
std::optional<Value> value_in(const Header<Bits>* block, Bits bits, unsigned length);

// Replaces the fallback in all entries that hold it, while readers may read them.
template <typename Bits>
void set_fallback(Header<Bits>* block, Value fallback) noexcept;

template <typename Bits>
std::size_t block_bytes(const Header<Bits>* block) noexcept;

}  // namespace wg::lpm
