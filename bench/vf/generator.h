// Sends packets at a rate through the gateway between its two wires, and judges each that arrives. One
// thread, one core, one queue of each wire.
#pragma once

#include <cstdint>
#include <vector>

#include "bench/vf/histogram.h"
#include "bench/vf/peers.h"
#include "bench/vf/sequence.h"
#include "bench/vf/wire.h"
#include "dataplane/crypto/aead.h"

namespace wg::bench {

struct Order {
  Direction direction = Direction::kReceive;
  // At the other ends of the wires is the forwarder: what is sent into the one comes out of the other.
  bool looped = false;
  // False, and looped: packets of the same lengths, neither sealed nor opened.
  bool sealed = true;
  std::vector<std::uint32_t> sizes = {64};  // taken in turn
  double rate = 0;                          // packets a second; 0: as fast as it can
  double seconds = 1;
  std::uint64_t packets = 0;  // 0: as many as the time allows
  std::uint32_t open_every =
      8;  // into the tunnel: one in so many is opened; all are counted by their counter
};

struct Result {
  double seconds = 0;          // the time in which packets were sent
  std::uint64_t sent = 0;      // offered to the wire
  std::uint64_t refused = 0;   // the wire did not take them: lost on a virtual wire, not offered on a card
  std::uint64_t skipped = 0;   // not sent because the generator was late
  std::uint64_t received = 0;  // once each
  std::uint64_t in_time = 0;   // among them, before the last was sent
  std::uint64_t lost = 0;
  std::uint64_t late = 0, twice = 0;  // out of order; received again
  std::uint64_t bad = 0;              // not what was sent, or no tag that verifies
  std::uint64_t opened = 0, keepalives = 0, others = 0;
  std::uint64_t stalls = 0, stalled = 0, longest_stall = 0;  // loops over 100 us, and clocks of them
  Histogram latency;                                         // clocks
};

class Generator {
 public:
  Generator(Wire& lan, Wire& wan, std::uint32_t peers, rte_mempool* pool);

  struct Connected {
    bool link = false, gateway = false;
    std::uint32_t sessions = 0;
    double seconds = 0;  // of the handshakes
  };
  // Waits for links, MAC addresses and, unless `looped`, a session for each peer, at most so long.
  Connected connect(bool looped, double seconds);
  // Answers what arrives between trials.
  void idle();
  Result run(const Order& order);

  // Seconds from the end of a gateway's process, which this call kills, to what its successor does. 0: it did
  // not in time.
  struct Recovered {
    double link = 0, gateway = 0, sessions = 0;
    bool by_gateway = false;  // it began the handshakes, from the endpoints that it remembers
  };
  Recovered recover(int process, double seconds);

  [[nodiscard]] const Peers& peers() const { return peers_; }

 private:
  friend class Trial;
  struct Flow {
    dataplane::Keypair* sending = nullptr;  // as at the trial's begin; null: none, or looped
    std::uint64_t number = 0;               // of the next packet in this trial
    std::uint32_t session = 0;              // receiver index that `arrivals` is of
    Sequence arrivals;
  };

  void send_message(std::uint32_t flow, noise::Bytes message);
  bool wait_for_links(double seconds);
  bool wait_for_gateway(double seconds);
  bool shake_hands(double seconds, BootTime older_than);
  // Anything but the packets of a trial.
  void take_other(Wire& wire, rte_mbuf* packet);
  void take_others(Wire& wire);
  void take_message(dataplane::Bytes frame);
  // The first message on a session that the gateway began lets us send with it.
  void confirm_by(dataplane::Bytes message);
  bool wait_for_sessions(double seconds, bool* by_gateway);
  void renew_sessions(double for_seconds);

  Wire &lan_, &wan_;
  rte_mempool* pool_;
  Peers peers_;
  std::vector<Flow> flows_;
  std::vector<std::uint32_t> walk_;  // the flows at random
  std::uint32_t turn_ = 0, trial_ = 0, keepalive_turn_ = 0;
  std::uint64_t next_keepalive_ = 0;  // clock
  std::uint64_t new_sessions_ = 0;
  crypto::AeadScratchPtr scratch_;
};

}  // namespace wg::bench
