// The dataplane as the control thread holds it: environment, packet pool, ports, workers, shared tables, and
// the one atomic pointer through which workers learn of changes.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/crypto/aead.h"
#include "dataplane/eal.h"
#include "dataplane/io/port.h"
#include "dataplane/session/keypair_table.h"
#include "dataplane/session/peer_table.h"
#include "dataplane/snapshot.h"
#include "dataplane/thread/quiescence.h"
#include "dataplane/worker.h"

namespace wg::dataplane {

struct DataplaneOptions {
  EalOptions eal;
  WorkerOptions worker;                  // id is set per worker
  std::size_t peer_capacity = 1u << 20;  // address space only
  unsigned packet_buffers = 0;           // 0: from eal.memory_mb
  unsigned packet_bytes = 2048;          // largest frame; raised for jumbo ports before start
};

// Defers frees of table nodes until all workers are quiescent.
class QuiescentReclaimer final : public lpm::Reclaimer {
 public:
  explicit QuiescentReclaimer(Quiescence& quiescence) : quiescence_(quiescence) {}
  void retire(void* node, void (*free_node)(void*, std::size_t), std::size_t bytes) override {
    quiescence_.retire([=] { free_node(node, bytes); });
  }

 private:
  Quiescence& quiescence_;
};

class Dataplane {
 public:
  // Starts EAL and creates the pool and the workers (not yet running). Throws std::runtime_error.
  explicit Dataplane(const DataplaneOptions& options);
  // Stops the workers, frees everything retired, closes the ports.
  ~Dataplane();
  Dataplane(const Dataplane&) = delete;
  Dataplane& operator=(const Dataplane&) = delete;

  void start();
  void stop();

  // ---- control thread
  Port* add_port(PortOptions options);
  // A TAP of ours as the wire (`device: tap`); options.device is the name its kernel end gets.
  Port* add_tap_port(PortOptions options);
  // Packet sockets on a Linux interface (`device: linux:NAME`); options.device is the interface.
  Port* add_linux_port(PortOptions options);
  // The port is closed once no worker can touch it: publish a snapshot without it first. Frames that have not
  // left by then are counted in `drops` (port_down), which outlives this.
  void remove_port(Port* port, DropCounters& drops);

  void publish(std::unique_ptr<Snapshot> snapshot);
  [[nodiscard]] const Snapshot* current() const noexcept {
    return published_.load(std::memory_order_acquire);
  }

  [[nodiscard]] Quiescence& quiescence() noexcept { return quiescence_; }
  [[nodiscard]] QuiescentReclaimer& reclaimer() noexcept { return reclaimer_; }
  [[nodiscard]] KeypairTable& keypairs() noexcept { return *keypairs_; }
  [[nodiscard]] PeerTable& peers() noexcept { return *peers_; }
  [[nodiscard]] std::vector<std::unique_ptr<Worker>>& workers() noexcept { return workers_; }
  [[nodiscard]] const std::vector<std::unique_ptr<Worker>>& workers() const noexcept { return workers_; }
  [[nodiscard]] const std::vector<std::unique_ptr<Port>>& ports() const noexcept { return ports_; }
  [[nodiscard]] Doorbell& doorbell() noexcept { return control_doorbell_; }
  [[nodiscard]] rte_mempool* pool() noexcept { return pool_; }
  [[nodiscard]] const EalFacts& facts() const noexcept { return facts_; }
  [[nodiscard]] const crypto::AeadEngine& engine() const noexcept { return engine_; }
  [[nodiscard]] std::size_t packet_buffers() const noexcept { return packet_buffers_; }
  [[nodiscard]] std::size_t packet_buffers_free() const noexcept;

 private:
  DataplaneOptions options_;
  EalFacts facts_;
  const crypto::AeadEngine& engine_;
  rte_mempool* pool_ = nullptr;
  unsigned packet_buffers_ = 0;
  Quiescence quiescence_;
  QuiescentReclaimer reclaimer_;
  std::unique_ptr<KeypairTable> keypairs_;
  std::unique_ptr<PeerTable> peers_;
  Doorbell control_doorbell_;
  std::atomic<const Snapshot*> published_{nullptr};
  std::vector<std::unique_ptr<Port>> ports_;
  std::vector<std::unique_ptr<Worker>> workers_;
  bool running_ = false;
};

}  // namespace wg::dataplane
