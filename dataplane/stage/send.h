// Inner to outer: cryptokey routing, the session's next counters, padding and headers in front of the seal;
// behind it the way out.
#pragma once

#include <array>
#include <cstdint>

#include "dataplane/core/core.h"
#include "dataplane/core/egress.h"
#include "dataplane/session/keypair.h"
#include "dataplane/stage/fragment.h"
#include "dataplane/stage/icmp.h"

namespace wg::dataplane {

class Send {
 public:
  Send(Core& core, Egress& egress) : core_(core), egress_(egress) {}

  // Leaves in `send` what can leave now, ready to be sealed. Of the rest, what is too big for its peer goes
  // through `fragment`, what waits for a session to control; refusals that the sender must get into `icmp`.
  [[gnu::flatten]] void prepare(const BurstContext& at, SendBurst& send, Icmp& icmp, Fragment& fragment);
  // Empties `send`, sealed, into the outgoing queues or to the kernel's socket.
  void transmit(const BurstContext& at, SendBurst& send);

  // ---- about packets that do not exist (control thread)
  // Is there a session to send with?
  [[nodiscard]] static bool can_send_to(const Peer& peer, BootTime now);
  // The size of `length` inner bytes, sealed and with the outer IP header. `peer_mtu` 0: the interface's.
  [[nodiscard]] static std::size_t sealed_size(const Path& path, std::size_t length, std::size_t peer_mtu,
                                               std::size_t interface_mtu);

 private:
  using Run = SendBurst::Run;
  struct Runs {
    std::size_t n = 0;
    std::array<Run, kBurst> run;
  };
  // The limits that the packets of a run are judged by.
  struct RunLimits {
    std::size_t mtu;         // inner bytes that the peer takes
    std::size_t pad_limit;   // padding does not go beyond
    std::size_t path_limit;  // inner bytes that leave as one datagram of the path's MTU
    std::size_t headers;     // bytes in front of the payload
    bool sendable;           // there is a session to send with
  };

  void choose_peers(const BurstContext& at, SendBurst& send, Icmp& icmp);
  std::size_t choose_peers_of(const BurstContext& at, SendBurst& send, std::size_t begin, std::size_t end,
                              Icmp& icmp);
  static void find_runs(const SendBurst& send, Runs& found);
  void drop_unsendable(const BurstContext& at, SendBurst& send, const Runs& found, Icmp& icmp,
                       Fragment& fragment);
  std::size_t keep_sendable(const BurstContext& at, SendBurst& send, const Run& found, std::size_t begin,
                            std::size_t kept, Icmp& icmp, Fragment& fragment);
  [[nodiscard]] static bool pad_all(SendBurst& send, std::size_t begin, std::size_t end,
                                    const RunLimits& limits) noexcept;
  [[gnu::noinline]] std::size_t keep_some(const BurstContext& at, SendBurst& send, const Run& found,
                                          std::size_t begin, std::size_t kept, const RunLimits& limits,
                                          Icmp& icmp, Fragment& fragment);
  std::size_t end_run(const BurstContext& at, SendBurst& send, Run run, std::size_t begin, std::size_t end);
  [[nodiscard]] static RunLimits limits_of(const BurstContext& at, const Run& run);
  [[nodiscard]] bool check_size(const BurstContext& at, SendBurst& send, std::size_t i,
                                const RunLimits& limits, Icmp& icmp, Fragment& fragment);
  [[gnu::cold]] void drop_without_path(const BurstContext& at, SendBurst& send, std::size_t i, const Run& run,
                                       Icmp& icmp);
  [[gnu::cold]] void cut_or_refuse(const BurstContext& at, SendBurst& send, std::size_t i, std::size_t mtu,
                                   Icmp& icmp, Fragment& fragment);
  [[nodiscard]] std::uint64_t take_counters(Keypair& keypair, std::uint64_t n) const noexcept;
  std::size_t reserve_counters(const BurstContext& at, SendBurst& send, Run& run, std::size_t begin,
                               std::size_t end);
  [[gnu::cold]] void stage(SendBurst& send, std::size_t i);
  [[gnu::cold]] void refuse(const BurstContext& at, SendBurst& send, std::size_t i, DropReason reason,
                            Icmp& icmp);
  void encapsulate(const BurstContext& at, SendBurst& send, Run& run, std::size_t begin);
  template <typename Headers>
  void encapsulate_with(Headers headers, const BurstContext& at, SendBurst& send, Run& run,
                        std::size_t begin);
  void send_through_kernel(SendBurst& send, std::size_t i, Peer& peer);

  Core& core_;
  Egress& egress_;
  std::uint16_t ipv4_id_ = 0;
};

}  // namespace wg::dataplane
