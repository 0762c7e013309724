// A session's two transport keys (WireGuard paper section 5.4.5) and their live state.
//
// Life cycle: the control thread derives it, publishes it (KeypairTable for receiving, Peer::current for
// sending), retires it, and frees it after every worker has passed a quiescent state. It lives in the secret
// arena (locked, left out of core dumps, wiped on free).
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "dataplane/session/limits.h"
#include "dataplane/session/replay_window.h"

namespace wg::dataplane {

struct Peer;

struct alignas(64) Keypair {
  // Cache line of receiving. Constant after publication.
  std::array<std::uint8_t, 32> receiving_key{};
  Peer* peer = nullptr;
  BootTime birthdate = kNever;        // when the session was derived
  std::uint32_t local_index = 0;      // receiver_index in messages to us
  std::uint32_t peer_generation = 0;  // PeerRef of `peer`
  // False until the first authenticated data on a responder's session, which must not send before
  // (paper section 5.4.6). Writers: workers (false -> true); reader: control.
  std::atomic<bool> confirmed{false};

  // Cache line of sending: everything that sending reads. Constant after publication except for the two
  // atomics.
  alignas(64) std::array<std::uint8_t, 32> sending_key{};
  BootTime sending_birthdate = kNever;  // the same as birthdate
  std::uint32_t remote_index = 0;       // receiver_index in messages to the peer
  bool i_am_initiator = false;
  // False after the interface's private key changed; receiving goes on (protocol C4-10). Writer: control.
  std::atomic<bool> sending_valid{true};
  // The next counter. Writers: any worker, by one fetch_add per run of packets, so that a (key, counter) pair
  // can never repeat, or a sole worker by a store; reader: control.
  std::atomic<std::uint64_t> sending_counter{0};

  // Writers: workers, under the window's own lock.
  alignas(64) ReplayWindow replay;

  void set_birthdate(BootTime now) noexcept { birthdate = sending_birthdate = now; }
  // The age at `now`; 0 when `now` precedes the birthdate: a worker reads its clock once per loop, and
  // control may publish a keypair during the loop.
  [[nodiscard]] std::chrono::nanoseconds age(BootTime now) const noexcept { return elapsed(now, birthdate); }
  [[nodiscard]] std::chrono::nanoseconds sending_age(BootTime now) const noexcept {
    return elapsed(now, sending_birthdate);
  }
  [[nodiscard]] bool expired(BootTime now) const noexcept { return age(now) >= REJECT_AFTER_TIME; }
};
static_assert(offsetof(Keypair, sending_key) == 64 && offsetof(Keypair, replay) == 128);

}  // namespace wg::dataplane
