// The bounds on the work of one interface's engine.
#pragma once

#include <cstddef>

namespace wg::noise {

struct EngineOptions {
  std::size_t queue_capacity = 4096;  // handshake messages waiting (protocol C2-6)
  // The interface is under load with `under_load_at` queued messages (C2-2), or with `wasted_at` initiations
  // and responses in a second that were refused after their mac1 (forged, replayed, too many from one peer).
  std::size_t under_load_at = 4096 / 8;
  std::size_t wasted_at = 256;
  // Work that unknown hosts can cause an interface in a second, cookies or not; beyond it their messages are
  // dropped (docs/security.md). A host with a valid cookie is unknown too until its handshake authenticates.
  std::size_t hashes_per_second = 100'000;  // mac1 checks, and so cookie replies: honest peers need them too
  std::size_t wasted_per_second = 1024;     // messages refused after a Diffie-Hellman
  // How many peers follow a change of the whole interface (key, up, down) together; the first of them do so
  // within the call.
  std::size_t peers_per_slice = 512;
  bool allow_big_future_timestamps =
      true;  // false: refuse initiations stamped more than a day ahead of our clock
};

}  // namespace wg::noise
