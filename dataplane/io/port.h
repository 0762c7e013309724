// A port: any DPDK ethdev (PCI function or vdev), a Linux interface by packet sockets of our own
// (`device: linux:NAME`), or a TAP of this process (`device: tap`).
//
// Queue w belongs to worker w. A port with fewer queues than workers gives its queues to the first workers.
// Other workers send through the hand-over ring of a queue's owner, so a queue has one writer.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/base/expected.h"
#include "dataplane/counters.h"
#include "dataplane/io/device_filter.h"
#include "dataplane/io/device_watch.h"
#include "dataplane/io/stripped_tags.h"
#include "dataplane/io/tun.h"
#include "dataplane/messages.h"

struct rte_mempool;
struct rte_ring;

namespace wg::dataplane {

class PacketSocket;

struct PortOptions {
  std::string name;           // as configured, at most 15 characters
  std::string device;         // "0000:03:02.0", "net_memif0,role=server", ..., or a Linux interface
  std::uint16_t workers = 1;  // queues wanted: one per worker
  std::uint16_t queues = 0;   // 0: as many as the workers need and the device has
  std::uint16_t mtu = 0;      // 0: keep the device's
  std::uint16_t descriptors = 1024;
  bool promiscuous = false;
};

struct PortFacts {
  std::uint16_t rx_queues = 0, tx_queues = 0, mtu = 0;
  std::array<std::uint8_t, 6> mac{};
  std::string driver;
  // The features of the device as it was configured.
  bool tx_ipv4_checksum = false, tx_udp_checksum = false, rss = false;
};

struct PortStatistics {
  std::uint64_t rx_packets, rx_bytes, rx_missed, rx_errors, rx_no_buffer, tx_packets, tx_bytes, tx_errors;
};

// Frames of one queue of an Ethernet device. W: the queue's worker. R: control.
struct alignas(64) QueueFrames {
  Counter taken, handed;
};

// A locally administered MAC address derived from a name: the same after every restart.
std::array<std::uint8_t, 6> stable_mac(const std::string& name);

class Port {
 public:
  // Finds or hot-plugs the device, configures and starts it. Throws std::runtime_error with DPDK's reason.
  // `pool` outlives the port.
  Port(const PortOptions& options, rte_mempool* pool);
  // Uses a TAP of this process as the wire: bursts are read from and written to its queues. Takes ownership.
  Port(const PortOptions& options, rte_mempool* pool, std::unique_ptr<TapDevice> tap);
  // Uses packet sockets as the wire, one per queue. Takes ownership.
  Port(const PortOptions& options, rte_mempool* pool, std::unique_ptr<PacketSocket> socket);
  // Uses an existing, configured ethdev (tests and benches: rings in memory). It is not closed on
  // destruction.
  Port(const PortOptions& options, std::uint16_t ethdev);
  ~Port();
  Port(const Port&) = delete;
  Port& operator=(const Port&) = delete;

  // ---- worker `w` only
  [[nodiscard]] bool has_rx(std::uint16_t w) const noexcept { return w < facts_.rx_queues; }
  [[nodiscard]] bool has_tx(std::uint16_t w) const noexcept { return w < facts_.tx_queues; }
  // Packets that a TAP or packet socket reads and drops are counted by reason.
  std::uint16_t receive(std::uint16_t w, rte_mbuf** packets, std::uint16_t n,
                        WorkerCounters& counters) noexcept;
  // Takes all `n` packets. Packets that the queue does not accept are freed and counted as tx_full.
  void transmit(std::uint16_t w, rte_mbuf** packets, std::uint16_t n, WorkerCounters& counters) noexcept;
  // Sends the packets that other workers handed over. The owner of a shared queue calls it once per loop.
  void transmit_handed_over(std::uint16_t w, WorkerCounters& counters) noexcept;
  // Readable when frames wait in worker w's queue; -1: the port has nothing to wait for.
  [[nodiscard]] int wake_fd(std::uint16_t w) noexcept;

  // ---- control
  [[nodiscard]] const std::string& name() const noexcept { return options_.name; }
  [[nodiscard]] const std::string& device() const noexcept { return options_.device; }
  [[nodiscard]] const PortFacts& facts() const noexcept { return facts_; }
  [[nodiscard]] PortStatistics statistics() const noexcept;
  [[nodiscard]] bool link_up() const noexcept;
  [[nodiscard]] std::uint32_t speed_mbps() const noexcept;  // 0: unknown, or no link
  // Which frames a card passes on. A device that is a virtual wire passes all of them.
  void listen(const WantedFrames& wanted);
  // Features that the card lacks, in one sentence each.
  [[nodiscard]] std::vector<std::string> concerns() const;

  // Several times a second, for a card: why it must be restarted, as the end of a sentence.
  [[nodiscard]] std::optional<std::string> look();
  // Its card was taken out of the machine.
  [[nodiscard]] bool is_gone() const noexcept { return watch_ && watch_->last().removed; }
  [[nodiscard]] bool is_card() const noexcept { return watch_.has_value(); }
  // No worker touches the device once all are quiescent; what they send is dropped as port_down.
  void pause() noexcept { paused_.store(true, std::memory_order_seq_cst); }
  // For a paused card: closes the device and opens it again, which finds the MAC address that it has by now.
  // Its settings are made again. After a refusal it stays paused, and may only be destroyed.
  Expected<> restart_device();
  // Frees the frames that workers handed over and that have not left; only when no worker can touch the port.
  std::size_t discard_handed_over() noexcept;
  // The TAP when the port is a TAP of this process; else null.
  [[nodiscard]] TapDevice* tap() const noexcept { return tap_.get(); }

 private:
  void attach();
  void settle_address();
  [[nodiscard]] DeviceSigns look_at_device();
  void configure(rte_mempool* pool);
  void set_up_queues(rte_mempool* pool);
  void close_device();
  void learn_facts();
  void create_hand_over();
  void transmit_queue(std::uint16_t queue, rte_mbuf** packets, std::uint16_t n,
                      WorkerCounters& counters) noexcept;
  void transmit_ethdev(std::uint16_t queue, rte_mbuf** packets, std::uint16_t n,
                       WorkerCounters& counters) noexcept;

  PortOptions options_;
  PortFacts facts_;
  std::uint16_t ethdev_ = 0;
  rte_mempool* pool_ = nullptr;
  bool owns_ethdev_ = false;
  std::atomic<bool> paused_{false};  // control writes, workers read
  bool address_made_up_ = false;     // by the driver of a virtual function
  bool strips_tags_ = false;         // the device takes VLAN tags off; changes while paused
  std::unique_ptr<DeviceCalls> device_;
  std::optional<DeviceFilter> filter_;  // of a card
  StrippedTags tags_;
  std::optional<DeviceWatch> watch_;  // of a card
  std::unique_ptr<TapDevice> tap_;
  std::unique_ptr<PacketSocket> socket_;
  std::vector<TunCounters> wire_counters_;  // per queue of tap_ or socket_
  std::vector<QueueFrames> frames_;         // per worker, of an Ethernet device
  std::vector<rte_ring*> hand_over_;        // per tx queue; empty when every worker has its own
};

}  // namespace wg::dataplane
