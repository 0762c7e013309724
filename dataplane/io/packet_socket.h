// A Linux interface as the wire of a port: packet(7) sockets, one per queue. Frames arrive in a ring that the
// kernel and the queue share (TPACKET_V2) and leave by sendmmsg(2), with virtio-net headers both ways
// (PACKET_VNET_HDR): checksums that a sender left to a device are completed, super-packets are split, and
// runs of packets leave as super-packets. Several queues form one fanout group by flow; the kernel
// reassembles nothing, so fragments arrive as they were sent (docs/decisions/0025). Construction throws
// PacketSocketError; nothing after it throws, allocates or waits.
#pragma once

#include <linux/if_packet.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/counters.h"
#include "dataplane/io/file_descriptor.h"
#include "dataplane/io/segmentation.h"
#include "dataplane/io/super_packets.h"
#include "dataplane/packet/headers.h"

namespace wg::dataplane {

// The fault and its remedy, in one sentence; only at start.
class PacketSocketError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// The receive ring of one queue: `blocks` blocks, each with `slots_per_block` slots at its start.
struct PacketRing {
  std::size_t slot_size = 0;  // bytes; holds the kernel's header and a frame
  std::size_t slots_per_block = 0;
  std::size_t block_size = 0;
  std::size_t blocks = 0;

  // A slot holds a frame of this MTU with one VLAN tag. What is larger comes by a system call.
  static PacketRing for_mtu(std::uint16_t mtu);
  [[nodiscard]] std::size_t bytes() const { return block_size * blocks; }
  [[nodiscard]] std::size_t slots() const { return slots_per_block * blocks; }
  [[nodiscard]] std::size_t offset_of(std::size_t slot) const {
    return slot / slots_per_block * block_size + slot % slots_per_block * slot_size;
  }
};

// One queue. Its worker alone calls receive() and transmit(); lost() is for one other thread.
class PacketQueue {
 public:
  using SendMessages = int (*)(int fd, mmsghdr* messages, unsigned count, int flags);

  // Takes ownership of `fd` (non-blocking, bound). `ring` is the start of its ring and outlives the queue.
  // `send` is sendmmsg(2); tests put the kernel's answers in its place.
  PacketQueue(FileDescriptor fd, std::uint8_t* ring, const PacketRing& layout,
              SendMessages send = ::sendmmsg);
  PacketQueue(const PacketQueue&) = delete;
  PacketQueue& operator=(const PacketQueue&) = delete;

  // At most n frames into mbufs of `pool`. Each mbuf is one segment with the default headroom; its checksums
  // are complete, its VLAN tag is in place. What a super-packet has beyond n is kept for the next call.
  std::size_t receive(rte_mempool* pool, rte_mbuf** out, std::size_t n,
                      const QueueCounters& counters) noexcept;

  // Takes all n mbufs and frees them; returns how many packets the kernel accepted. Packets of a flow keep
  // their order. RTE_MBUF_F_TX_UDP_CKSUM is honoured: the checksum of such a datagram is left to the kernel.
  std::size_t transmit(rte_mbuf** in, std::size_t n, TunCounters& counters) noexcept;

  // Frames that the kernel dropped because the ring or the socket's memory was full, since the start.
  [[nodiscard]] std::uint64_t lost() const noexcept;
  // For epoll: readable when a frame waits.
  [[nodiscard]] int fd() const { return fd_.get(); }

 private:
  enum class Taken : std::uint8_t { kPacket, kSuperPacket, kDropped };
  struct Frame {
    std::uint8_t* data = nullptr;  // four bytes in front of it may be overwritten
    std::size_t size = 0;
    VnetHeader vnet;
  };

  [[nodiscard]] tpacket2_hdr* slot_at(std::size_t slot) const {
    return reinterpret_cast<tpacket2_hdr*>(ring_ + layout_.offset_of(slot));
  }
  void prefetch_after(std::size_t slot) const noexcept;
  Taken take_slot(const tpacket2_hdr& slot, std::uint32_t status, rte_mbuf* mbuf,
                  const QueueCounters& counters) noexcept;
  bool find_frame(const tpacket2_hdr& slot, std::uint32_t status, Frame* frame,
                  const QueueCounters& counters) noexcept;
  bool read_copy(Frame* frame, const QueueCounters& counters) noexcept;
  Taken accept_packet(const Frame& frame, rte_mbuf* mbuf, const QueueCounters& counters) noexcept;
  Taken accept_super_packet(const Frame& frame, const QueueCounters& counters) noexcept;

  std::size_t transmit_chunk(rte_mbuf** in, std::size_t n, TunCounters& counters) noexcept;
  void add_message(rte_mbuf** in, const Coalescer::Group& group) noexcept;
  std::size_t send_messages(rte_mbuf** in, TunCounters& counters) noexcept;
  std::size_t settle_refused(rte_mbuf** in, std::size_t m, int error, TunCounters& counters) noexcept;
  std::size_t send_apart(rte_mbuf** in, const Coalescer::Group& group, TunCounters& counters) noexcept;
  void count_sent(std::size_t m, TunCounters& counters) noexcept;

  static constexpr std::size_t kMaxMessages = Coalescer::kMaxPackets;
  static constexpr std::size_t kMaxPieces = 512;
  static constexpr std::size_t kSavedHeaders = 64;  // Ethernet, IPv6, UDP; more than a joined datagram has

  // Messages of one sendmmsg(2).
  struct Batch {
    std::size_t messages = 0, pieces = 0;
    std::array<mmsghdr, kMaxMessages> message;
    std::array<iovec, kMaxPieces> piece;
    std::array<VnetHeader, kMaxMessages> vnet;
    std::array<std::uint32_t, kMaxMessages> bytes;  // of its packets, before they were joined
    std::array<const Coalescer::Group*, kMaxMessages> group;
    std::array<std::array<std::uint8_t, kSavedHeaders>, kMaxMessages> headers;  // of its first packet
  };

  FileDescriptor fd_;
  std::uint8_t* ring_;
  PacketRing layout_;
  SendMessages send_;
  std::size_t next_slot_ = 0;
  Splitter splitter_;
  Coalescer coalescer_;
  bool udp_accepted_ = false;                     // the kernel has taken a UDP super-packet
  std::unique_ptr<std::uint8_t[]> super_packet_;  // room for a tag, then kSuperBufferSize bytes
  std::unique_ptr<Batch> batch_;
  std::atomic<std::uint64_t> truncated_{0};            // W: the worker
  mutable std::atomic<std::uint64_t> kernel_lost_{0};  // W: whoever calls lost()
};

struct PacketSocketOptions {
  std::string interface;     // its name in the network namespace of the constructing thread
  std::uint16_t queues = 1;  // one socket each
  std::uint16_t mtu = 1500;  // of the port
  bool promiscuous = true;   // as long as the sockets are open
};

class PacketSocket {
 public:
  explicit PacketSocket(const PacketSocketOptions& options);
  PacketSocket(const PacketSocket&) = delete;
  PacketSocket& operator=(const PacketSocket&) = delete;

  [[nodiscard]] std::size_t queue_count() const { return queues_.size(); }
  [[nodiscard]] PacketQueue& queue(std::size_t index) { return *queues_[index].queue; }
  [[nodiscard]] const MacAddress& mac() const { return mac_; }
  [[nodiscard]] std::uint64_t lost() const noexcept;

 private:
  class Mapping {
   public:
    Mapping(std::uint8_t* address, std::size_t size) : address_(address), size_(size) {}
    ~Mapping();
    Mapping(Mapping&& other) noexcept
        : address_(std::exchange(other.address_, nullptr)), size_(other.size_) {}
    Mapping(const Mapping&) = delete;
    Mapping& operator=(const Mapping&) = delete;
    [[nodiscard]] std::uint8_t* address() const { return address_; }

   private:
    std::uint8_t* address_;
    std::size_t size_;
  };
  struct Queue {
    Mapping ring;
    std::unique_ptr<PacketQueue> queue;  // closed before its ring is unmapped
  };

  void add_queue(const PacketSocketOptions& options, const PacketRing& layout, unsigned ifindex);

  std::vector<Queue> queues_;
  MacAddress mac_{};
};

}  // namespace wg::dataplane
