// Inner to outer: cryptokey routing, the session's next counters, padding and headers in front of the seal;
// behind it the way out.
#pragma once

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
  // through `fragment`, what waits for a session to control; refusals the sender must hear of into `icmp`.
  [[gnu::flatten]] void prepare(const BurstContext& at, SendBurst& send, Icmp& icmp, Fragment& fragment);
  // Empties `send`, sealed, into the outgoing queues or to the kernel's socket.
  void transmit(const BurstContext& at, SendBurst& send);

 private:
  // What a run of packets shares that leave with the same session by the same path.
  struct EgressState {
    const Keypair* keypair = nullptr;
    const Path* path = nullptr;
    std::size_t peer_mtu = 0;    // inner bytes, 0: the interface's
    std::size_t pad_limit = 0;   // padding does not go beyond
    std::size_t path_limit = 0;  // inner bytes that leave as one datagram of the path's MTU
    std::size_t headers = 0;     // in front of the payload
    [[nodiscard]] bool serves(const SendBurst& burst, std::size_t i) const noexcept {
      return burst.keypair[i] == keypair && burst.path[i] == path && keypair != nullptr;
    }
  };

  void choose_peers(const BurstContext& at, SendBurst& send, Icmp& icmp);
  void choose_peers_of(const BurstContext& at, SendBurst& send, std::size_t begin, std::size_t end,
                       Icmp& icmp);
  static void find_paths(SendBurst& send);
  void drop_unsendable(const BurstContext& at, SendBurst& send, Icmp& icmp, Fragment& fragment);
  [[nodiscard]] bool has_usable_path(const BurstContext& at, SendBurst& send, std::size_t i, Icmp& icmp);
  [[nodiscard]] static EgressState egress_state(const Snapshot& view, const SendBurst& send, std::size_t i);
  [[nodiscard]] bool check_size(const BurstContext& at, SendBurst& send, std::size_t i,
                                const EgressState& state, Icmp& icmp, Fragment& fragment);
  [[gnu::cold]] void cut_or_refuse(const BurstContext& at, SendBurst& send, std::size_t i, std::size_t mtu,
                                   Icmp& icmp, Fragment& fragment);
  std::size_t reserve_counters(const BurstContext& at, SendBurst& send, std::size_t begin, std::size_t end);
  [[gnu::cold]] void stage(SendBurst& send, std::size_t i);
  [[gnu::cold]] void refuse(const BurstContext& at, SendBurst& send, std::size_t i, DropReason reason,
                            Icmp& icmp);
  void encapsulate(const BurstContext& at, SendBurst& send, std::size_t i, Tally& tally);
  void count_sent(BootTime now, const Tally& tally);
  void write_outer(std::uint8_t* frame, const Path& path, std::uint16_t udp_length, std::uint8_t tos);
  void send_through_kernel(SendBurst& send, std::size_t i);

  Core& core_;
  Egress& egress_;
  std::uint16_t ipv4_id_ = 0;
};

}  // namespace wg::dataplane
