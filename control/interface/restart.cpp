// Endpoints over a restart of the gateway: what is remembered, and how peers are told to begin anew.
#include <utility>

#include "control/clock.h"
#include "control/interface/interface.h"

namespace wg::control {

namespace {

constexpr BootTime kFreshFor = RememberedPeers::kFreshFor;

}  // namespace

void Interface::restore_endpoints(std::vector<RememberedPeer> peers) {
  remembered_.load(std::move(peers), now());
}

// After the configured endpoint, which the restored one replaces as if the peer had roamed there.
void Interface::restore_endpoint(PeerRecord& record) {
  if (!engine_->is_up()) return;
  const noise::Now at = now();
  const auto known = remembered_.claim(record.public_key, record.slot->slot, at);
  if (!known) return;
  record.endpoint_restored = true;
  Endpoint local;
  local.address = known->local;
  engine_->restore_endpoint(*record.slot, known->remote, local, known->heard_at, at);
  services_.counters.endpoints_restored.add(1);
  watch_strays();
}

// The peer has a session, or is gone.
void Interface::forget_remembered(PeerRecord& record) {
  record.endpoint_restored = false;
  remembered_.forget(record.public_key);
  watch_strays();
}

void Interface::expire_remembered() {
  remembered_.expire(now());
  watch_strays();
}

// Whether workers shall report transport data that no session opens.
void Interface::watch_strays() {
  const dataplane::InterfaceView& view = std::as_const(services_.publisher).interface(id_);
  if (view.report_strays != remembered_.watching())
    services_.publisher.interface(id_).report_strays = remembered_.watching();
}

// Nothing of it is authentic. What a forger of the very address can cause is one initiation in 5 s to where
// the peer was, and only until it has a session.
void Interface::on_stray(const dataplane::Event& event) {
  const auto slot = remembered_.slot_at(event.remote);
  PeerRecord* record = slot ? find_slot(*slot) : nullptr;
  if (record != nullptr && engine_->on_stray(*record->slot, now())) services_.counters.strays_answered.add(1);
}

// Nothing answered at the restored endpoint: the peer has moved meanwhile.
void Interface::use_configured_endpoints() {
  for (const dataplane::PeerRef& ref : std::exchange(no_answer_, {})) {
    PeerRecord* record = find_slot(ref.slot);
    if (record == nullptr || !(record->slot->ref() == ref) || !record->endpoint) continue;
    if (record->endpoint_restored) apply_endpoint(*record);
  }
}

std::size_t Interface::list_heard(std::size_t from, std::size_t count,
                                  std::vector<RememberedPeer>& out) const {
  const noise::Now at = now();
  if (from == 0) {
    // Not heard of in this life, and still fresh: for a start soon after this one.
    std::vector<RememberedPeer> unheard = remembered_.list(at);
    out.insert(out.end(), unheard.begin(), unheard.end());
  }
  std::vector<noise::HeardPeer> heard;
  const std::size_t next =
      engine_->heard_peers(from, count, at.boot > kFreshFor ? at.boot - kFreshFor : 0, heard);
  for (const noise::HeardPeer& peer : heard) {
    if (peer.remote.scope != 0) continue;  // its link has another number after the start
    const BootTime age = at.boot > peer.heard ? at.boot - peer.heard : 0;
    out.push_back({{peer.key}, peer.remote, peer.local.address, at.wall - age});
  }
  return next;
}

}  // namespace wg::control
