// schema: the JSON Schema of the configuration file, for editors. Settings come from their rows
// (config/settings.h); a key with an effect of its own has a row here. What only the parser can say (two
// values that exclude each other) is left to `linegate check`.
#include "control/cli/schema.h"

#include <ostream>

#include "config/settings.h"
#include "control/cli/cli.h"

namespace wg::control::cli {
namespace {

constexpr const char* kKeyPattern = "^([A-Za-z0-9+/]{43}=|[0-9a-fA-F]{64})$";
constexpr const char* kPrefixPattern = "^[0-9a-fA-F:.]+/[0-9]{1,3}$";

Json text(const char* description) {
  return {{"type", "string"}, {"description", description}};
}
Json pattern(const char* regular_expression, const char* description) {
  return {{"type", "string"}, {"pattern", regular_expression}, {"description", description}};
}
Json number(std::uint64_t least, std::uint64_t most, const char* description) {
  return {{"type", "integer"}, {"minimum", least}, {"maximum", most}, {"description", description}};
}
Json word(const char* allowed) {
  return {{"const", allowed}};
}
Json one_of(std::vector<Json> choices, const char* description) {
  return {{"anyOf", std::move(choices)}, {"description", description}};
}
Json list(Json items, const char* description) {
  return {{"type", "array"}, {"items", std::move(items)}, {"description", description}};
}
Json map_of(Json properties, const char* description) {
  return {{"type", "object"},
          {"properties", std::move(properties)},
          {"additionalProperties", false},
          {"description", description}};
}

// "true, false" for the examples true and false: then they are all the values there are.
bool allows_examples_alone(const std::string& allowed, std::span<const std::string_view> examples) {
  std::string words;
  for (const auto example : examples) words += (words.empty() ? "" : ", ") + std::string(example);
  return allowed == words;
}

template <class Owner>
Json schema_of(const config::Setting<Owner>& row) {
  const std::string allowed = row.allowed(), preset = row.text(Owner{});
  Json schema = {{"description", std::string(row.words) + ": " + allowed}};
  const bool flag = row.examples.size() == 2 && row.examples[0] == "true" && row.examples[1] == "false";
  if (flag) {
    schema["type"] = "boolean";
    schema["default"] = preset == "true";
    return schema;
  }
  if (allows_examples_alone(allowed, row.examples)) {
    schema["enum"] = std::vector<std::string>(row.examples.begin(), row.examples.end());
  } else {
    schema["type"] = {"string", "integer"};
    schema["examples"] = std::vector<std::string>(row.examples.begin(), row.examples.end());
  }
  if (!preset.empty()) schema["default"] = preset;
  return schema;
}

// Adds the settings of an owner to the keys of its map; those of an inner map (`idle.mode`) to a map of their
// own.
template <class Owner>
void add_settings(Json& properties) {
  for (const auto& row : config::settings_of<Owner>()) {
    const std::string name(row.name()), inner(row.map());
    if (inner.empty()) {
      properties[name] = schema_of(row);
      continue;
    }
    if (!properties.contains(inner)) properties[inner] = map_of(Json::object(), "settings of their own");
    properties[inner]["properties"][name] = schema_of(row);
  }
}

Json dpdk() {
  Json keys = {
      {"workers", one_of({number(1, 127, "that many workers"), list(number(0, 127, "an lcore"), "lcores")},
                         "polling lcores: a number, or a list of lcores")},
      {"eal", list(text("one argument"), "further EAL arguments, verbatim")}};
  add_settings<config::Dpdk>(keys);
  return map_of(std::move(keys), "cores and memory");
}

Json addresses() {
  return list(pattern(kPrefixPattern, "address/length"), "a list of address/length");
}

Json gateway_of_port() {
  Json keys = {
      {"address", text("an address")},
      {"metric", number(0, config::kGreatestMetric, "metric of the default route; 0: the kernel's")}};
  Json with_metric = map_of(std::move(keys), "an address and a metric");
  with_metric["required"] = {"address"};
  return one_of({text("an address"), std::move(with_metric)}, "an address, or one with a metric");
}

Json port() {
  Json keys = {{"device", text("a PCI address, linux: and an interface, a DPDK virtual device, or tap")},
               {"addresses", addresses()},
               {"gateway", one_of({gateway_of_port(), list(gateway_of_port(), "one of each family")},
                                  "the default route")},
               {"queues", one_of({word("auto"), number(1, 128, "receive queues")}, "receive queues")},
               {"mtu", number(576, 9600, "bytes")},
               {"vlan", number(1, 4094, "802.1Q tag of every packet")},
               {"mac", pattern("^([0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}$", "a unicast MAC address")}};
  add_settings<config::Port>(keys);
  Json schema = map_of(std::move(keys), "a port");
  schema["required"] = {"device"};
  return schema;
}

Json mtu() {
  return one_of({word("auto"), number(576, 9520, "bytes")}, "MTU inside the tunnel");
}

Json peer() {
  Json keys = {{"name", text(config::kAllowedPeerNames.data())},
               {"public_key", pattern(kKeyPattern, "32 bytes in base64")},
               {"preshared_key", pattern(kKeyPattern, "32 bytes in base64")},
               {"preshared_key_file", text("a file with the preshared key, mode 0600")},
               {"endpoint", text("name:port, 192.0.2.1:51820 or [2001:db8::1]:51820")},
               {"allowed_ips",
                list(pattern(kPrefixPattern, "address/length"), "what is sent to and accepted from it")},
               {"persistent_keepalive",
                one_of({word("off"), number(0, 65535, "seconds"), pattern("^[0-9]+s$", "seconds")},
                       "off, or seconds")},
               {"mtu", mtu()},
               {"enabled", {{"type", "boolean"}, {"default", true}, {"description", "false: as if absent"}}}};
  Json schema = map_of(std::move(keys), "a peer");
  schema["required"] = {"public_key"};
  return schema;
}

Json interface() {
  Json keys = {
      {"private_key", pattern(kKeyPattern, "32 bytes in base64")},
      {"private_key_file", text("a file with the private key, mode 0600")},
      {"listen_port", number(0, 65535, "UDP port; 0: any free one")},
      {"fwmark", one_of({word("off"), number(0, 0xffffffff, "mark"), text("0x…")}, "mark of outer packets")},
      {"addresses", addresses()},
      {"mtu", mtu()},
      {"routes",
       {{"enum", {"auto", "off"}}, {"default", "auto"}, {"description", "kernel routes follow allowed_ips"}}},
      {"table",
       one_of({word("main"), number(1, 0xffffffff, "routing table")}, "routing table of the routes")},
      {"peers", list({{"$ref", "#/$defs/peer"}}, "the peers")},
      {"peer_files", list(text("a pattern such as peers.d/*.yaml"), "files with further peers")},
      {"enabled", {{"type", "boolean"}, {"default", true}, {"description", "administrative state"}}}};
  add_settings<config::Interface>(keys);
  Json schema = map_of(std::move(keys), "a WireGuard interface");
  schema["oneOf"] = {{{"required", {"private_key"}}}, {{"required", {"private_key_file"}}}};
  return schema;
}

Json control() {
  Json keys = {{"socket", text("absolute path of the control socket")},
               {"admin_group", text("group that may change things")},
               {"read_group", text("group that may look")},
               {"metrics", text("off, or address:port such as 127.0.0.1:9586")},
               {"metrics_per_peer",
                {{"type", "boolean"}, {"default", true}, {"description", "metrics that name peers"}}}};
  add_settings<config::Control>(keys);
  return map_of(std::move(keys), "sockets, metrics, log");
}

Json flows() {
  Json keys = Json::object();
  add_settings<config::Flows>(keys);
  return map_of(std::move(keys), "connections that Linux has accepted");
}

// A section whose keys are all commented out is empty.
Json may_be_empty(Json schema) {
  schema["type"] = {"object", "null"};
  return schema;
}

// Entries whose names the operator chooses.
Json named(Json entry, const char* description) {
  return {{"type", "object"},
          {"patternProperties", {{"^[a-zA-Z0-9_=+.-]{1,15}$", std::move(entry)}}},
          {"additionalProperties", false},
          {"description", description}};
}

}  // namespace

Json configuration_schema() {
  Json sections = {{"dpdk", may_be_empty(dpdk())},
                   {"ports", named(port(), "ports by name")},
                   {"interfaces", named(interface(), "WireGuard interfaces by name")},
                   {"flows", may_be_empty(flows())},
                   {"control", may_be_empty(control())}};
  Json schema = map_of(std::move(sections), "A Linegate gateway");
  schema["$schema"] = "https://json-schema.org/draft/2020-12/schema";
  schema["title"] = "Linegate configuration";
  schema["$defs"] = {{"peer", peer()}};
  return schema;
}

void add_schema(CLI::App& app, Invocation& invocation) {
  app.add_subcommand("schema", "Print the JSON Schema of the configuration file, for editors")
      ->callback([&invocation] { invocation.terminal.out << configuration_schema().dump(2) << "\n"; });
}

}  // namespace wg::control::cli
