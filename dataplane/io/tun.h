// Linux network interfaces whose other end is this process: a TUN per WireGuard interface, a TAP per port.
// Each queue belongs to one worker. With virtio-net headers (the default) one system call moves up to 64 KB
// of a flow: super-packets are split after the read and joined before the write.
// Construction throws TunError; nothing after it throws, allocates or waits.
#pragma once

#include <rte_mbuf.h>
#include <rte_mempool.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "dataplane/base/expected.h"
#include "dataplane/counters.h"
#include "dataplane/io/segmentation.h"
#include "dataplane/packet/headers.h"

namespace wg::dataplane {

// The fault and its remedy, in one sentence; only at start.
class TunError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// The features that the kernel agreed to.
struct TunOffloads {
  bool vnet = false;  // virtio-net headers in front of every packet
  bool tcp = false;   // TCP super-packets and partial checksums both ways
  bool udp = false;   // UDP super-packets (Linux 6.2 and later)
};

class TunQueue {
 public:
  // Takes ownership of fd (non-blocking, already attached to an interface).
  TunQueue(int fd, Framing framing, TunOffloads offloads);
  ~TunQueue();
  TunQueue(const TunQueue&) = delete;
  TunQueue& operator=(const TunQueue&) = delete;

  // At most n packets into mbufs of `pool`, at most n system calls. Each mbuf is one segment with the default
  // headroom (128) in front of an IP packet (TUN) or Ethernet frame (TAP) whose checksums are complete.
  // What a super-packet has beyond n is kept for the next call.
  std::size_t read_burst(rte_mempool* pool, rte_mbuf** out, std::size_t n, const QueueCounters& counters);

  // Takes all n mbufs and frees them; returns how many packets the kernel accepted. Packets of a flow keep
  // their order; of a burst, different flows may overtake each other. Headers of mbufs without another
  // reference may be rewritten. A full queue drops and counts.
  std::size_t write_burst(rte_mbuf** in, std::size_t n, TunCounters& counters);

  // For epoll. Readable also when read_pending().
  [[nodiscard]] int fd() const { return fd_; }
  // A super-packet is half read: read_burst has packets without the kernel having any.
  [[nodiscard]] bool read_pending() const { return splitter_.pending(); }

 private:
  enum class ReadOutcome : std::uint8_t { kPacket, kSuperPacket, kDropped, kStop };

  ReadOutcome read_one(rte_mbuf* mbuf, const QueueCounters& counters);
  ReadOutcome accept_packet(const VnetHeader& vnet, rte_mbuf* mbuf, std::size_t size,
                            const QueueCounters& counters);
  ReadOutcome accept_super_packet(const VnetHeader& vnet, rte_mbuf* mbuf, std::size_t size,
                                  const QueueCounters& counters);
  std::size_t write_chunk(rte_mbuf** in, std::size_t n, TunCounters& counters);
  std::size_t write_group(rte_mbuf** in, const Coalescer::Group& group, TunCounters& counters);

  int fd_;
  TunOffloads offloads_;
  Framing framing_;
  Splitter splitter_;
  Coalescer coalescer_;
  std::unique_ptr<std::uint8_t[]> super_packet_;  // kSuperBufferSize bytes
};

struct TunOptions {
  std::string name;        // as `ip link` shows it; may end in "%d" for the kernel to number
  std::size_t queues = 1;  // one per worker
  bool vnet = true;        // false: one packet per system call
  unsigned ifindex = 0;    // 0: the kernel's choice
};

// The common part of TUN and TAP. The interface lives in the network namespace of the constructing thread, is
// down at first, and disappears with this object.
class KernelInterface {
 public:
  virtual ~KernelInterface() = default;
  KernelInterface(const KernelInterface&) = delete;
  KernelInterface& operator=(const KernelInterface&) = delete;

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] unsigned ifindex() const { return ifindex_; }
  [[nodiscard]] const TunOffloads& offloads() const { return offloads_; }
  [[nodiscard]] std::size_t queue_count() const { return queues_.size(); }
  [[nodiscard]] TunQueue& queue(std::size_t index) { return *queues_[index]; }

 protected:
  KernelInterface(const TunOptions& options, Framing framing);

 private:
  std::string name_;
  unsigned ifindex_ = 0;
  TunOffloads offloads_;
  std::vector<std::unique_ptr<TunQueue>> queues_;
};

class TunDevice : public KernelInterface {
 public:
  explicit TunDevice(const TunOptions& options) : KernelInterface(options, Framing::kIp) {}
};

class TapDevice : public KernelInterface {
 public:
  // `mac` is what the kernel sees as the interface's own address.
  TapDevice(const TunOptions& options, const MacAddress& mac);

  // The carrier that `ip link` shows as LOWER_UP or NO-CARRIER. Control thread.
  Expected<> set_carrier(bool present);
};

}  // namespace wg::dataplane
