// Outer to inner: sessions in front of the open; behind it the protocol's order of checks. A packet that
// fails the inner checks has still roamed the endpoint, confirmed the session and fed the timers; a replayed
// one has done none of it; a bad tag has touched nothing.
#pragma once

#include <cstdint>

#include "dataplane/core/core.h"
#include "dataplane/session/keypair.h"

namespace wg::dataplane {

class Receive {
 public:
  explicit Receive(Core& core) : core_(core) {}

  void begin_loop() noexcept {
    mismatch_posted_ = false;
    roamed_peer_ = {};
  }

  // Receiver index -> keypair, refusing what no session of the interface may open: C -> S.
  [[gnu::flatten]] void find_sessions(const BurstContext& at, DataBurst& data);
  // Compares the outer addresses with the peer's path and fills in the AEAD operations: S.
  void prepare_open(DataBurst& data);
  // Empties `data`, opened: O. What is authentic, new and well-formed goes into `inner`.
  void finish(const BurstContext& at, DataBurst& data, InnerBurst& inner);

 private:
  // What note_authenticated() has noted last in this burst.
  struct LastAuthenticated {
    const Keypair* keypair = nullptr;
    bool data = false;
  };

  [[gnu::noinline]] bool refuse_unknown(const BurstContext& at, const DataBurst& data, std::size_t i);
  void report_stray(const BurstContext& at, const DataBurst& data, std::size_t i);
  bool session_usable(const BurstContext& at, DataBurst& data, std::size_t i);
  static void prefetch_accepting(const DataBurst& data, std::size_t i);
  [[gnu::flatten]] void accept_burst(const BurstContext& at, DataBurst& data);
  static void check_replay(const DataBurst& data, bool* fresh);
  bool accept_one(const BurstContext& at, const DataBurst& data, std::size_t i, bool fresh,
                  LastAuthenticated& last);
  void note_authenticated(const BurstContext& at, const DataBurst& data, std::size_t i);
  [[gnu::noinline]] void post_roamed(const DataBurst& data, std::size_t i);
  void check_inner(const DataBurst& data, std::size_t i);
  [[gnu::flatten]] void check_sources(const BurstContext& at, InnerBurst& inner);
  void check_sources_of(const Snapshot& view, std::size_t begin, std::size_t end, InnerBurst& inner);
  void count_received(const Tally& tally);
  [[gnu::noinline]] void drop_disallowed(std::size_t i, lpm::Value owner);

  Core& core_;
  PlainBurst plain_;
  bool mismatch_posted_ = false;  // of this loop: one source_mismatch event is enough
  BootTime stray_reported_ = 0;   // when the last stray event was posted
  PeerRef roamed_peer_;           // of this loop: what the last roamed event said
  Endpoint roamed_to_, roamed_at_;
};

}  // namespace wg::dataplane
