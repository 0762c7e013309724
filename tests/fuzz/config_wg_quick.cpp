// Any text as a wg-quick file: what is accepted must come back unchanged through our own export.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "config/export.h"
#include "config/import_wg_quick.h"
#include "tests/fuzz/input.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace wg::config;
  using wg::fuzz::require;
  const auto imported = import_wg_quick({reinterpret_cast<const char*>(data), size}, "fuzz.conf");
  if (!imported) {
    require(!imported.error().empty());
    return 0;
  }
  auto text = export_interface(imported->interface, ExportFormat::kWgQuick);
  for (const Peer& peer : imported->interface.peers) text += export_peer(peer);
  const auto again = import_wg_quick(text, "again.conf");
  require(again && again->interface == imported->interface);
  require(parse_text(to_yaml("wg0", imported->interface), "again.yaml").has_value());
  return 0;
}
