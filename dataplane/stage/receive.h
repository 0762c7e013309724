// Outer to inner: sessions in front of the open; behind it the protocol's order of checks. A packet that
// fails the inner checks has still roamed the endpoint, confirmed the session and fed the timers; a replayed
// one has done none of it; a bad tag has touched nothing.
#pragma once

#include <array>
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

  // Receiver index -> keypair, refusing what no session of the interface may open; compares the outer
  // addresses with the peer's path and fills in the AEAD operations: C -> S.
  [[gnu::flatten]] void prepare(const BurstContext& at, DataBurst& data);
  // Empties `data`, opened: O. What is authentic, new and well-formed goes into `inner`.
  void finish(const BurstContext& at, DataBurst& data, InnerBurst& inner);

 private:
  // Messages behind each other to one receiver index and one interface: judged once, for all of them.
  struct MessageRuns {
    std::size_t n = 0;
    std::array<std::size_t, kBurst + 1> begin;  // one more than n
  };
  // The notes of note_authenticated() about a run of packets.
  struct Noted {
    bool any = false, data = false;
  };

  void find_sessions(const BurstContext& at, DataBurst& data, MessageRuns& runs);
  [[gnu::noinline]] void refuse_unknown(const BurstContext& at, const DataBurst& data, std::size_t i);
  void report_stray(const BurstContext& at, const DataBurst& data, std::size_t i);
  static void prefetch_sessions(const DataBurst& data, const MessageRuns& runs);
  bool session_usable(const BurstContext& at, const DataBurst& data, std::size_t i,
                      DropReason* refused) const;
  std::size_t prepare_run(DataBurst& data, std::size_t begin, std::size_t end, std::size_t kept);
  [[gnu::flatten]] void accept_burst(const BurstContext& at, DataBurst& data, InnerBurst& inner);
  void accept_run(const BurstContext& at, const DataBurst& data, std::size_t begin, std::size_t end,
                  InnerBurst& inner);
  [[gnu::noinline]] void refuse(const DataBurst& data, std::size_t i);
  [[gnu::noinline]] void note_authenticated(const BurstContext& at, const DataBurst& data, std::size_t i,
                                            Noted& noted);
  [[gnu::noinline]] void post_roamed(const DataBurst& data, std::size_t i);
  bool take_usual_inner(const DataBurst& data, std::size_t i, const PacketOrigin& origin, InnerBurst& inner);
  [[gnu::noinline]] void take_unusual_inner(const DataBurst& data, std::size_t i, const PacketOrigin& origin,
                                            InnerBurst& inner);
  void take_inner(const DataBurst& data, std::size_t i, std::size_t length, bool v6,
                  const PacketOrigin& origin, InnerBurst& inner);
  [[gnu::flatten]] void check_sources(const BurstContext& at, InnerBurst& inner);
  std::size_t check_sources_of(const Snapshot& view, std::size_t begin, std::size_t end, InnerBurst& inner);
  [[gnu::noinline]] bool refuse_source(const Snapshot& view, InnerBurst& inner, std::size_t i, Peer& peer,
                                       lpm::Value owner);
  void drop_disallowed(const InnerBurst& inner, std::size_t i, Peer& peer, lpm::Value owner);

  Core& core_;
  PlainBurst plain_;
  bool mismatch_posted_ = false;      // of this loop: one source_mismatch event is enough
  BootTime stray_reported_ = kNever;  // when the last stray event was posted
  PeerRef roamed_peer_;               // of this loop: what the last roamed event said
  Endpoint roamed_to_, roamed_at_;
};

}  // namespace wg::dataplane
