// State that the parts of an interface share. Interface makes it before them and destroys it after them; each
// member says who writes it.
#pragma once

#include <string>

#include "control/interface/listen_socket.h"
#include "control/interface/netdev.h"
#include "control/interface/peer_book.h"
#include "control/log.h"
#include "control/noise/engine.h"
#include "control/services.h"
#include "dataplane/base/ids.h"

namespace wg::control {

struct InterfaceCore {
  Services& services;
  const std::string name;
  const Logger log;
  Netdev netdev;
  PeerBook book;
  ListenSocket socket;
  dataplane::InterfaceId id{};      // W: Interface, once
  noise::Engine* engine = nullptr;  // W: Interface, once; it is there before any peer
};

}  // namespace wg::control
