// The gateway under test of the path bench: the real worker between two ports in memory, any number of peers,
// and batches of packets that are built, sealed and restored outside of the timed sections.
#pragma once

#include <rte_mbuf.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <random>
#include <span>
#include <vector>

#include "bench/dataplane_program.h"
#include "dataplane/crypto/aead.h"
#include "dataplane/flow/flow_table.h"
#include "dataplane/lpm/lpm.h"
#include "dataplane/snapshot.h"
#include "dataplane/worker.h"
#include "tests/worker_world/environment.h"

namespace wg::bench {

// across: plain packets from port to port.
enum class Direction : std::uint8_t { send, receive, across };

// What becomes of the packets of flows. kShortCut: the same packets with `forwarding: short_cut`.
enum class FlowKind : std::uint8_t { kShortCut, kNone, kMasquerade };

struct Case {
  Direction direction = Direction::send;
  std::uint32_t inner = 64;  // IP bytes
  bool outer6 = false;
  std::uint32_t peers = 1;
  bool cold = false;        // packet buffers out of L2
  bool sequential = false;  // peers in order, one after the other
  std::size_t bursts = 2;   // of a batch that is not cold
  bool team = false;        // a second worker, helper(), which the caller runs
  std::uint32_t flows = 0;  // connections of UDP that the packets belong to, at random; 0: none
  FlowKind kind = FlowKind::kShortCut;
  bool stages = false;   // the worker times the stages of every loop
  bool program = false;  // in place of the host on the LAN: one behind a second interface, by a ring
};

enum class Junk : std::uint8_t { wrong_type, wrong_length, wrong_port, unknown_index, bad_mac1, initiation };

class Gateway {
 public:
  // Puts packets into ordinary pages even if large ones are free. Call it before creating the first gateway.
  static void use_small_pages() noexcept;

  explicit Gateway(const Case& c);
  ~Gateway();
  Gateway(const Gateway&) = delete;
  Gateway& operator=(const Gateway&) = delete;

  [[nodiscard]] dataplane::Worker& worker() { return *workers_[0]; }
  [[nodiscard]] std::span<rte_mbuf*> batch() { return batch_; }
  [[nodiscard]] const dataplane::FlowTable& flows() const { return *flows_; }

  // Prepares packets [begin, end) of the batch as received: the next counter, a random peer.
  void prepare(std::size_t begin, std::size_t end);
  // Turns packet i into a message that the worker refuses.
  void prepare_junk(std::size_t i, Junk junk);
  // Seals one burst of the case's payloads outside of the worker, to measure the present cost of the crypto
  // alone.
  void aead_alone();
  // What aead_alone() has sealed.
  [[nodiscard]] CopyAlone::Burst sealed();
  // Puts packets on the wire, which holds up to 4096.
  void arrive(std::span<rte_mbuf* const> packets);
  // Allocates new buffers for packets [begin, end) of the batch, whose old buffers the worker freed.
  void refill(std::size_t begin, std::size_t end);
  // Takes the transmitted packets and returns their number. With a program what it received is replaced by
  // new buffers, and what it sent has left its buffers in the batch.
  std::size_t leave(rte_mbuf** out, std::size_t n);
  // Frees the packets in the mailboxes, as control would.
  void drain_mailboxes();
  void loop() { workers_[0]->run_once(BootClock::now()); }
  [[nodiscard]] dataplane::Worker& helper() { return *workers_[1]; }

  static constexpr std::size_t kBurst = dataplane::kPollBurst;

 private:
  // The remote end of a peer. It is separate from the worker's state, so that preparing packets does not warm
  // that.
  struct Remote {
    std::uint64_t counter;
    std::uint32_t index;
    std::uint32_t address;
  };

  void build_peers();
  void build_snapshot();
  void build_templates();
  void build_flows();
  void build_program();
  std::size_t leave_by_program(rte_mbuf** out, std::size_t n);
  [[nodiscard]] dataplane::FlowTuple original_of(std::uint32_t flow) const;
  [[nodiscard]] dataplane::FlowTuple reply_of(std::uint32_t flow) const;
  void write_flow(std::uint8_t* l3);
  void seal(std::span<const std::uint32_t> peers, std::size_t begin);
  [[nodiscard]] std::uint32_t next_peer();
  [[nodiscard]] std::uint32_t random32() { return static_cast<std::uint32_t>(random_() >> 32); }

  Case case_;
  std::mt19937_64 random_{7};
  std::uint32_t turn_ = 0;
  std::vector<Remote> remotes_;
  std::vector<std::uint8_t> frame_;  // template of a frame, completed per packet
  std::size_t outer_ = 0;            // bytes before the inner packet in a received frame
  std::vector<rte_mbuf*> batch_;
  crypto::AeadScratchPtr scratch_;
  static constexpr std::size_t kAeadStride = 2432, kAeadBegin = 128 + 58;
  std::vector<std::uint8_t> aead_buffers_;

  dataplane::Quiescence quiescence_{2};
  dataplane::KeypairTable keypair_table_;
  dataplane::PeerTable peers_;
  std::span<dataplane::Keypair> keypairs_;
  std::vector<dataplane::Path> paths_;
  lpm::Lpm4 allowed4_, routes4_;
  lpm::Lpm6 allowed6_, routes6_;
  std::unique_ptr<dataplane::FlowTable> flows_;
  lpm::Lpm4 nobody4_;  // allowed IPs of the program's interface
  lpm::Lpm6 nobody6_;
  std::unique_ptr<ProgramEnd> program_;
  dataplane::Snapshot snapshot_;
  std::atomic<const dataplane::Snapshot*> published_{nullptr};
  dataplane::Doorbell control_doorbell_;
  std::vector<std::unique_ptr<dataplane::Worker>> workers_;
};

}  // namespace wg::bench
