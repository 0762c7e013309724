// Full load for a gateway of this process: the receive callbacks of its two ports (net_null, wan and lan)
// make packets whenever the worker polls, the transmit callbacks count what leaves. All on the worker's own
// thread, so "full" needs no second core, nothing is in flight after a loop, and every lost packet is a
// count.
//
//   remotes --sealed--> wan | gateway | lan --> host          host --> lan | gateway | wan --sealed-->
//   remotes
#pragma once

#include <rte_mbuf.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "dataplane/crypto/aead.h"
#include "tests/daemon/loop_times.h"
#include "tests/daemon/remotes.h"

namespace wg::test {

inline constexpr const char* kWanDevice = "net_null0,no-rx=1";
inline constexpr const char* kLanDevice = "net_null1,no-rx=1";

// The commands a sandbox needs before packets find their way: neighbours of the ports.
void add_neighbours();

struct Tally {
  std::uint64_t sent_in = 0, arrived_in = 0;    // from the remotes to the LAN
  std::uint64_t sent_out = 0, arrived_out = 0;  // from the LAN to the remotes
  std::uint64_t reordered = 0;
  [[nodiscard]] std::uint64_t sent() const { return sent_in + sent_out; }
  [[nodiscard]] std::int64_t lost_in() const { return static_cast<std::int64_t>(sent_in - arrived_in); }
  [[nodiscard]] std::int64_t lost_out() const { return static_cast<std::int64_t>(sent_out - arrived_out); }
  [[nodiscard]] std::int64_t lost() const { return lost_in() + lost_out(); }
};

class Load {
 public:
  // The gateway runs, with both devices as ports.
  explicit Load(Remotes& remotes);
  ~Load();
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;

  // Handshakes through the wire with the remotes of these numbers; how many came up.
  std::size_t bring_up(const std::vector<std::size_t>& wanted, std::chrono::milliseconds patience);
  // One packet from each, so that the gateway may send; waits until it has noticed.
  void confirm(const std::vector<std::size_t>& wanted);

  // One message of a remote, and what the gateway has answered since the last call.
  void send(const Remote& remote, std::span<const std::uint8_t> message);
  std::deque<std::vector<std::uint8_t>> take();

  // Messages of unknown hosts, over and over, so many a second; none: no more. Each has another source.
  using Messages = std::vector<std::vector<std::uint8_t>>;
  void flood(const Messages& messages, unsigned per_second);
  [[nodiscard]] std::uint64_t flooded() const { return flooded_.load(std::memory_order_relaxed); }

  // Traffic of these remotes, both ways, until stop(). `share` of the polls bring packets (1: full load).
  void start(const std::vector<std::size_t>& wanted, unsigned poll_every = 1);
  void stop();  // returns when everything is through
  [[nodiscard]] std::uint64_t sent() const { return sent_.load(std::memory_order_relaxed); }

  // Between stop() and start(): since the last call.
  Tally take_tally();
  LoopTimes take_times();

 private:
  enum class Mode : std::uint8_t { off, confirm, on };
  static std::uint16_t on_wan_rx(std::uint16_t, std::uint16_t, rte_mbuf** packets, std::uint16_t n,
                                 std::uint16_t room, void* self);
  static std::uint16_t on_lan_rx(std::uint16_t, std::uint16_t, rte_mbuf** packets, std::uint16_t n,
                                 std::uint16_t room, void* self);
  static std::uint16_t on_wan_tx(std::uint16_t, std::uint16_t, rte_mbuf** packets, std::uint16_t n,
                                 void* self);
  static std::uint16_t on_lan_tx(std::uint16_t, std::uint16_t, rte_mbuf** packets, std::uint16_t n,
                                 void* self);

  std::uint16_t inject(rte_mbuf** packets, std::uint16_t n, std::uint16_t room);
  std::uint16_t make_sealed(rte_mbuf** packets, std::uint16_t n);
  std::uint16_t make_plain(rte_mbuf** packets, std::uint16_t n);
  void wait_loops(std::uint64_t loops);
  std::uint16_t inject_flood(rte_mbuf** packets, std::uint16_t n, std::uint16_t room);
  rte_mbuf* packet_of(std::span<const std::uint8_t> frame);

  Remotes& remotes_;
  std::uint16_t wan_ = 0, lan_ = 0;
  const void* callbacks_[4] = {};
  rte_mempool* pool_;
  crypto::AeadScratchPtr scratch_ = crypto::make_aead_scratch();
  std::array<std::uint8_t, 6> wan_mac_{}, lan_mac_{};

  std::atomic<Mode> mode_{Mode::off};
  std::atomic<std::uint64_t> polls_{0}, sent_{0};
  std::vector<Remote*> active_;  // changed only while off
  std::size_t next_in_ = 0, next_out_ = 0;
  unsigned poll_every_ = 1;

  std::mutex mutex_;  // guards the two queues of handshake frames
  std::deque<std::vector<std::uint8_t>> to_gateway_, from_gateway_;
  Messages flood_;                                // frames. Guarded by it too
  std::uint64_t flood_pace_ = 0, flood_due_ = 0;  // in ticks of the TSC: between two, of the next
  std::atomic<std::uint64_t> flooded_{0};

  LoopClock clock_;  // W: load; read while off
};

}  // namespace wg::test
