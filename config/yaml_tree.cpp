#include "config/yaml_tree.h"

#include <sodium.h>
#include <yaml-cpp/depthguard.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <cstring>
#include <istream>
#include <streambuf>

namespace wg::config {
namespace {

constexpr std::size_t kChunkBytes = std::size_t{32} << 10;

// An istream over memory: a std::istringstream would copy a text that may hold secrets.
class MemoryBuffer : public std::streambuf {
 public:
  explicit MemoryBuffer(std::string_view text) {
    char* first = const_cast<char*>(text.data());
    setg(first, first, first + text.size());
  }
};

struct BadCharacter {
  std::size_t offset;
  std::string message;
};

std::size_t utf8_length(const unsigned char* at, std::size_t left) {
  const auto continues = [&](std::size_t i) { return i < left && (at[i] & 0xc0) == 0x80; };
  const unsigned char first = at[0];
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) return continues(1) ? 2 : 0;
  if ((first & 0xf0) == 0xe0) {
    if (!continues(1) || !continues(2)) return 0;
    const bool overlong = first == 0xe0 && at[1] < 0xa0;
    const bool surrogate = first == 0xed && at[1] >= 0xa0;
    return overlong || surrogate ? 0 : 3;
  }
  if (first < 0xf0 || first > 0xf4 || !continues(1) || !continues(2) || !continues(3)) return 0;
  const bool overlong = first == 0xf0 && at[1] < 0x90;
  const bool beyond = first == 0xf4 && at[1] >= 0x90;
  return overlong || beyond ? 0 : 4;
}

// YAML texts are UTF-8 without control characters. yaml-cpp itself would take 0x04 for the end of the
// text and silently read half of it.
std::vector<BadCharacter> check_characters(std::string_view text) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
  for (std::size_t i = 0; i < text.size();) {
    const unsigned char byte = bytes[i];
    if (byte < 0x20 && byte != '\n' && byte != '\r' && byte != '\t')
      return {{i, "a control character (" + std::to_string(byte) + "); allowed is printable text"}};
    const std::size_t length = byte < 0x80 ? 1 : utf8_length(bytes + i, text.size() - i);
    if (length == 0) return {{i, "is not UTF-8 from here on"}};
    i += length;
  }
  return {};
}

Position position_of_offset(std::string_view text, std::size_t offset, std::uint32_t file) {
  const auto before = text.substr(0, offset);
  const auto line_start = before.rfind('\n') == std::string_view::npos ? 0 : before.rfind('\n') + 1;
  const auto lines = std::count(before.begin(), before.end(), '\n');
  return {file, static_cast<std::uint32_t>(lines + 1), static_cast<std::uint32_t>(offset - line_start + 1)};
}

// The library's message does not mention a tab in front of a line, which looks like spaces.
std::string note_of_tab(std::string_view text, std::uint32_t line) {
  for (; line > 1; --line) {
    const auto newline = text.find('\n');
    if (newline == std::string_view::npos) return {};
    text.remove_prefix(newline + 1);
  }
  const auto indentation = text.substr(0, text.find_first_not_of(" \t"));
  return indentation.find('\t') == std::string_view::npos ? ""
                                                          : "; a tab indents this line, allowed are spaces";
}

std::uint32_t one_based(int zero_based) {
  return static_cast<std::uint32_t>(std::max(zero_based, 0)) + 1;
}

}  // namespace

bool is_yaml_text(std::string_view text) {
  return check_characters(text).empty();
}

// Turns events into nodes. Throws YAML::Exception for what the tree does not admit.
class TreeBuilder : public YAML::EventHandler {
 public:
  explicit TreeBuilder(YamlTree& tree) : tree_(tree) {}

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ > 1) throw YAML::ParserException(mark, "a second document; allowed is one per file");
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    add(NodeKind::kNull, null_mark(mark), anchor);
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto index = add(NodeKind::kAlias, mark, 0);
    const std::uint32_t target = anchors_.at(anchor);
    if (target == Node::kNone || sizes_.at(anchor) == 0)
      throw YAML::ParserException(mark, "an alias inside the value it stands for");
    tree_.nodes_[index].first = target;
    grow(sizes_[anchor], mark);
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    const auto index = add(NodeKind::kScalar, mark, anchor);
    tree_.nodes_[index].text = tree_.keep(value);
    tree_.nodes_[index].plain = tag == "?";
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value style) override {
    open(add(NodeKind::kSequence, mark, anchor), style, anchor);
  }
  void OnSequenceEnd() override { leave(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value style) override {
    open(add(NodeKind::kMap, mark, anchor), style, anchor);
  }
  void OnMapEnd() override { leave(); }

 private:
  struct Open {
    std::uint32_t node;
    std::uint32_t last_child;
    YAML::anchor_t anchor;
    std::uint64_t size_before;
  };

  // yaml-cpp puts the mark of an absent value at the token after it, often on the next line; the
  // operator looks for it at its key.
  YAML::Mark null_mark(const YAML::Mark& mark) const {
    if (open_.empty() || open_.back().last_child == Node::kNone) return mark;
    const Node& parent = tree_.nodes_[open_.back().node];
    if (parent.kind != NodeKind::kMap || parent.children % 2 == 0) return mark;
    const Node& key = tree_.nodes_[open_.back().last_child];
    YAML::Mark at;
    at.line = static_cast<int>(key.line) - 1;
    at.column = static_cast<int>(key.column) - 1;
    return at;
  }

  std::uint32_t add(NodeKind kind, const YAML::Mark& mark, YAML::anchor_t anchor) {
    const auto index = static_cast<std::uint32_t>(tree_.nodes_.size());
    Node& node = tree_.nodes_.emplace_back();
    node.kind = kind;
    node.line = one_based(mark.line);
    node.column = one_based(mark.column);
    if (!open_.empty()) link(index);
    if (anchor != 0) {
      anchors_.resize(std::max(anchors_.size(), anchor + 1), Node::kNone);
      sizes_.resize(anchors_.size(), 0);
      anchors_[anchor] = index;
      sizes_[anchor] = kind == NodeKind::kMap || kind == NodeKind::kSequence ? 0 : 1;
    }
    grow(1, mark);
    return index;
  }

  void link(std::uint32_t index) {
    Open& parent = open_.back();
    Node& parent_node = tree_.nodes_[parent.node];
    if (parent.last_child == Node::kNone)
      parent_node.first = index;
    else
      tree_.nodes_[parent.last_child].next = index;
    parent.last_child = index;
    ++parent_node.children;
  }

  void grow(std::uint64_t nodes, const YAML::Mark& mark) {
    expanded_ += nodes;
    if (expanded_ > YamlTree::kMaxExpandedNodes)
      throw YAML::ParserException(
          mark, "more than " + std::to_string(YamlTree::kMaxExpandedNodes) + " values, aliases written out");
  }

  void open(std::uint32_t index, YAML::EmitterStyle::value style, YAML::anchor_t anchor) {
    tree_.nodes_[index].flow = style == YAML::EmitterStyle::Flow;
    open_.push_back({index, Node::kNone, anchor, expanded_ - 1});
  }

  void leave() {
    const Open& done = open_.back();
    if (done.anchor != 0) sizes_[done.anchor] = expanded_ - done.size_before;
    open_.pop_back();
  }

  YamlTree& tree_;
  std::vector<Open> open_;
  std::vector<std::uint32_t> anchors_;  // node by anchor number
  std::vector<std::uint64_t> sizes_;    // expanded nodes by anchor number; 0 while still open
  std::uint64_t expanded_ = 0;
  int documents_ = 0;
};

YamlTree YamlTree::read(std::string_view text, std::uint32_t file, const std::string& filename,
                        Problems& problems) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  for (auto& refusal : check_characters(text)) {
    problems.push_back({filename, position_of_offset(text, refusal.offset, file), {}, refusal.message});
    return {};
  }
  YamlTree tree = read_quickly(text);
  return tree.empty() ? read_by_library(text, file, filename, problems) : std::move(tree);
}

YamlTree YamlTree::read_by_library(std::string_view text, std::uint32_t file, const std::string& filename,
                                   Problems& problems) {
  YamlTree tree;
  TreeBuilder builder(tree);
  MemoryBuffer buffer(text);
  std::istream stream(&buffer);
  try {
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) continue;
  } catch (const YAML::DeepRecursion& error) {
    const Position at{file, one_based(error.mark.line), one_based(error.mark.column)};
    problems.push_back({filename, at, {}, "YAML: values nested too deeply; allowed are about 400 levels"});
    return {};
  } catch (const YAML::Exception& error) {
    const Position at{file, one_based(error.mark.line), one_based(error.mark.column)};
    problems.push_back({filename, at, {}, "YAML: " + error.msg + note_of_tab(text, at.line)});
    return {};
  }
  return tree;
}

YamlTree::~YamlTree() {
  for (const Chunk& chunk : chunks_) sodium_memzero(chunk.bytes.get(), chunk.size);
}

const Node& YamlTree::target(const Node& node) const {
  return node.kind == NodeKind::kAlias ? nodes_[node.first] : node;
}

const Node* YamlTree::first_child(const Node& node) const {
  return node.first == Node::kNone || node.kind == NodeKind::kAlias ? nullptr : &nodes_[node.first];
}

const Node* YamlTree::next_sibling(const Node& node) const {
  return node.next == Node::kNone ? nullptr : &nodes_[node.next];
}

std::string_view YamlTree::keep(std::string_view text) {
  if (text.empty()) return {};
  if (chunks_.empty() || chunks_.back().size - used_ < text.size()) {
    const std::size_t size = std::max(kChunkBytes, text.size());
    chunks_.push_back({std::make_unique_for_overwrite<char[]>(size), size});
    used_ = 0;
  }
  char* at = chunks_.back().bytes.get() + used_;
  std::memcpy(at, text.data(), text.size());
  used_ += text.size();
  return {at, text.size()};
}

}  // namespace wg::config
