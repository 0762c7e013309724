// What a program and a gateway can be joined by, both ends in this process: the ring of liblinegate, and
// DPDK's memif as two ports of which each end polls one. The gateway has packets in mbufs, as a worker does;
// the program has them in memory of its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

struct rte_mempool;

namespace wg::bench {

constexpr std::size_t kRingBurst = 32;
constexpr unsigned kRingSlots = 1024;  // of the ring and of the memif

// Each call moves at most a burst and returns how many packets. One thread an end; a packet's first eight
// bytes are the sender's TSC.
class Link {
 public:
  virtual ~Link() = default;
  // `bytes`: of an inner packet, 64 or more.
  virtual std::size_t gateway_sends(std::size_t bytes, std::size_t burst) = 0;
  virtual std::size_t gateway_receives() = 0;
  virtual std::size_t program_sends(std::size_t bytes) = 0;
  // Calls `latency`, unless it is null, for each packet with the clocks since it was sent. It reads the whole
  // packets when reads_all(), else their first line.
  using Latency = void (*)(void* self, std::uint64_t clocks);
  virtual std::size_t program_receives(Latency latency, void* self) = 0;
  // Until packets may have come, or 100 ms.
  virtual void program_waits() = 0;

  // Before a round.
  void read_all(bool all) { reads_all_ = all; }

 protected:
  [[nodiscard]] bool reads_all() const { return reads_all_; }

 private:
  bool reads_all_ = false;
};

// How the program has the ring, and how it waits.
enum class Waiting { kNever, kPoll, kSpin };  // kSpin: by lg_ring_wait(), which looks for 50 us first

// Throws std::runtime_error when the library or DPDK refuses.
std::unique_ptr<Link> make_ring(rte_mempool* pool, Waiting waiting);
std::unique_ptr<Link> make_memif(rte_mempool* pool);
// No packets: a byte in a socket pair for each burst. What the system takes to wake a thread, whoever asks.
std::unique_ptr<Link> make_socket();

}  // namespace wg::bench
