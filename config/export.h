// An interface as a file for wg(8) or wg-quick(8), so that one can move to the kernel's WireGuard.
#pragma once

#include <string>

#include "config/types.h"

namespace wg::config {

enum class ExportFormat : std::uint8_t {
  kSetconf,  // what `wg setconf` reads: keys of WireGuard alone
  kWgQuick,  // with Address, MTU and Table besides
};

// The file's parts: the interface, then each peer that is enabled. Names become `# Name = …`, which
// import_wg_quick reads. The texts hold the private key and the preshared keys: write the file with mode 0600
// and wipe() them.
[[nodiscard]] std::string export_interface(const Interface& interface, ExportFormat format);
[[nodiscard]] std::string export_peer(const Peer& peer);

}  // namespace wg::config
