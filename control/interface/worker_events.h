// Events that workers report to the control thread about the peers of an interface, and the transport data
// that arrives by the kernel's socket and goes to them.
//
// Control thread only.
#pragma once

#include <vector>

#include "control/interface/core.h"
#include "control/interface/engine_host.h"
#include "control/interface/peer_endpoints.h"
#include "control/interface/peer_notes.h"
#include "control/packet_ptr.h"

namespace wg::control {

class WorkerEvents {
 public:
  WorkerEvents(InterfaceCore& core, EngineHost& host, PeerEndpoints& endpoints, PeerNotes& notes)
      : core_(core), host_(host), endpoints_(endpoints), notes_(notes) {}

  void on_event(const dataplane::Event& event, PacketPtr packet);
  void receive_data(const ReceivedDatagram& datagram);
  // Tells the engine of remembered sources that the kernel did not take while something was sent.
  void clear_stale_sources();

 private:
  [[nodiscard]] bool may_roam_to(const PeerRecord& record, const dataplane::Endpoint& remote) const;
  [[nodiscard]] dataplane::Endpoint on_its_link(const PeerRecord& record, dataplane::Endpoint remote,
                                                const dataplane::Endpoint& local) const;
  void stage(const dataplane::Event& event, PacketPtr packet);
  void send_sealed(const dataplane::Event& event, const rte_mbuf& packet);

  InterfaceCore& core_;
  EngineHost& host_;
  PeerEndpoints& endpoints_;
  PeerNotes& notes_;
  std::vector<dataplane::PeerRef> stale_sources_;
};

}  // namespace wg::control
