// Requests whose answers hold private or preshared keys: for the administrator's control socket
// and for wg(8).
//
// Contract: as StatusSource. The SecretKeys of an answer wipe themselves.
#pragma once

#include <functional>
#include <optional>
#include <string_view>

#include "config/types.h"
#include "control/api/status_source.h"
#include "control/api/wg_protocol.h"

namespace wg::control {

class SecretSource {
 public:
  virtual ~SecretSource() = default;

  // The interface as configured at this moment, runtime changes included; for export.
  virtual std::optional<config::Interface> interface_config(std::string_view interface) const = 0;
  // Without its peers.
  virtual std::optional<WgDevice> wg_get(std::string_view interface) const = 0;
  // One slice of them, as StatusSource::visit_peers(). Refused: the interface has gone.
  virtual Expected<bool> wg_peers(std::string_view interface, PeerCursor& at, SliceEnd until,
                                  const std::function<void(WgPeer&&)>& visit) const = 0;
};

}  // namespace wg::control
