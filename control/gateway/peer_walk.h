// A walk over the peers of all interfaces by their slots, in slices (PeerCursor).
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "control/api/status_source.h"
#include "control/interface/peer_book.h"
#include "dataplane/session/peer_table.h"

namespace wg::control {

// At the begin of a walk, for each book whose peers are to be met.
inline void include(const PeerBook& book, PeerCursor& at) {
  at.begun = true;
  at.end = std::max(at.end, book.slots());
  at.newest = std::max(at.newest, book.newest());
}

// One slice. A peer keeps its slot as long as it is there, and one that came after the begin has a greater
// generation, whichever slot it got. `meet(peer)` is called for the others; false: the peer is gone.
// Returns false at the end.
template <class Meet>
bool walk(PeerCursor& at, SliceEnd until, const dataplane::PeerTable& table, const Meet& meet) {
  constexpr std::uint32_t kPassed = 256;  // slots that are passed quickly, between two looks at the clock
  while (at.next < at.end) {
    const dataplane::Peer& peer = table.at(at.next++);
    const std::uint32_t generation = dataplane::Peer::relaxed(peer.generation);
    const bool met = generation != 0 && generation <= at.newest && meet(peer);
    if ((met || at.next % kPassed == 0) && std::chrono::steady_clock::now() >= until) break;
  }
  return at.next < at.end;
}

}  // namespace wg::control
