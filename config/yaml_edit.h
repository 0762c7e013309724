// Changes single values in a YAML text and leaves every other byte as it was, comments included.
//
// Works on what people write: block maps and block or flow lists whose values stand on one line, or
// flow values in matching brackets. Anything else (multi-line scalars, anchors at the place) throws
// EditUnsupported, and the caller falls back to rewriting a larger part.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "config/yaml_tree.h"

namespace wg::config {

struct EditUnsupported : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Edits are collected against the original text and applied together.
class YamlEdit {
 public:
  // `text` must be a document that YamlTree reads without problems; throws EditUnsupported otherwise.
  explicit YamlEdit(std::string text);
  ~YamlEdit();
  YamlEdit(const YamlEdit&) = delete;
  YamlEdit& operator=(const YamlEdit&) = delete;

  [[nodiscard]] const YamlTree& tree() const { return tree_; }
  struct Pair {
    const Node* key = nullptr;
    const Node* value = nullptr;
    explicit operator bool() const { return key != nullptr; }
  };
  // Empty when `map` is no map or has no such key.
  [[nodiscard]] Pair find(const Node& map, std::string_view key) const;

  // Replaces the value of `key`, or adds a line for it after `after` (a key that exists).
  void set(const Node& map, std::string_view key, const std::string& value, std::string_view after);
  // The same for a list: a block list keeps the lines, and their comments, of the items that stay.
  void set_list(const Node& map, std::string_view key, const std::vector<std::string>& items,
                std::string_view after);
  void remove(const Node& map, std::string_view key);

  void replace(const Node& node, const std::string& text);
  void remove_item(const Node& list, const Node& item);
  // `lines` (complete, indented for dash column `column`) after the last item of a block list.
  void append_lines(const Node& list, const std::string& lines);
  // One more element before the closing bracket of a flow list.
  void append_flow(const Node& list, const std::string& item);
  // Complete lines after the last line of `node`.
  void append_after(const Node& node, const std::string& lines);
  // `lines` as the block list of a key whose value is absent or an empty flow list. A comment on the line of
  // the key stays.
  void fill_list(const Pair& entry, const std::string& lines);
  // The lines of a whole entry of a block map.
  void replace_entry(const Pair& entry, const std::string& lines);

  // Column (from 0) of a block list's dashes.
  [[nodiscard]] std::size_t dash_column(const Node& list) const;

  [[nodiscard]] bool changed() const { return !edits_.empty(); }
  // New lines end as the first line of the text does.
  [[nodiscard]] std::string apply() const;

 private:
  struct Edit {
    std::size_t offset;
    std::size_t length;
    std::string text;
  };

  [[nodiscard]] std::size_t begin_of(const Node& node) const;
  [[nodiscard]] std::size_t end_of(const Node& node) const;
  [[nodiscard]] std::size_t after_properties(std::size_t offset) const;
  [[nodiscard]] std::size_t end_of_flow(std::size_t offset) const;
  [[nodiscard]] std::size_t end_of_scalar(const Node& node) const;
  [[nodiscard]] std::size_t end_of_quoted(std::size_t offset) const;
  [[nodiscard]] std::size_t line_begin(std::size_t offset) const;
  [[nodiscard]] std::size_t after_line(std::size_t offset) const;
  [[nodiscard]] std::size_t dash_of(const Node& item) const;
  [[nodiscard]] std::vector<const Node*> children(const Node& node) const;
  void insert_after_line(std::size_t offset, const std::string& lines);
  [[nodiscard]] std::size_t end_of_pair(const Pair& pair) const;

  std::string text_;
  YamlTree tree_;
  std::vector<std::size_t> lines_;  // offset of each line
  std::vector<Edit> edits_;
};

}  // namespace wg::config
