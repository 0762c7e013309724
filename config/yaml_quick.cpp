// YamlTree::read_quickly(): the plain YAML that configurations are made of, at memory speed.
//
// Known here: block maps and sequences, flow collections, plain scalars of ordinary characters, quoted
// scalars without escapes on one line, comments. Whatever else a text holds (tabs, anchors, tags, several
// documents, scalars over several lines, nulls by name, every error) makes the whole text be declined, and
// yaml-cpp reads it: so there is one authority on what is valid and on the words of a complaint. What is
// accepted here gives the very tree that yaml-cpp gives, position by position.
#include <algorithm>
#include <array>
#include <utility>

#include "config/yaml_tree.h"

namespace wg::config {
namespace {

constexpr unsigned kMaxDepth = 32;
constexpr std::size_t kMaxKey = 128;

enum : std::uint8_t { kFirst = 1, kInside = 2 };

// Characters a plain scalar may begin with, and those it may go on with.
constexpr std::array<std::uint8_t, 256> make_classes() {
  std::array<std::uint8_t, 256> classes{};
  const auto allow = [&](std::string_view characters, std::uint8_t bits) {
    for (const char c : characters) classes[static_cast<unsigned char>(c)] |= bits;
  };
  allow("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_/.+", kFirst | kInside);
  allow("-=@%()", kInside);
  return classes;
}
constexpr auto kClasses = make_classes();

bool is(char c, std::uint8_t bits) {
  return (kClasses[static_cast<unsigned char>(c)] & bits) != 0;
}

bool is_null_word(std::string_view text) {
  return text == "null" || text == "Null" || text == "NULL";
}

// yaml-cpp ends a document at these.
bool begins_marker(std::string_view line) {
  return line.starts_with("---") || line.starts_with("...");
}

}  // namespace

class QuickReader {
 public:
  QuickReader(std::string_view text, YamlTree& tree) : text_(text), tree_(tree) {}

  bool read() {
    if (text_.find_first_of("\t\r") != std::string_view::npos) return false;
    tree_.nodes_.reserve(text_.size() / 16);
    return next_content() && block(column(), 0) != Node::kNone && !next_content() && !declined_;
  }

 private:
  using Index = std::uint32_t;

  // ---- where we are

  bool at_end() const { return at_ >= text_.size(); }
  char peek(std::size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\n';  // the end of the text ends its last line
  }
  std::size_t column() const { return at_ - line_start_; }
  void skip_spaces() {
    while (!at_end() && text_[at_] == ' ') ++at_;
  }
  void next_line() {
    at_ = text_.find('\n', at_);
    at_ = at_ == std::string_view::npos ? text_.size() : at_ + 1;
    line_start_ = at_;
    ++line_;
  }

  // To the first character of the next line that has content. Only at the start of a line.
  bool next_content() {
    while (!at_end()) {
      skip_spaces();
      if (at_end()) return false;
      if (text_[at_] != '\n' && text_[at_] != '#') {
        declined_ |= column() == 0 && begins_marker(text_.substr(at_));
        return !declined_;
      }
      next_line();
    }
    return false;
  }

  // Skips what may follow a value on its line: spaces, a comment. Goes on to the next line.
  bool end_line() {
    const bool space = peek() == ' ';
    skip_spaces();
    if (!at_end() && peek() != '\n' && !(peek() == '#' && space)) return false;
    next_line();
    return true;
  }

  bool starts_entry() const { return peek() == '-' && (peek(1) == ' ' || peek(1) == '\n'); }

  // ---- nodes, exactly as TreeBuilder makes them

  Index add(NodeKind kind) {
    const auto index = static_cast<Index>(tree_.nodes_.size());
    declined_ |= index >= YamlTree::kMaxExpandedNodes;
    Node& node = tree_.nodes_.emplace_back();
    node.kind = kind;
    node.line = line_;
    node.column = static_cast<std::uint32_t>(column() + 1);
    return index;
  }
  Index add_scalar(std::string_view text, bool plain) {
    const Index index = add(NodeKind::kScalar);
    tree_.nodes_[index].text = tree_.keep(text);
    tree_.nodes_[index].plain = plain;
    return index;
  }

  struct Children {
    Index parent;
    Index last = Node::kNone;
  };
  void link(Children& children, Index child) {
    Node& parent = tree_.nodes_[children.parent];
    (children.last == Node::kNone ? parent.first : tree_.nodes_[children.last].next) = child;
    children.last = child;
    ++parent.children;
  }

  // ---- block collections; kNone: declined

  // At the first character of a collection, whose entries stand in `indent`. Leaves us at the start of the
  // line after it.
  Index block(std::size_t indent, unsigned depth) {
    if (depth > kMaxDepth) return Node::kNone;
    const bool sequence = starts_entry();
    const Index index = add(sequence ? NodeKind::kSequence : NodeKind::kMap);
    Children children{index};
    while (sequence ? element(children, indent, depth) : entry(children, indent, depth)) {
      if (!next_content()) return declined_ ? Node::kNone : index;
      if (column() > indent) return Node::kNone;
      if (column() == indent && starts_entry() == sequence) continue;
      if (column() == indent && !sequence) return Node::kNone;
      at_ = line_start_;  // a line of what is around us
      return index;
    }
    return Node::kNone;
  }

  // `- value`, `- key: value` and what belongs to it, or `-` and a block below.
  bool element(Children& children, std::size_t indent, unsigned depth) {
    ++at_;
    skip_spaces();
    Index value;
    if (peek() == '\n' || peek() == '#') {
      value = below(indent + 1, indent + 1, depth);
    } else {
      value = key_length() != 0 ? block(column(), depth + 1) : inline_value(depth);
    }
    if (value == Node::kNone) return false;
    link(children, value);
    return true;
  }

  bool entry(Children& children, std::size_t indent, unsigned depth) {
    const std::size_t length = key_length();
    if (length == 0) return false;
    const Index key = add_scalar(text_.substr(at_, length), true);
    link(children, key);
    at_ += length + 1;
    skip_spaces();
    Index value;
    if (peek() == '\n' || peek() == '#') {
      value = below(indent + 1, indent, depth);
      if (value == Node::kNone) value = null_of(key);
    } else {
      value = inline_value(depth);
    }
    if (value == Node::kNone || declined_) return false;
    link(children, value);
    return true;
  }

  // The value on the lines below, indented by so much at least. kNone: there is none, or declined.
  Index below(std::size_t least_for_map, std::size_t least_for_sequence, unsigned depth) {
    next_line();
    if (!next_content()) return Node::kNone;
    if (column() >= (starts_entry() ? least_for_sequence : least_for_map)) {
      const Index value = block(column(), depth + 1);
      declined_ |= value == Node::kNone;
      return value;
    }
    at_ = line_start_;
    return Node::kNone;
  }

  // An absent value stands where its key stands.
  Index null_of(Index key) {
    if (declined_) return Node::kNone;
    const Index index = add(NodeKind::kNull);
    tree_.nodes_[index].line = tree_.nodes_[key].line;
    tree_.nodes_[index].column = tree_.nodes_[key].column;
    return index;
  }

  // The length of a plain key that a colon and a space or line end follow; 0: no such key.
  std::size_t key_length() const {
    if (!is(peek(), kFirst)) return 0;
    std::size_t length = 1;
    while (length <= kMaxKey && is(peek(length), kInside)) ++length;
    const bool ends = peek(length) == ':' && (peek(length + 1) == ' ' || peek(length + 1) == '\n');
    return ends && length <= kMaxKey && !is_null_word(text_.substr(at_, length)) ? length : 0;
  }

  // A value that begins on this line, and the rest of its last line.
  Index inline_value(unsigned depth) {
    const Index value = peek() == '[' || peek() == '{' ? flow(depth + 1) : scalar(false);
    return value != Node::kNone && end_line() ? value : Node::kNone;
  }

  // ---- scalars

  Index scalar(bool in_flow) {
    const char first = peek();
    return first == '"' || first == '\'' ? quoted(first) : plain(in_flow);
  }

  Index quoted(char quote) {
    const std::size_t end = text_.find_first_of(quote == '"' ? "\"\\\n" : "'\n", at_ + 1);
    if (end == std::string_view::npos || text_[end] != quote) return Node::kNone;
    if (quote == '\'' && end + 1 < text_.size() && text_[end + 1] == '\'') return Node::kNone;
    const Index index = add_scalar(text_.substr(at_ + 1, end - at_ - 1), false);
    at_ = end + 1;
    return index;
  }

  Index plain(bool in_flow) {
    if (!is(peek(), kFirst) && !(peek() == ':' && peek(1) == ':')) return Node::kNone;  // ::/0
    std::size_t length = 1;
    for (;; ++length) {
      const char c = peek(length);
      if (is(c, kInside)) continue;
      // A colon belongs to the scalar when something of it follows, a space when it is not the last.
      const char next = peek(length + 1);
      if (c == ':' ? is(next, kInside) || next == ':' : c == ' ' && is(next, kInside)) continue;
      break;
    }
    const char after = peek(length);
    const bool ends =
        after == ' ' || (in_flow ? after == ',' || after == ']' || after == '}' : after == '\n');
    const std::string_view text = text_.substr(at_, length);
    if (!ends || is_null_word(text) || (column() == 0 && begins_marker(text))) return Node::kNone;
    const Index index = add_scalar(text, true);
    at_ += length;
    return index;
  }

  // ---- flow collections

  // Spaces, comments and line ends between the parts of a flow collection.
  void skip_flow_space() {
    for (;;) {
      const bool apart = peek() == ' ' || column() == 0;
      skip_spaces();
      if (at_end()) return;
      if (peek() != '\n' && !(peek() == '#' && apart)) return;
      next_line();
    }
  }

  Index flow(unsigned depth) {
    if (depth > kMaxDepth) return Node::kNone;
    const bool map = peek() == '{';
    const char close = map ? '}' : ']';
    const Index index = add(map ? NodeKind::kMap : NodeKind::kSequence);
    tree_.nodes_[index].flow = true;
    Children children{index};
    ++at_;
    skip_flow_space();
    if (peek() == close && !at_end()) {
      ++at_;
      return index;
    }
    for (;;) {
      if (map && !flow_key(children)) return Node::kNone;
      const Index value = peek() == '[' || peek() == '{' ? flow(depth + 1) : scalar(true);
      if (value == Node::kNone) return Node::kNone;
      link(children, value);
      skip_spaces();
      if (peek() == '\n' && tree_.nodes_[value].plain) return Node::kNone;  // it may go on there
      skip_flow_space();
      const char separator = peek();
      ++at_;
      if (separator == close) return index;
      if (separator != ',' || declined_) return Node::kNone;
      skip_flow_space();
    }
  }

  bool flow_key(Children& children) {
    const std::size_t length = key_length();
    if (length == 0) return false;
    link(children, add_scalar(text_.substr(at_, length), true));
    at_ += length + 1;
    skip_spaces();
    return peek() != '\n' && peek() != '#';
  }

  std::string_view text_;
  YamlTree& tree_;
  std::size_t at_ = 0;
  std::size_t line_start_ = 0;
  std::uint32_t line_ = 1;
  bool declined_ = false;
};

YamlTree YamlTree::read_quickly(std::string_view text) {
  YamlTree tree;
  return QuickReader(text, tree).read() ? std::move(tree) : YamlTree();
}

}  // namespace wg::config
