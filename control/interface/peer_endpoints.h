// Where the peers of an interface are to be found: the configured endpoints, the answers of the resolver, and
// the endpoints that are kept over a restart of the gateway (remembered_peers.h).
//
// Control thread only.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "control/interface/core.h"
#include "control/interface/peer_notes.h"
#include "control/interface/remembered_peers.h"

namespace wg::control {

[[nodiscard]] Endpoint literal_endpoint(const config::Endpoint& endpoint, const NetlinkMirror& mirror);

class PeerEndpoints {
 public:
  PeerEndpoints(InterfaceCore& core, PeerNotes& notes) : core_(core), notes_(notes) {}

  // The endpoint that is configured already changes nothing, unless `forced`: it then ends roaming.
  void set(PeerRecord& record, const std::optional<config::Endpoint>& endpoint, bool forced);
  // The peer leaves.
  void remove(PeerRecord& record);
  void on_resolved(PeerRecord& record, const ResolvedName& result);

  // ---- over a restart
  // Peers that are added from now on get theirs back and an initiation.
  void load(std::vector<RememberedPeer> peers);
  void restore(PeerRecord& record);
  // The peer has a session, or is gone.
  void forget_restored(PeerRecord& record);
  void expire_restored();
  // Nothing answered where the peer is thought to be: at a restored endpoint, or at one of the addresses of a
  // host name. leave_silent_ones() reports it to the engine, later.
  void note_no_answer(const PeerRecord& record) { no_answer_.push_back(record.slot->ref()); }
  void leave_silent_ones();
  // Transport data that no session opens.
  void on_stray(const dataplane::Event& event);
  // One step of a walk over all peers; as noise::Engine::heard_peers.
  std::size_t list_heard(std::size_t from, std::size_t count, std::vector<RememberedPeer>& out) const;

 private:
  void apply(PeerRecord& record);
  void try_next(PeerRecord& record);
  void watch_strays();

  InterfaceCore& core_;
  PeerNotes& notes_;
  RememberedPeers remembered_;
  std::vector<dataplane::PeerRef> no_answer_;
};

}  // namespace wg::control
