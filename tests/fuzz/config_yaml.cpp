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

namespace {

using namespace wg::config;

void require(bool holds) {
  if (!holds) std::abort();
}

void check_accepted(const Gateway& gateway, const ParseOptions& options) {
  require(validate(gateway).empty());
  require(diff(gateway, gateway).empty());
  lint(gateway, Environment{});
  std::string text = "interfaces:\n";
  for (const auto& [name, interface] : gateway.interfaces) text += emit_interface(name, interface);
  const auto again = parse_text(text, "again.yaml", options);
  require(again.ok() && again.value->interfaces == gateway.interfaces);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ParseOptions options;
  options.open_files = false;
  const auto result = parse_text({reinterpret_cast<const char*>(data), size}, "fuzz.yaml", options);
  require(result.ok() == result.problems.empty());
  for (const auto& problem : result.problems) require(to_string(problem).find('\n') == std::string::npos);
  if (result.ok()) check_accepted(*result.value, options);
  return 0;
}
