// What can be asked of the daemon and holds private or preshared keys: for the administrator's control socket
// and for wg(8).
//
// Contract: as StatusSource. The SecretKeys of an answer wipe themselves.
#pragma once

#include <optional>
#include <string_view>

#include "config/types.h"
#include "control/api/wg_protocol.h"

namespace wg::control {

class SecretSource {
 public:
  virtual ~SecretSource() = default;

  // The interface as configured at this moment, runtime changes included; for export.
  virtual std::optional<config::Interface> interface_config(std::string_view interface) const = 0;
  virtual std::optional<WgDevice> wg_get(std::string_view interface) const = 0;
};

}  // namespace wg::control
