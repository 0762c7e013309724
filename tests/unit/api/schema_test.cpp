// `linegate schema` has the keys of the documents, which are those of the parser, and accepts the examples.
#include "control/cli/schema.h"

#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <fstream>
#include <regex>
#include <set>
#include <sstream>

#include "config/parse.h"

namespace wg::control::test {
namespace {

using Names = std::set<std::string>;

Names keys_of(const Json& map, const std::string& inner = "") {
  Names names;
  for (const auto& [name, schema] : map["properties"].items()) {
    const bool nested = schema.contains("properties");
    if (!nested) names.insert(inner + name);
    if (nested) names.merge(keys_of(schema, inner + name + "."));
  }
  return names;
}

// The first cells of the table below a heading of docs/configuration.md.
Names documented_keys(const std::string& heading) {
  std::ifstream lines(std::string(LINEGATE_SOURCE_DIR) + "/docs/configuration.md");
  EXPECT_TRUE(lines);
  Names names;
  bool inside = false;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("#")) inside = line.substr(line.find_first_not_of("# ")) == heading;
    if (!inside || !line.starts_with("| `")) continue;
    std::istringstream cell(line.substr(1, line.find(" |", 2)));  // `name`, or `name`, `other`
    for (std::string part; std::getline(cell, part, '`') && std::getline(cell, part, '`');)
      names.insert(part);
  }
  return names;
}

TEST(Schema, HasTheKeysThatAreDocumented) {
  const Json schema = cli::configuration_schema();
  const Json& sections = schema["properties"];
  const auto entry_of = [&](const char* section) { return *sections[section]["patternProperties"].begin(); };
  EXPECT_EQ(keys_of(sections["dpdk"]), documented_keys("`dpdk`"));
  EXPECT_EQ(keys_of(entry_of("ports")), documented_keys("`ports`"));
  EXPECT_EQ(keys_of(entry_of("interfaces")), documented_keys("`interfaces`"));
  EXPECT_EQ(keys_of(schema["$defs"]["peer"]), documented_keys("Peers"));
  EXPECT_EQ(keys_of(sections["flows"]), documented_keys("`flows`"));
  EXPECT_EQ(keys_of(sections["control"]), documented_keys("`control`"));
  std::ifstream lines(std::string(LINEGATE_SOURCE_DIR) + "/docs/configuration.md");
  Names documented, known;
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with("## `")) documented.insert(line.substr(4, line.size() - 5));
  for (const auto& [name, section] : sections.items()) known.insert(name);
  EXPECT_EQ(known, documented);
}

// As much of JSON Schema as ours uses. The fault, or nothing.
class Validator {
 public:
  explicit Validator(const Json& root) : root_(root) {}

  std::string fault(const YAML::Node& value, const Json& schema, const std::string& path) const {
    if (schema.contains("$ref")) return fault(value, root_["$defs"]["peer"], path);
    if (schema.contains("anyOf")) return of_any(value, schema["anyOf"], path);
    if (schema.contains("oneOf") && !has_one_of(value, schema["oneOf"])) return path + ": oneOf";
    if (schema.contains("const")) return value.Scalar() == schema["const"] ? "" : path + ": const";
    if (schema.contains("enum")) return of_enum(value, schema["enum"], path);
    const Json type = schema["type"].is_array() ? Json(schema["type"][0]) : schema["type"];
    if (value.IsNull() && schema["type"].is_array() && schema["type"][1] == "null") return "";
    if (type == "object") return of_map(value, schema, path);
    if (type == "array") return of_list(value, schema, path);
    if (!value.IsScalar()) return path + ": not a scalar";
    if (type == "integer" && schema.contains("maximum")) return of_number(value, schema, path);
    if (type == "boolean")
      return value.Scalar() == "true" || value.Scalar() == "false" ? "" : path + ": not a flag";
    const bool fits = !schema.contains("pattern") ||
                      std::regex_search(value.Scalar(), std::regex(schema["pattern"].get<std::string>()));
    return fits ? "" : path + ": pattern";
  }

 private:
  std::string of_any(const YAML::Node& value, const Json& choices, const std::string& path) const {
    for (const Json& choice : choices)
      if (fault(value, choice, path).empty()) return "";
    return path + ": anyOf";
  }
  static bool has_one_of(const YAML::Node& value, const Json& choices) {
    int found = 0;
    for (const Json& choice : choices) found += value[choice["required"][0].get<std::string>()] ? 1 : 0;
    return found == 1;
  }
  static std::string of_enum(const YAML::Node& value, const Json& words, const std::string& path) {
    for (const Json& word : words)
      if (value.IsScalar() && value.Scalar() == word) return "";
    return path + ": enum";
  }
  static std::string of_number(const YAML::Node& value, const Json& schema, const std::string& path) {
    if (!std::regex_match(value.Scalar(), std::regex("[0-9]+"))) return path + ": not a number";
    const std::uint64_t number = value.as<std::uint64_t>();
    const bool fits = number >= schema["minimum"] && number <= schema["maximum"];
    return fits ? "" : path + ": range";
  }
  std::string of_list(const YAML::Node& value, const Json& schema, const std::string& path) const {
    if (!value.IsSequence()) return path + ": not a list";
    for (const auto& item : value)
      if (auto found = fault(item, schema["items"], path + "[]"); !found.empty()) return found;
    return "";
  }
  std::string of_map(const YAML::Node& value, const Json& schema, const std::string& path) const {
    if (!value.IsMap()) return path + ": not a map";
    for (const Json& name : schema.value("required", Json::array()))
      if (!value[name.get<std::string>()]) return path + ": lacks " + name.get<std::string>();
    for (const auto& entry : value) {
      const auto name = entry.first.Scalar();
      const Json* inner = nullptr;
      if (schema.contains("properties") && schema["properties"].contains(name))
        inner = &schema["properties"][name];
      if (schema.contains("patternProperties")) inner = &*schema["patternProperties"].begin();
      if (inner == nullptr) return path + ": unknown key " + name;
      if (auto found = fault(entry.second, *inner, path + "." + name); !found.empty()) return found;
    }
    return "";
  }

  const Json& root_;
};

std::string fault_of(const YAML::Node& value) {
  const Json schema = cli::configuration_schema();
  return Validator(schema).fault(value, schema, "");
}

TEST(Schema, AcceptsTheExamples) {
  for (const char* name : {"gateway.yaml", "lab.yaml"})
    EXPECT_EQ(fault_of(YAML::LoadFile(std::string(LINEGATE_SOURCE_DIR) + "/config/examples/" + name)), "")
        << name;
}

TEST(Schema, RefusesWhatTheParserRefuses) {
  const std::pair<const char*, const char*> rows[] = {
      {"prots: {}", ": unknown key prots"},
      {"dpdk: { workers: 0 }", ".dpdk.workers: anyOf"},
      {"dpdk: { hugepages: maybe }", ".dpdk.hugepages: enum"},
      {"dpdk: { idle: { mode: lazy } }", ".dpdk.idle.mode: enum"},
      {"ports: { wan0: { mtu: 1500 } }", ".ports.wan0: lacks device"},
      {"ports: { wan0: { device: tap, vlan: 4095 } }", ".ports.wan0.vlan: range"},
      {"interfaces: { wg0: { listen_port: 5 } }", ".interfaces.wg0: oneOf"},
      {"interfaces: { wg0: { private_key_file: a, hairpin: perhaps } }",
       ".interfaces.wg0.hairpin: not a flag"},
      {"interfaces: { wg0: { private_key_file: a, peers: [{ name: x }] } }",
       ".interfaces.wg0.peers[]: lacks public_key"},
      {"interfaces: { wg0: { private_key_file: a, addresses: [10.0.0.1] } }",
       ".interfaces.wg0.addresses[]: pattern"},
      {"control: { log: { level: loud } }", ".control.log.level: enum"}};
  for (const auto& [text, expected] : rows) {
    EXPECT_EQ(fault_of(YAML::Load(text)), expected) << text;
    config::ParseOptions without_files;
    without_files.open_files = false;
    EXPECT_FALSE(config::parse_text(text, "x.yaml", without_files)) << text;
  }
}

}  // namespace
}  // namespace wg::control::test
