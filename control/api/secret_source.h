// Requests whose answers hold private or preshared keys: for the administrator's control socket
// and for wg(8).
//
// Contract: as StatusSource. The SecretKeys of an answer wipe themselves.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>

#include "config/types.h"
#include "control/api/status_source.h"
#include "control/api/wg_protocol.h"

namespace wg::control {

// A place in an interface's configuration.
struct ConfigCursor {
  bool begun = false;
  std::uint64_t generation = 0;  // when it began
  std::size_t next = 0;          // peer
};

struct ConfigVisitor {
  std::function<void(const config::Interface&)> interface;
  std::function<void(const config::Peer&)> peer;
};

class SecretSource {
 public:
  virtual ~SecretSource() = default;

  // One slice of an interface as configured, runtime changes included: the interface itself in the first,
  // then its peers in their order. False: it was the last. Refused: there is no such interface (ENODEV), or
  // something has changed since the first slice (EAGAIN); then what was visited belongs to no one moment.
  virtual Expected<bool> visit_config(std::string_view interface, ConfigCursor& at, SliceEnd until,
                                      const ConfigVisitor& visit) const = 0;
  // Without its peers.
  virtual std::optional<WgDevice> wg_get(std::string_view interface) const = 0;
  // One slice of them, as StatusSource::visit_peers(). Refused: the interface has gone.
  virtual Expected<bool> wg_peers(std::string_view interface, PeerCursor& at, SliceEnd until,
                                  const std::function<void(WgPeer&&)>& visit) const = 0;
};

}  // namespace wg::control
