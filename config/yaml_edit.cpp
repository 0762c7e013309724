#include "config/yaml_edit.h"

#include <algorithm>

#include "config/emit.h"
#include "config/key.h"

namespace wg::config {
namespace {

constexpr std::string_view kBom = "\xef\xbb\xbf";

[[noreturn]] void unsupported(const char* what) {
  throw EditUnsupported(what);
}

}  // namespace

YamlEdit::YamlEdit(std::string text) : text_(std::move(text)) {
  Problems problems;
  tree_ = YamlTree::read(text_, 0, {}, problems);
  if (tree_.empty() || text_.starts_with(kBom)) unsupported("not a text that can be edited");
  lines_.push_back(0);
  for (std::size_t i = 0; i < text_.size(); ++i)
    if (text_[i] == '\n') lines_.push_back(i + 1);
}

YamlEdit::~YamlEdit() {
  wipe(text_);
}

YamlEdit::Pair YamlEdit::find(const Node& map, std::string_view key) const {
  if (map.kind != NodeKind::kMap) return {};
  for (const Node* name = tree_.first_child(map); name != nullptr;) {
    const Node* value = tree_.next_sibling(*name);
    if (name->kind == NodeKind::kScalar && name->text == key) return {name, value};
    name = tree_.next_sibling(*value);
  }
  return {};
}

// ---------------------------------------------------------------- where things are

std::vector<const Node*> YamlEdit::children(const Node& node) const {
  std::vector<const Node*> all;
  for (const Node* child = tree_.first_child(node); child != nullptr; child = tree_.next_sibling(*child))
    all.push_back(child);
  return all;
}

std::size_t YamlEdit::begin_of(const Node& node) const {
  const std::size_t offset = lines_.at(node.line - 1) + node.column - 1;
  if (offset > text_.size()) unsupported("a position outside the text");
  return offset;
}

std::size_t YamlEdit::line_begin(std::size_t offset) const {
  return *std::prev(std::upper_bound(lines_.begin(), lines_.end(), offset));
}

std::size_t YamlEdit::after_line(std::size_t offset) const {
  const auto next = std::upper_bound(lines_.begin(), lines_.end(), offset);
  return next == lines_.end() ? text_.size() : *next;
}

std::size_t YamlEdit::end_of_quoted(std::size_t offset) const {
  const char quote = text_[offset];
  for (std::size_t i = offset + 1; i < text_.size(); ++i) {
    if (quote == '"' && text_[i] == '\\') {
      ++i;
    } else if (text_[i] == quote) {
      if (quote == '"' || i + 1 >= text_.size() || text_[i + 1] != '\'') return i + 1;
      ++i;
    }
  }
  unsupported("a quote without its end");
}

std::size_t YamlEdit::end_of_flow(std::size_t offset) const {
  std::size_t depth = 0;
  for (std::size_t i = offset; i < text_.size(); ++i) {
    const char c = text_[i];
    const bool after_blank =
        i == 0 || std::string_view(" \t\n[{,").find(text_[i - 1]) != std::string_view::npos;
    if (c == '[' || c == '{') ++depth;
    if ((c == ']' || c == '}') && --depth == 0) return i + 1;
    if ((c == '"' || c == '\'') && (after_blank || text_[i - 1] == ':')) i = end_of_quoted(i) - 1;
    if (c == '#' && after_blank) i = after_line(i) - 1;
  }
  unsupported("a bracket without its end");
}

// Where a value starts after its anchor or tag, if it has one.
std::size_t YamlEdit::after_properties(std::size_t offset) const {
  while (offset < text_.size() && (text_[offset] == '&' || text_[offset] == '!')) {
    offset = text_.find_first_of(" \t\r\n", offset);
    if (offset == std::string::npos) unsupported("an anchor without a value");
    offset = text_.find_first_not_of(" \t\r\n", offset);
    if (offset == std::string::npos) unsupported("an anchor without a value");
  }
  return offset;
}

// A plain scalar must stand on its line exactly as it was read.
std::size_t YamlEdit::end_of_scalar(const Node& node) const {
  const std::size_t begin = after_properties(begin_of(node));
  if (begin < text_.size() && (text_[begin] == '"' || text_[begin] == '\'')) return end_of_quoted(begin);
  if (!node.plain || text_.compare(begin, node.text.size(), node.text) != 0)
    unsupported("a scalar over several lines");
  return begin + node.text.size();
}

std::size_t YamlEdit::end_of(const Node& node) const {
  switch (node.kind) {
    case NodeKind::kScalar:
      return end_of_scalar(node);
    case NodeKind::kNull:
      unsupported("an absent value");
    case NodeKind::kAlias:
      return std::min(text_.find_first_of(" \t\r\n,]}", begin_of(node)), text_.size());
    default:
      break;
  }
  if (node.flow) return end_of_flow(after_properties(begin_of(node)));
  const auto all = children(node);
  if (all.empty()) unsupported("an empty block");
  if (node.kind == NodeKind::kMap) return end_of_pair({all[all.size() - 2], all.back()});
  return end_of(*all.back());
}

// Where the value ends, or for an absent value, the colon after its key.
std::size_t YamlEdit::end_of_pair(const Pair& pair) const {
  if (pair.value->kind != NodeKind::kNull) return end_of(*pair.value);
  const auto colon = text_.find(':', end_of_scalar(*pair.key));
  if (colon == std::string::npos) unsupported("a key without a colon");
  const auto rest = std::string_view(text_).substr(colon + 1, after_line(colon) - colon - 1);
  const auto first = rest.find_first_not_of(" \t\r\n");
  if (first != std::string_view::npos && rest[first] != '#') unsupported("a null that is written out");
  return colon + 1;
}

std::size_t YamlEdit::dash_of(const Node& item) const {
  std::size_t at = begin_of(item);
  while (at > 0 && text_[at - 1] == ' ') --at;
  if (at == 0 || text_[at - 1] != '-') unsupported("a list item without a dash on its line");
  const std::size_t dash = at - 1;
  const auto before = std::string_view(text_).substr(line_begin(dash), dash - line_begin(dash));
  if (before.find_first_not_of(' ') != std::string_view::npos) unsupported("a list item after other text");
  return dash;
}

std::size_t YamlEdit::dash_column(const Node& list) const {
  const Node* first = tree_.first_child(list);
  if (first == nullptr || list.flow) unsupported("a list without dashes");
  const std::size_t dash = dash_of(*first);
  return dash - line_begin(dash);
}

// ---------------------------------------------------------------- edits

void YamlEdit::replace(const Node& node, const std::string& text) {
  const std::size_t begin = begin_of(node);
  edits_.push_back({begin, end_of(node) - begin, text});
}

void YamlEdit::insert_after_line(std::size_t offset, const std::string& lines) {
  const std::size_t at = after_line(offset);
  const bool unended = at > 0 && at == text_.size() && text_.back() != '\n';
  edits_.push_back({at, 0, (unended ? "\n" : "") + lines});
}

void YamlEdit::append_after(const Node& node, const std::string& lines) {
  insert_after_line(end_of(node) - 1, lines);
}

void YamlEdit::append_lines(const Node& list, const std::string& lines) {
  if (list.flow) unsupported("lines in a flow list");
  append_after(list, lines);
}

void YamlEdit::append_flow(const Node& list, const std::string& item) {
  const auto all = children(list);
  if (all.empty()) return replace(list, "[" + item + "]");
  edits_.push_back({end_of(*all.back()), 0, ", " + item});
}

void YamlEdit::set(const Node& map, std::string_view key, const std::string& value, std::string_view after) {
  if (map.flow) unsupported("a flow map");
  if (const Pair pair = find(map, key)) {
    if (pair.value->kind != NodeKind::kNull) return replace(*pair.value, value);
    edits_.push_back({end_of_pair(pair), 0, " " + value});
    return;
  }
  const Pair neighbour = find(map, after);
  if (!neighbour) unsupported("no key to put a new one after");
  const std::string indent(neighbour.key->column - 1, ' ');
  insert_after_line(end_of_pair(neighbour) - 1, indent + std::string(key) + ": " + value + "\n");
}

void YamlEdit::set_list(const Node& map, std::string_view key, const std::vector<std::string>& items,
                        std::string_view after) {
  const Pair pair = find(map, key);
  if (!pair || pair.value->kind != NodeKind::kSequence || pair.value->flow) {
    std::string text;
    for (const auto& item : items) text += (text.empty() ? "" : ", ") + emit_scalar(item);
    return set(map, key, "[" + text + "]", after);
  }
  std::vector<std::string_view> kept;
  for (const Node* item : children(*pair.value)) {
    if (item->kind == NodeKind::kScalar && std::find(items.begin(), items.end(), item->text) != items.end())
      kept.push_back(item->text);
    else
      remove_item(*pair.value, *item);
  }
  const std::string indent(dash_column(*pair.value), ' ');
  for (const auto& item : items)
    if (std::find(kept.begin(), kept.end(), item) == kept.end())
      append_lines(*pair.value, indent + "- " + emit_scalar(item) + "\n");
}

void YamlEdit::remove(const Node& map, std::string_view key) {
  if (map.flow) unsupported("a flow map");
  const Pair pair = find(map, key);
  if (!pair) return;
  const std::size_t begin = begin_of(*pair.key);
  const std::size_t line = line_begin(begin);
  const bool alone = text_.find_first_not_of(' ', line) == begin;
  if (alone) {
    edits_.push_back({line, after_line(end_of_pair(pair) - 1) - line, {}});
    return;
  }
  // The first key of a list item shares its line with the dash; the next key moves up there.
  const Node* next = tree_.next_sibling(*pair.value);
  if (next == nullptr) unsupported("the only key of a list item");
  edits_.push_back({begin, begin_of(*next) - begin, {}});
}

void YamlEdit::remove_item(const Node& list, const Node& item) {
  if (!list.flow) {
    const std::size_t line = line_begin(dash_of(item));
    edits_.push_back({line, after_line(end_of(item) - 1) - line, {}});
    return;
  }
  const auto all = children(list);
  const auto at = std::find(all.begin(), all.end(), &item);
  const std::size_t begin = begin_of(item);
  if (std::next(at) != all.end())
    edits_.push_back({begin, begin_of(**std::next(at)) - begin, {}});
  else if (at != all.begin())
    edits_.push_back({end_of(**std::prev(at)), end_of(item) - end_of(**std::prev(at)), {}});
  else
    edits_.push_back({begin, end_of(item) - begin, {}});
}

void YamlEdit::fill_list(const Pair& entry, const std::string& lines) {
  if (entry.value->kind == NodeKind::kNull) return insert_after_line(end_of_pair(entry) - 1, lines);
  const bool empty = entry.value->kind == NodeKind::kSequence && entry.value->flow &&
                     tree_.first_child(*entry.value) == nullptr;
  if (!empty) unsupported("a list that is not empty");
  const std::size_t end = end_of(*entry.value);
  const std::size_t colon = text_.find(':', end_of_scalar(*entry.key));
  edits_.push_back({colon + 1, end - colon - 1, {}});
  insert_after_line(end - 1, lines);
}

void YamlEdit::replace_entry(const Pair& entry, const std::string& lines) {
  const std::size_t begin = begin_of(*entry.key);
  const std::size_t line = line_begin(begin);
  if (text_.find_first_not_of(' ', line) != begin) unsupported("an entry that shares its line");
  edits_.push_back({line, after_line(end_of_pair(entry) - 1) - line, lines});
}

std::string YamlEdit::apply() const {
  const auto first_end = text_.find('\n');
  const bool crlf = first_end != std::string::npos && first_end > 0 && text_[first_end - 1] == '\r';
  std::vector<const Edit*> ordered;
  for (const Edit& edit : edits_) ordered.push_back(&edit);
  std::stable_sort(ordered.begin(), ordered.end(),
                   [](const Edit* a, const Edit* b) { return a->offset < b->offset; });
  std::string out;
  out.reserve(text_.size() + 4096);
  std::size_t at = 0;
  for (const Edit* edit : ordered) {
    if (edit->offset < at) unsupported("two changes at one place");
    out.append(text_, at, edit->offset - at);
    for (const char c : edit->text) {
      if (c == '\n' && crlf) out += '\r';
      out += c;
    }
    at = edit->offset + edit->length;
  }
  return out.append(text_, at);
}

}  // namespace wg::config
