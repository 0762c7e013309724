#include "bench/ring_links.h"

#include <poll.h>
#include <rte_cycles.h>
#include <rte_dev.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <stdexcept>
#include <string>
#include <thread>

#include "tests/unit/ring/card.h"

namespace wg::bench {

namespace {

constexpr std::size_t kLargest = 2048;

void stamp(void* packet) {
  const std::uint64_t now = rte_rdtsc();
  std::memcpy(packet, &now, sizeof now);
}
std::uint64_t age(const void* packet) {
  std::uint64_t then = 0;
  std::memcpy(&then, packet, sizeof then);
  return rte_rdtsc() - then;
}

void read_lines(const void* packet, std::size_t bytes) {
  const auto* const begin = static_cast<const volatile std::uint8_t*>(packet);
  for (std::size_t at = 0; at < bytes; at += 64) static_cast<void>(begin[at]);
}

// As many as there is memory for: all or none.
std::size_t take_buffers(rte_mempool* pool, rte_mbuf** packets, std::size_t count) {
  return rte_pktmbuf_alloc_bulk(pool, packets, static_cast<unsigned>(count)) == 0 ? count : 0;
}

class RingLink final : public Link {
 public:
  RingLink(rte_mempool* pool, Waiting waiting)
      : pool_(pool),
        waiting_(waiting),
        card_(1, waiting == Waiting::kNever ? LG_RING_POLLS : 0, kRingSlots),
        queue_(card_.worker()) {
    for (auto& packet : own_) packet.resize(kLargest);
  }

  std::size_t gateway_sends(std::size_t bytes, std::size_t burst) override {
    const std::size_t room = std::min<std::size_t>(queue_.writer.room(), burst);
    rte_mbuf* packets[kRingBurst];
    const std::size_t count = room == 0 ? 0 : take_buffers(pool_, packets, room);
    queue_.writer.prefetch_burst(count);
    for (std::size_t i = 0; i < count; ++i) {
      auto* const data = rte_pktmbuf_mtod(packets[i], std::uint8_t*);
      stamp(data);
      queue_.writer.prefetch_next(count - i, bytes);
      queue_.writer.put({data, bytes});
    }
    if (count == 0) return 0;
    if (queue_.writer.finish()) queue_.wake();
    rte_pktmbuf_free_bulk(packets, static_cast<unsigned>(count));
    return count;
  }

  std::size_t gateway_receives() override {
    const std::size_t there = std::min<std::size_t>(queue_.reader.available(), kRingBurst);
    rte_mbuf* packets[kRingBurst];
    const std::size_t count = there == 0 ? 0 : take_buffers(pool_, packets, there);
    if (count == 0) return 0;
    for (std::size_t i = 0; i < count; ++i)
      if (queue_.reader.take({rte_pktmbuf_mtod(packets[i], std::uint8_t*), kLargest}) == 0)
        throw std::runtime_error("the ring gives a packet without a length");
    if (queue_.reader.finish()) queue_.wake();
    rte_pktmbuf_free_bulk(packets, static_cast<unsigned>(count));
    return count;
  }

  std::size_t program_sends(std::size_t bytes) override {
    std::array<lg_packet, kRingBurst> packets;
    for (std::size_t i = 0; i < kRingBurst; ++i) {
      stamp(own_[i].data());
      packets[i] = {own_[i].data(), static_cast<std::uint32_t>(bytes), 0};
    }
    return lg_ring_send_burst(card_.ring, 0, packets.data(), kRingBurst);
  }

  std::size_t program_receives(Latency latency, void* self) override {
    std::array<lg_packet, kRingBurst> packets;
    const std::uint32_t count = lg_ring_receive_burst(card_.ring, 0, packets.data(), kRingBurst);
    for (std::uint32_t i = 0; i < count; ++i) {
      const std::uint64_t clocks = age(packets[i].data);
      if (latency != nullptr) latency(self, clocks);
      if (reads_all()) read_lines(packets[i].data, packets[i].bytes);
    }
    if (count != 0) lg_ring_release_burst(card_.ring, 0, count);
    return count;
  }

  void program_waits() override {
    if (waiting_ == Waiting::kSpin) {
      lg_ring_wait(card_.ring, 0, kSpinUs, 100);
      return;
    }
    pollfd end{lg_ring_wait_fd(card_.ring), POLLIN, 0};
    poll(&end, 1, 100);
  }

 private:
  static constexpr std::uint32_t kSpinUs = 50;

  rte_mempool* pool_;
  const Waiting waiting_;
  control::test::Card card_;
  dataplane::ProgramQueue& queue_;
  std::array<std::vector<std::uint8_t>, kRingBurst> own_;
};

// ---------------------------------------------------------------- memif

class MemifLink final : public Link {
 public:
  explicit MemifLink(rte_mempool* pool) : pool_(pool) {
    const std::string socket = "socket=/run/linegate-bench-" + std::to_string(getpid()) +
                               ".sock,socket-abstract=no,rsize=10,bsize=2048";
    gateway_ = open("net_memif0", "role=server," + socket);
    program_ = open("net_memif1", "role=client," + socket);
    for (auto& packet : own_) packet.resize(kLargest);
    rte_eth_link link{};
    for (int i = 0; i < 500; ++i) {
      rte_eth_link_get_nowait(program_, &link);
      if (link.link_status == RTE_ETH_LINK_UP) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    throw std::runtime_error("the memif does not come up");
  }
  ~MemifLink() override {
    for (const std::uint16_t port : {program_, gateway_}) {
      static_cast<void>(rte_eth_dev_stop(port));
      static_cast<void>(rte_eth_dev_close(port));
    }
  }

  std::size_t gateway_sends(std::size_t bytes, std::size_t burst) override {
    return send(gateway_, bytes, burst, nullptr);
  }
  std::size_t gateway_receives() override { return receive(gateway_, nullptr, nullptr); }
  std::size_t program_sends(std::size_t bytes) override { return send(program_, bytes, kRingBurst, &own_); }
  std::size_t program_receives(Latency latency, void* self) override {
    return receive(program_, latency, self);
  }
  void program_waits() override {}

 private:
  using Packets = std::array<std::vector<std::uint8_t>, kRingBurst>;

  std::uint16_t open(const char* name, const std::string& arguments) {
    std::uint16_t port = 0;
    rte_eth_conf conf{};
    if (rte_eal_hotplug_add("vdev", name, arguments.c_str()) != 0 ||
        rte_eth_dev_get_port_by_name(name, &port) != 0 || rte_eth_dev_configure(port, 1, 1, &conf) != 0 ||
        rte_eth_rx_queue_setup(port, 0, kRingSlots, SOCKET_ID_ANY, nullptr, pool_) != 0 ||
        rte_eth_tx_queue_setup(port, 0, kRingSlots, SOCKET_ID_ANY, nullptr) != 0 ||
        rte_eth_dev_start(port) != 0)
      throw std::runtime_error(std::string("DPDK refuses ") + name);
    return port;
  }

  // `from`: memory of the program, to be copied.
  std::size_t send(std::uint16_t port, std::size_t bytes, std::size_t burst, const Packets* from) {
    rte_mbuf* packets[kRingBurst];
    if (take_buffers(pool_, packets, burst) == 0) return 0;
    for (std::size_t i = 0; i < burst; ++i) {
      auto* const data = rte_pktmbuf_mtod(packets[i], std::uint8_t*);
      if (from != nullptr) std::memcpy(data, (*from)[i].data(), bytes);
      stamp(data);
      packets[i]->data_len = static_cast<std::uint16_t>(bytes);
      packets[i]->pkt_len = static_cast<std::uint32_t>(bytes);
    }
    const std::size_t sent = rte_eth_tx_burst(port, 0, packets, static_cast<std::uint16_t>(burst));
    rte_pktmbuf_free_bulk(packets + sent, static_cast<unsigned>(burst - sent));
    return sent;
  }

  std::size_t receive(std::uint16_t port, Latency latency, void* self) const {
    rte_mbuf* packets[kRingBurst];
    const std::uint16_t count = rte_eth_rx_burst(port, 0, packets, kRingBurst);
    for (std::uint16_t i = 0; i < count; ++i) {
      const std::uint64_t clocks = age(rte_pktmbuf_mtod(packets[i], const void*));
      if (latency != nullptr) latency(self, clocks);
      if (reads_all()) read_lines(rte_pktmbuf_mtod(packets[i], const void*), packets[i]->data_len);
    }
    if (count != 0) rte_pktmbuf_free_bulk(packets, count);
    return count;
  }

  rte_mempool* pool_;
  std::uint16_t gateway_ = 0, program_ = 0;
  Packets own_;
};

// ---------------------------------------------------------------- a byte for each burst

class SocketLink final : public Link {
 public:
  SocketLink() {
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends_.data()) != 0)
      throw std::runtime_error("no socket pair");
  }
  ~SocketLink() override {
    for (const int end : ends_) close(end);
  }

  std::size_t gateway_sends(std::size_t, std::size_t burst) override {
    const std::size_t at = sent_.load(std::memory_order_relaxed);
    if (at - received_.load(std::memory_order_acquire) == stamps_.size()) return 0;
    stamp(&stamps_[at % stamps_.size()]);
    sent_.store(at + 1, std::memory_order_release);
    const char byte = 0;
    return send(ends_[0], &byte, 1, MSG_DONTWAIT) == 1 ? burst : 0;
  }
  std::size_t program_receives(Latency latency, void* self) override {
    const std::size_t first = received_.load(std::memory_order_relaxed);
    const std::size_t there = sent_.load(std::memory_order_acquire) - first;
    for (std::size_t i = 0; i < there; ++i) {
      const std::uint64_t clocks = age(&stamps_[(first + i) % stamps_.size()]);
      if (latency != nullptr) latency(self, clocks);
    }
    received_.store(first + there, std::memory_order_release);
    return there;
  }
  void program_waits() override {
    pollfd end{ends_[1], POLLIN, 0};
    poll(&end, 1, 100);
    char bytes[256];
    [[maybe_unused]] const ssize_t got = recv(ends_[1], bytes, sizeof bytes, MSG_DONTWAIT);
  }
  std::size_t gateway_receives() override { return 0; }
  std::size_t program_sends(std::size_t) override { return 0; }

 private:
  std::array<int, 2> ends_{};
  std::array<std::uint64_t, kRingSlots> stamps_{};
  alignas(128) std::atomic<std::size_t> sent_{0};
  alignas(128) std::atomic<std::size_t> received_{0};
};

}  // namespace

std::unique_ptr<Link> make_ring(rte_mempool* pool, Waiting waiting) {
  return std::make_unique<RingLink>(pool, waiting);
}
std::unique_ptr<Link> make_socket() {
  return std::make_unique<SocketLink>();
}
std::unique_ptr<Link> make_memif(rte_mempool* pool) {
  return std::make_unique<MemifLink>(pool);
}

}  // namespace wg::bench
