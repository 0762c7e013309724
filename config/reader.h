// Reads typed values out of a YAML tree and collects complaints instead of stopping at the first.
//
// A Value is a node together with the path that leads to it. Each read function either sets its
// target, or complains (once, with position, path, what is wrong and what is allowed) and leaves the
// target as it was. The schema of a map is a constexpr table of Field, one line per key, in the file
// that reads that struct, and the rows of its settings (settings.h).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "config/parse.h"
#include "config/scalars.h"
#include "config/settings.h"
#include "config/yaml_tree.h"

namespace wg::config {

// Stands for an entry of allowed_ips that the reader refused: no prefix is that long.
inline constexpr Prefix kRefusedPrefix{{}, 255};

// State that all files of one parse share.
struct ReadContext {
  Gateway& gateway;
  Problems& problems;
  const ParseOptions& options;
  std::size_t bytes_read = 0;
};

// One file being read.
struct Source {
  ReadContext& context;
  const YamlTree& tree;
  std::uint32_t file;  // index into Gateway::sources
  [[nodiscard]] const std::string& filename() const { return context.gateway.sources.files[file]; }
};

// A chain on the stack; text is made of it only for a complaint.
struct Path {
  const Path* parent = nullptr;
  std::string_view key;     // of a map entry
  std::int64_t index = -1;  // of a sequence element
};
[[nodiscard]] std::string to_string(const Path& path);

class Value {
 public:
  Value(const Source& source, const Node& node, Path path)
      : source_(&source), node_(&node), resolved_(&source.tree.target(node)), path_(path) {}

  [[nodiscard]] const Source& source() const { return *source_; }
  [[nodiscard]] const Node& node() const { return *resolved_; }
  [[nodiscard]] const Path& path() const { return path_; }
  [[nodiscard]] bool is_null() const { return resolved_->kind == NodeKind::kNull; }
  [[nodiscard]] bool is_sequence() const { return resolved_->kind == NodeKind::kSequence; }
  [[nodiscard]] Position at() const { return {source_->file, node_->line, node_->column}; }

  void complain(std::string message) const;
  // `'text' is …; allowed: …`
  void refuse(std::string_view text, std::string_view fault, std::string_view allowed) const;
  // For a value of the wrong shape: `is a list; allowed: …`.
  void refuse_kind(std::string_view allowed) const;
  // The text of a scalar; complains about anything else.
  [[nodiscard]] std::optional<std::string_view> scalar(std::string_view allowed) const;
  // The elements of a sequence (none for an absent value); complains about anything else.
  [[nodiscard]] std::vector<Value> elements(std::string_view allowed) const;

 private:
  const Source* source_;
  const Node* node_;
  const Node* resolved_;
  Path path_;
};

// One key of a map and what reads it.
template <class Target>
struct Field {
  std::string_view name;
  void (*read)(const Value& value, Target& target);
  bool required = false;
};

// Walks the entries of a map: known keys are dispatched, unknown and doubled ones complained about,
// missing required ones named. Independent of the target's type so that it is compiled once.
class MapWalk {
 public:
  MapWalk(const Value& map, std::span<const std::string_view> names);
  // The next known key's index in `names`, or nullopt at the end.
  [[nodiscard]] std::optional<std::size_t> next();
  [[nodiscard]] Value value() const { return {map_.source(), *value_, {&map_.path(), key_->text}}; }
  [[nodiscard]] bool saw(std::size_t index) const { return first_line_[index] != 0; }

 private:
  bool advance();
  void complain_unknown() const;
  [[nodiscard]] Value key_value() const { return {map_.source(), *key_, {&map_.path(), key_->text}}; }

  const Value& map_;
  std::span<const std::string_view> names_;
  std::vector<std::uint32_t> first_line_;  // by name; 0: not seen
  const Node* key_ = nullptr;
  const Node* value_ = nullptr;
  const Node* upcoming_ = nullptr;
};

// Reads the text of a setting, or complains.
template <class Owner>
void read_setting(const Value& value, const Setting<Owner>& row, Owner& owner) {
  if (value.node().kind != NodeKind::kScalar) return value.refuse_kind(row.allowed());
  const std::string_view text = value.node().text;
  if (text.empty()) return value.complain("is empty; allowed: " + row.allowed());
  if (const auto set = row.set(owner, text); !set) value.refuse(text, set.error().text, row.allowed());
}

// A map's fields and the settings of its owner that stand in it, under one numbering.
template <class Target>
class MapSchema {
 public:
  // `inner`: the name of the map when it is one within the owner's own (`idle`).
  MapSchema(std::span<const Field<Target>> fields, std::string_view inner) : fields_(fields) {
    for (const auto& field : fields) names_[size_++] = field.name;
    for (const auto& row : settings_of<Target>()) {
      if (row.map() != inner) continue;
      rows_[size_] = &row;
      names_[size_++] = row.name();
    }
  }
  [[nodiscard]] std::span<const std::string_view> names() const { return {names_.data(), size_}; }

  void read(std::size_t index, const Value& value, Target& target) const {
    const Setting<Target>* row = rows_[index];
    if constexpr (requires { target.where.set(names_[0], value.at()); })
      target.where.set(row != nullptr ? row->key : names_[index], value.at());
    if (row != nullptr) return read_setting(value, *row, target);
    fields_[index].read(value, target);
  }

 private:
  static constexpr std::size_t kMaxKeys = kMaxSettings + 16;
  std::span<const Field<Target>> fields_;
  std::array<std::string_view, kMaxKeys> names_;
  std::array<const Setting<Target>*, kMaxKeys> rows_{};  // null: one of `fields_`
  std::size_t size_ = 0;
};

// Reads a map into `target`: its fields, and the settings of settings.h; notes the position of each key.
template <class Target>
bool read_map(const Value& map, std::type_identity_t<std::span<const Field<Target>>> fields,
              std::string_view what, Target& target, std::string_view inner = {}) {
  if (map.node().kind != NodeKind::kMap) {
    map.refuse_kind(what);
    return false;
  }
  const MapSchema<Target> schema(fields, inner);
  MapWalk walk(map, schema.names());
  while (const auto index = walk.next()) schema.read(*index, walk.value(), target);
  for (std::size_t i = 0; i < fields.size(); ++i)
    if (fields[i].required && !walk.saw(i))
      map.complain("the required key '" + std::string(fields[i].name) + "' is missing");
  return true;
}

// Entries of a map whose keys are names the operator chose (ports, interfaces).
struct NamedValue {
  std::string_view name;
  Value value;
};
[[nodiscard]] std::vector<NamedValue> named_entries(const Value& map, std::string_view what);

[[nodiscard]] std::optional<std::string> read_string(const Value& value, std::string_view allowed);
[[nodiscard]] std::optional<std::uint64_t> read_number(const Value& value, std::uint64_t least,
                                                       std::uint64_t most, std::string_view allowed);
// Reads by a form, as settings are read; `out` keeps its value when the text is refused.
template <const auto& kForm, class T>
void read_by(const Value& value, T& out) {
  if (value.node().kind != NodeKind::kScalar) return value.refuse_kind(allowed_by<kForm>());
  auto parsed = kForm.parse(value.node().text);
  if (parsed)
    out = *std::move(parsed);
  else
    value.refuse(value.node().text, parsed.error().text, allowed_by<kForm>());
}

// The parts of the configuration, each in the file named after it.
void read_gateway(const Value& root, Gateway& gateway);         // read_gateway.cpp
void read_control(const Value& value, Control& control);        // read_control.cpp
void read_interface(const Value& value, Interface& interface);  // read_interface.cpp
void read_peers(const Value& value, std::vector<Peer>& peers);  // read_peer.cpp
void read_addresses(const Value& value, std::vector<InterfaceAddress>& out, std::vector<Position>& where);
void read_mtu(const Value& value, std::optional<std::uint16_t>& out);
// An inline secret key, or one in a file that no other user can read. read_key.cpp
void read_secret(const Value& value, std::optional<SecretKey>& out);
void read_secret_file(const Value& value, std::optional<SecretKey>& out, std::string& path);

}  // namespace wg::config
