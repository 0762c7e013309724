#include "config/reader.h"

#include <algorithm>
#include <unordered_map>

namespace wg::config {
namespace {

std::string_view name_of(NodeKind kind) {
  switch (kind) {
    case NodeKind::kNull:
      return "has no value";
    case NodeKind::kSequence:
      return "is a list";
    case NodeKind::kMap:
      return "is a map";
    default:
      return "is a single value";
  }
}

}  // namespace

std::string to_string(const Path& path) {
  std::string text = path.parent != nullptr ? to_string(*path.parent) : std::string();
  if (path.index >= 0) return text + "[" + std::to_string(path.index) + "]";
  if (!text.empty() && !path.key.empty()) text += '.';
  return text + printable(path.key);
}

void Value::complain(std::string message) const {
  source_->context.problems.push_back({source_->filename(), at(), to_string(path_), std::move(message)});
}

void Value::refuse(std::string_view text, std::string_view fault, std::string_view allowed) const {
  complain(quoted(text) + " " + std::string(fault) + "; allowed: " + std::string(allowed));
}

void Value::refuse_kind(std::string_view allowed) const {
  complain(std::string(name_of(node().kind)) + "; allowed: " + std::string(allowed));
}

std::optional<std::string_view> Value::scalar(std::string_view allowed) const {
  if (node().kind == NodeKind::kScalar) return node().text;
  refuse_kind(allowed);
  return std::nullopt;
}

std::vector<Value> Value::elements(std::string_view allowed) const {
  std::vector<Value> values;
  if (is_null()) return values;
  if (!is_sequence()) {
    refuse_kind(allowed);
    return values;
  }
  values.reserve(node().children);
  const YamlTree& tree = source_->tree;
  for (const Node* child = tree.first_child(node()); child != nullptr; child = tree.next_sibling(*child))
    values.push_back({*source_, *child, {&path_, {}, static_cast<std::int64_t>(values.size())}});
  return values;
}

MapWalk::MapWalk(const Value& map, std::span<const std::string_view> names)
    : map_(map),
      names_(names),
      first_line_(names.size()),
      upcoming_(map.source().tree.first_child(map.node())) {}

bool MapWalk::advance() {
  if (upcoming_ == nullptr) return false;
  const YamlTree& tree = map_.source().tree;
  key_ = upcoming_;
  value_ = tree.next_sibling(*key_);
  upcoming_ = value_ != nullptr ? tree.next_sibling(*value_) : nullptr;
  return value_ != nullptr;
}

std::optional<std::size_t> MapWalk::next() {
  while (advance()) {
    const auto found = std::find(names_.begin(), names_.end(), key_->text);
    if (key_->kind != NodeKind::kScalar || found == names_.end()) {
      complain_unknown();
      continue;
    }
    const auto index = static_cast<std::size_t>(found - names_.begin());
    if (first_line_[index] == 0) {
      first_line_[index] = key_->line;
      return index;
    }
    key_value().complain("is given twice, first on line " + std::to_string(first_line_[index]) +
                         "; allowed: once");
  }
  return std::nullopt;
}

void MapWalk::complain_unknown() const {
  if (key_->kind != NodeKind::kScalar) {
    key_value().complain("the key is not a plain name; allowed: " + join(names_, ", "));
    return;
  }
  const auto meant = nearest_name(key_->text, names_);
  if (!meant.empty())
    key_value().complain("unknown key; did you mean '" + std::string(meant) + "'?");
  else
    key_value().complain("unknown key; allowed: " + join(names_, ", "));
}

std::vector<NamedValue> named_entries(const Value& map, std::string_view what) {
  std::vector<NamedValue> entries;
  if (map.is_null()) return entries;
  if (map.node().kind != NodeKind::kMap) {
    map.refuse_kind(what);
    return entries;
  }
  const YamlTree& tree = map.source().tree;
  std::unordered_map<std::string_view, std::uint32_t> lines;
  for (const Node* key = tree.first_child(map.node()); key != nullptr;) {
    const Node* value = tree.next_sibling(*key);
    const Value named(map.source(), *key, {&map.path(), key->text});
    if (key->kind != NodeKind::kScalar || !is_interface_name(key->text))
      named.complain("is not a name Linux accepts; allowed: 1 to 15 of letters, digits and _ = + . -");
    else if (const auto [first, fresh] = lines.emplace(key->text, key->line); !fresh)
      named.complain("is given twice, first on line " + std::to_string(first->second) + "; allowed: once");
    else
      entries.push_back({key->text, {map.source(), *value, {&map.path(), key->text}}});
    key = tree.next_sibling(*value);
  }
  return entries;
}

std::optional<std::string> read_string(const Value& value, std::string_view allowed) {
  const auto text = value.scalar(allowed);
  if (text && !text->empty()) return std::string(*text);
  if (text) value.complain("is empty; allowed: " + std::string(allowed));
  return std::nullopt;
}

std::optional<std::uint64_t> read_number(const Value& value, std::uint64_t least, std::uint64_t most,
                                         std::string_view allowed) {
  const auto text = value.scalar(allowed);
  if (!text) return std::nullopt;
  const auto number = parse_number(*text);
  if (number && *number >= least && *number <= most) return number;
  value.refuse(*text, number ? "is out of range" : "is not a whole number", allowed);
  return std::nullopt;
}

}  // namespace wg::config
