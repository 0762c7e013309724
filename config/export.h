// An interface as a file for wg(8) or wg-quick(8), so that one can move to the kernel's WireGuard.
#pragma once

#include <string>

#include "config/types.h"

namespace wg::config {

enum class ExportFormat : std::uint8_t {
  kSetconf,  // what `wg setconf` reads: keys of WireGuard alone
  kWgQuick,  // with Address, MTU and Table besides
};

// The text holds the private key and the preshared keys: write it with mode 0600 and wipe() it.
// Peers that are not enabled are left out; names become `# Name = …`, which import_wg_quick reads.
[[nodiscard]] std::string export_wg(const Interface& interface, ExportFormat format = ExportFormat::kSetconf);

}  // namespace wg::config
