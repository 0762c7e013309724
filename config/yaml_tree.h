// A YAML document as a light tree with positions, built from yaml-cpp's events, or by a reader of our own
// (yaml_quick.cpp) where the text is plain enough: a file of 100 000 peers takes yaml-cpp seconds.
//
// yaml-cpp's own Node tree costs several times the parse itself and loses nothing we need: here every
// node is 40 bytes in one vector, scalars lie in an arena that is wiped at the end (the text may hold
// secrets). Children of a map alternate key, value. Aliases are resolved by target(); what they expand
// to is bounded, so that a few lines of nested aliases cannot cost memory or time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "config/problem.h"

namespace wg::config {

enum class NodeKind : std::uint8_t { kNull, kScalar, kSequence, kMap, kAlias };

struct Node {
  static constexpr std::uint32_t kNone = 0xffffffff;

  NodeKind kind = NodeKind::kNull;
  bool flow = false;            // written with braces or brackets
  bool plain = false;           // a scalar without quotes
  std::uint32_t line = 0;       // from 1
  std::uint32_t column = 0;     // from 1, in bytes
  std::uint32_t first = kNone;  // first child; for an alias, the node it stands for
  std::uint32_t next = kNone;   // next sibling
  std::uint32_t children = 0;   // number of child nodes (twice the entries of a map)
  std::string_view text;        // of a scalar, in the tree's arena
};

// UTF-8 without control characters other than tab and line ends: what a YAML text may hold.
[[nodiscard]] bool is_yaml_text(std::string_view text);

class YamlTree {
 public:
  // At most this many nodes after all aliases are written out.
  static constexpr std::uint64_t kMaxExpandedNodes = 8'000'000;

  // Reads one document. Problems carry positions but no file (Position::file = `file`,
  // Problem::file = `filename`). With any problem the tree is empty.
  [[nodiscard]] static YamlTree read(std::string_view text, std::uint32_t file, const std::string& filename,
                                     Problems& problems);

  // The two readers of read(). Quickly: an empty tree for a text that is not plain. By yaml-cpp: every text.
  [[nodiscard]] static YamlTree read_quickly(std::string_view text);
  [[nodiscard]] static YamlTree read_by_library(std::string_view text, std::uint32_t file,
                                                const std::string& filename, Problems& problems);

  YamlTree() = default;
  YamlTree(YamlTree&&) noexcept = default;
  YamlTree& operator=(YamlTree&&) noexcept = default;
  ~YamlTree();

  [[nodiscard]] bool empty() const { return nodes_.empty(); }
  [[nodiscard]] const Node& root() const { return nodes_.front(); }
  [[nodiscard]] const Node& at(std::uint32_t index) const { return nodes_[index]; }
  // The node itself, or what the alias stands for.
  [[nodiscard]] const Node& target(const Node& node) const;
  // nullptr after the last one.
  [[nodiscard]] const Node* first_child(const Node& node) const;
  [[nodiscard]] const Node* next_sibling(const Node& node) const;

 private:
  friend class TreeBuilder;
  friend class QuickReader;
  struct Chunk {
    std::unique_ptr<char[]> bytes;
    std::size_t size = 0;
  };

  std::string_view keep(std::string_view text);

  std::vector<Node> nodes_;
  std::vector<Chunk> chunks_;
  std::size_t used_ = 0;  // of the last chunk
};

}  // namespace wg::config
