// Rates of all peers, from two reads of their counters about a second apart. The counters are read only while
// requests come, a slice of the peers at a time, so that no round of the control thread becomes long.
//
// W: RateReader reports requests; everything else happens by the loop's timers. Control thread
// only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "control/api/rates.h"
#include "control/loop/event_loop.h"
#include "dataplane/session/peer_table.h"

namespace wg::control {

class PeerRates {
 public:
  using Clock = EventLoop::Clock;
  static constexpr std::size_t kSlice = 1024;                // peers read at once
  static constexpr std::chrono::milliseconds kPause{2};      // between two slices
  static constexpr std::chrono::milliseconds kPeriod{1000};  // from the begin of a sweep to the next
  static constexpr std::chrono::seconds kPatience{5};        // so long after the last question it ends

  // `count` returns how many peers there are.
  PeerRates(EventLoop& loop, const dataplane::PeerTable& table, std::function<std::size_t()> count)
      : loop_(loop), table_(table), count_(std::move(count)) {}
  ~PeerRates() { loop_.cancel(timer_); }
  PeerRates(const PeerRates&) = delete;
  PeerRates& operator=(const PeerRates&) = delete;

  // Starts reading, or goes on with it.
  void ask(Clock::time_point now = Clock::now());
  // The counters of every peer have been read twice.
  [[nodiscard]] bool ready() const { return sweeps_ >= 2; }
  [[nodiscard]] std::uint64_t peers() const { return last_.peers; }
  [[nodiscard]] std::uint64_t moving() const { return last_.moving; }
  [[nodiscard]] const Rate& sum() const { return last_.sum; }

  struct Found {
    std::uint32_t slot = 0;
    Rate rate;
  };
  // At most `most` peers, the busiest first. Those that are gone since are not among them.
  [[nodiscard]] std::vector<Found> busiest(RateOrder order, std::size_t most) const;

  [[nodiscard]] const dataplane::Peer& peer(std::uint32_t slot) const { return table_.at(slot); }
  // Reads the next slice. Returns false at the end of a sweep.
  bool read_slice(Clock::time_point now);

 private:
  // 32 bits of a count are enough for the difference between two reads.
  struct Sample {
    std::uint64_t rx_bytes = 0, tx_bytes = 0;
    Clock::time_point at{};  // zero: never read
    std::uint32_t generation = 0;
    std::uint32_t rx_packets = 0, tx_packets = 0, drops = 0;
    float rx_bytes_rate = 0, tx_bytes_rate = 0, rx_packets_rate = 0, tx_packets_rate = 0, drops_rate = 0;
  };
  struct Totals {
    std::uint64_t peers = 0, moving = 0;
    Rate sum;
  };

  void next();
  void read(std::uint32_t slot, Clock::time_point at);
  void end();
  static Sample sample_of(const dataplane::Peer& peer, Clock::time_point at);
  static Rate rate_of(const Sample& sample);
  static void set_rates(Sample& now, const Sample& before);

  EventLoop& loop_;
  const dataplane::PeerTable& table_;
  const std::function<std::size_t()> count_;
  EventLoop::TimerId timer_ = 0;  // 0: no requests
  Clock::time_point asked_at_{}, sweep_began_{};
  std::uint32_t next_slot_ = 0;
  unsigned sweeps_ = 0;
  std::vector<Sample> samples_;  // by slot
  Totals last_, now_;            // of the last whole sweep, of the present one
};

}  // namespace wg::control
