#include "dataplane/core/core.h"

#include <rte_cycles.h>
#include <rte_mbuf.h>

#include <algorithm>

namespace wg::dataplane {

Core::Core(const WorkerOptions& worker_options, const crypto::AeadEngine& aead_engine,
           rte_mempool* packet_pool)
    : options(worker_options),
      engine(aead_engine),
      scratch(crypto::make_aead_scratch()),
      pool(packet_pool),
      watcher(worker_options.id),
      ns_per_clock_((std::uint64_t{1'000'000'000} << kNsShift) /
                    std::max<std::uint64_t>(rte_get_tsc_hz(), 1)) {}

void Core::return_refused() noexcept {
  std::size_t ours = 0;
  for (std::size_t i = 0; i < refused_.n; ++i) {
    rte_mbuf* packet = refused_.packet[i];
    if (packet->nb_segs != 1 || packet->pool != pool) {
      rte_pktmbuf_free(packet);
    } else if ((packet = rte_pktmbuf_prefree_seg(packet)) != nullptr) {
      refused_.packet[ours++] = packet;
    }
  }
  rte_mempool_put_bulk(pool, reinterpret_cast<void* const*>(refused_.packet.data()),
                       static_cast<unsigned>(ours));
  refused_.n = 0;
}

bool Core::post(const Event& event) noexcept {
  if (!mailboxes.events.post(event)) {
    counters.events_lost.add(1);
    return false;
  }
  counters.events_posted.add(1);
  posted_ = true;
  return true;
}

bool Core::post(const HandshakeMessage& message) noexcept {
  if (!mailboxes.handshakes.post(message)) return false;
  counters.handshakes_posted.add(1);
  posted_ = true;
  return true;
}

void Core::request_handshake(Peer& peer, PeerRequest request, EventType type) noexcept {
  if ((peer.requested.load(std::memory_order_relaxed) & request) != 0) return;
  Event event{};
  event.type = type;
  event.peer = peer.ref();
  event.interface_id = peer.interface_id;
  if ((peer.requested.fetch_or(request, std::memory_order_relaxed) & request) != 0) return;
  if (!post(event)) peer.requested.fetch_and(~std::uint32_t{request}, std::memory_order_relaxed);
}

}  // namespace wg::dataplane
