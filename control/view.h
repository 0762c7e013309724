// From the configuration to what workers see: the one translation, for creation and for every change.
#pragma once

#include <cstdint>

#include "config/types.h"
#include "dataplane/snapshot.h"

namespace wg::control {

// `mtu` is the interface's in force: the configured one, the automatic one, or what `ip link` has set.
[[nodiscard]] dataplane::InterfaceSettings view_of(const config::Interface& value, std::uint16_t mtu);
[[nodiscard]] dataplane::PortSettings view_of(const config::Port& value);

}  // namespace wg::control
