// The workers' view of a peer. Slots of one table, addresses never move.
//
// Each field states its writers (W) and readers (R). Timestamps are BootTime stored relaxed: the control
// thread's timers look at them lazily, so no timer operation happens per packet.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "dataplane/base/ids.h"
#include "dataplane/packet/path.h"
#include "dataplane/session/limits.h"

namespace wg::dataplane {

struct Keypair;

inline constexpr std::uint32_t kNoPeer = 0xffffffff;

// Names a peer across threads and time: a message about a peer that has gone meanwhile finds another
// generation and is ignored.
struct PeerRef {
  std::uint32_t slot = kNoPeer;
  std::uint32_t generation = 0;
  friend bool operator==(const PeerRef&, const PeerRef&) = default;
};

// Requests a worker has raised and control has not answered yet: each is posted once.
enum PeerRequest : std::uint32_t {
  kRequestHandshake = 1u << 0,  // no usable session, or rekey due on send
  kRequestKeyFresh = 1u << 1,   // initiator's key passed 165 s on receive (protocol C3-6)
  // The peer has moved and control has not followed yet: what is sent goes through control's mailbox, behind
  // the report, so that not even the answer to the packet that showed the move goes to the old place (and
  // pulls the peer back).
  kRequestRoaming = 1u << 2,
};
// The requests that a handshake answers. The engine lowers these alone: a move may be on its way to it.
inline constexpr std::uint32_t kHandshakeRequests = kRequestHandshake | kRequestKeyFresh;

// On the wire, with WireGuard's headers and tags.
struct Traffic {
  std::uint64_t bytes = 0, packets = 0;
};

// The reasons of drop_reason.h that are counted by peer as well: X(reason). Status and metrics walk the list.
#define LINEGATE_PEER_DROPS(X) \
  X(disallowed_source)         \
  X(replayed)                  \
  X(bad_tag)                   \
  X(inner_malformed)           \
  X(too_big)                   \
  X(no_endpoint)

struct alignas(64) Peer {
  // ---- W: control. R: workers.
  std::atomic<Keypair*> current{nullptr};  // the session to send with; null: stage and ask
  std::atomic<const Path*> path{nullptr};  // prebuilt outer headers; null: no endpoint
  std::uint32_t slot = kNoPeer;            // constant while published
  std::atomic<std::uint32_t> generation{0};
  InterfaceId interface_id{};         // constant while published
  std::atomic<std::uint16_t> mtu{0};  // inner bytes; 0: the interface's
  // A responder's session that control has not promoted yet. To send with from its first data packet on
  // (Keypair::confirmed), which a worker sees before control does; the peer may have lost the older session.
  std::atomic<Keypair*> next{nullptr};
  // ---- W: workers set bits, control clears them.
  std::atomic<std::uint32_t> requested{0};
  // ---- W: workers. R: control. Here, and those of sending below, because with very many peers each further
  // line is a trip to memory.
  std::atomic<std::uint64_t> rx_bytes{0};
  std::atomic<std::uint64_t> rx_packets{0};

  // ---- W: workers (relaxed). R: control, which also clears the two unanswered_* when their timer fires.
  alignas(64) std::atomic<BootTime> last_received{kNever};  // any authenticated packet
  std::atomic<BootTime> last_sent{kNever};  // any authenticated packet, handshakes included (W: control too)
  std::atomic<BootTime> last_data_received{kNever};
  std::atomic<BootTime> last_data_sent{kNever};
  // First data packet received since we last sent anything: due for a passive keepalive 10 s later.
  std::atomic<BootTime> unanswered_received{kNever};
  // First data packet sent since we last received anything: due for a new handshake 15 s later.
  std::atomic<BootTime> unanswered_sent{kNever};
  // W: workers. R: control.
  std::atomic<std::uint64_t> tx_bytes{0};
  std::atomic<std::uint64_t> tx_packets{0};

  // ---- W: workers, fetch_add. R: control. Not touched by packets that pass.
#define LINEGATE_MEMBER(reason) std::atomic<std::uint32_t> drop_##reason{0};
  alignas(64) LINEGATE_PEER_DROPS(LINEGATE_MEMBER)
#undef LINEGATE_MEMBER
      // ---- W: control, of its handshake messages.
      std::atomic<std::uint64_t> handshake_rx_bytes{0};
  std::atomic<std::uint32_t> handshake_rx_packets{0};
  std::atomic<std::uint32_t> handshake_tx_packets{0};
  std::atomic<std::uint64_t> handshake_tx_bytes{0};

  // Transport data and handshake messages together.
  [[nodiscard]] Traffic received() const noexcept {
    return {relaxed(rx_bytes) + relaxed(handshake_rx_bytes),
            relaxed(rx_packets) + relaxed(handshake_rx_packets)};
  }
  [[nodiscard]] Traffic sent() const noexcept {
    return {relaxed(tx_bytes) + relaxed(handshake_tx_bytes),
            relaxed(tx_packets) + relaxed(handshake_tx_packets)};
  }
  void count_handshake_received(std::size_t bytes) noexcept {
    handshake_rx_bytes.fetch_add(bytes, std::memory_order_relaxed);
    handshake_rx_packets.fetch_add(1, std::memory_order_relaxed);
  }
  void count_handshake_sent(std::size_t bytes) noexcept {
    handshake_tx_bytes.fetch_add(bytes, std::memory_order_relaxed);
    handshake_tx_packets.fetch_add(1, std::memory_order_relaxed);
  }
  [[nodiscard]] PeerRef ref() const noexcept {
    return {slot, generation.load(std::memory_order_relaxed)};
  }

  template <typename T>
  [[nodiscard]] static T relaxed(const std::atomic<T>& value) noexcept {
    return value.load(std::memory_order_relaxed);
  }

  // An authenticated packet of `length` plaintext bytes arrived / left (protocol C3-7, C3-8).
  void note_received(BootTime now, bool data) noexcept {
    last_received.store(now, std::memory_order_relaxed);
    if (!data) return;
    last_data_received.store(now, std::memory_order_relaxed);
    if (unanswered_received.load(std::memory_order_relaxed) <= last_sent.load(std::memory_order_relaxed)) {
      unanswered_received.store(now, std::memory_order_relaxed);
    }
  }
  void note_sent(BootTime now, bool data) noexcept {
    if (data) {
      last_data_sent.store(now, std::memory_order_relaxed);
      if (unanswered_sent.load(std::memory_order_relaxed) <= last_received.load(std::memory_order_relaxed)) {
        unanswered_sent.store(now, std::memory_order_relaxed);
      }
    }
    last_sent.store(now, std::memory_order_relaxed);
  }
};
static_assert(sizeof(Peer) == 192 && offsetof(Peer, last_received) == 64 &&
              offsetof(Peer, drop_disallowed_source) == 128);

}  // namespace wg::dataplane
