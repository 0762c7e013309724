// Any text as a configuration: nothing may crash, hang or be believed without being checked. What is
// accepted must pass validate() again, survive being written out, and differ from itself by nothing.
// Key and peer files are not opened.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "config/diff.h"
#include "config/emit.h"
#include "config/lint.h"
#include "config/parse.h"
#include "config/validate.h"
#include "config/yaml_tree.h"
#include "tests/fuzz/input.h"

namespace {

using wg::fuzz::require;

using namespace wg::config;

void check_accepted(const Gateway& gateway, const ParseOptions& options) {
  require(validate(gateway).empty());
  require(diff(gateway, gateway).empty());
  static_cast<void>(lint(gateway, Environment{}));
  std::string text = "interfaces:\n";
  for (const auto& [name, interface] : gateway.interfaces) text += emit_interface(name, interface);
  const auto again = parse_text(text, "again.yaml", options);
  require(again && again->interfaces == gateway.interfaces);
}

bool same(const YamlTree& a, const Node& x, const YamlTree& b, const Node& y) {
  if (x.kind != y.kind || x.flow != y.flow || x.plain != y.plain || x.line != y.line ||
      x.column != y.column || x.text != y.text || x.children != y.children)
    return false;
  const Node *left = a.first_child(x), *right = b.first_child(y);
  for (; left != nullptr && right != nullptr; left = a.next_sibling(*left), right = b.next_sibling(*right))
    if (!same(a, *left, b, *right)) return false;
  return left == right;
}

// Everything that the quick reader accepts is read identically by the library.
void check_quick(std::string_view text) {
  if (!is_yaml_text(text) || text.starts_with("\xef\xbb\xbf")) return;
  const YamlTree quick = YamlTree::read_quickly(text);
  if (quick.empty()) return;
  Problems problems;
  const YamlTree slow = YamlTree::read_by_library(text, 0, "fuzz.yaml", problems);
  require(!slow.empty() && same(quick, quick.root(), slow, slow.root()));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  check_quick(text);
  ParseOptions options;
  options.open_files = false;
  const auto result = parse_text(text, "fuzz.yaml", options);
  require(result.has_value() || !result.error().empty());
  for (const auto& problem : problems_of(result)) require(to_string(problem).find('\n') == std::string::npos);
  if (result) check_accepted(*result, options);
  return 0;
}
