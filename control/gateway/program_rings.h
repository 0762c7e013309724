// Programs that are the inner side of an interface in place of Linux, or a host behind it. A ring belongs to
// a connection of the control socket and goes with it, or ends by itself: the program has broken the rules of
// the shared memory, or the interface is gone.
//
// Control thread only.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "control/api/ring_source.h"
#include "control/api/status.h"
#include "control/gateway/objects.h"
#include "control/log.h"
#include "control/services.h"
#include "dataplane/io/program_ring.h"

namespace wg::control {

class ProgramRings final : public RingSource {
 public:
  static constexpr std::size_t kMost = 16;  // at a time

  ProgramRings(Services& services, const Objects& objects, Logger log);

  Expected<std::unique_ptr<RingSession>> open_ring(const RingRequest& request, OnEnd on_end) override;
  // Ends those that are to end.
  void every_second();

 private:
  class Session;

  Expected<std::unique_ptr<RingSession>> make(const RingRequest& request, OnEnd on_end);
  Expected<dataplane::RingSources> sources_of(const RingRequest& request, const Interface& interface) const;
  // Refused: sources that are this machine's own.
  Expected<> check_routed(const RingRequest& request) const;
  void announce(GatewayEventKind kind, const std::string& interface, const std::string& detail);

  Services& services_;
  const Objects& objects_;
  Logger log_;
  std::vector<Session*> sessions_;
};

}  // namespace wg::control
