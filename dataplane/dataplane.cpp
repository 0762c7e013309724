#include "dataplane/dataplane.h"

#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_mempool.h>

#include <algorithm>
#include <stdexcept>

#include "dataplane/io/packet_socket.h"
#include "dataplane/io/tun.h"

namespace wg::dataplane {

namespace {

constexpr std::size_t kFirstKeypairBuckets = 1024;
constexpr unsigned kMaxBuffers = 262143;

int worker_main(void* worker) {
  static_cast<Worker*>(worker)->run();
  return 0;
}

// Half of the memory for packet buffers; the rest is for rings, descriptors and the pool's own index.
unsigned buffers_for(std::size_t memory_mb, unsigned packet_bytes) {
  const std::size_t each = packet_bytes + 512;
  return static_cast<unsigned>(
      std::clamp<std::size_t>(memory_mb * 1024 * 1024 / 2 / each, 4095, kMaxBuffers));
}

}  // namespace

Dataplane::Dataplane(const DataplaneOptions& options)
    : options_(options),
      facts_(start_eal(options.eal)),
      engine_(crypto::aead_engine()),
      quiescence_(facts_.worker_lcores.size()),
      reclaimer_(quiescence_) {
  packet_buffers_ = options_.packet_buffers != 0 ? options_.packet_buffers
                                                 : buffers_for(options_.eal.memory_mb, options_.packet_bytes);
  pool_ = create_packet_pool("packets", packet_buffers_, options_.packet_bytes);
  keypairs_ = std::make_unique<KeypairTable>(
      kFirstKeypairBuckets, [this](std::function<void()> free) { quiescence_.retire(std::move(free)); });
  peers_ = std::make_unique<PeerTable>(options_.peer_capacity);
  for (std::size_t i = 0; i < facts_.worker_lcores.size(); ++i) {
    WorkerOptions worker = options_.worker;
    worker.id = static_cast<std::uint16_t>(i);
    worker.sole = facts_.worker_lcores.size() == 1;
    workers_.push_back(
        std::make_unique<Worker>(worker, engine_, pool_, quiescence_, published_, control_doorbell_));
  }
  for (const auto& worker : workers_) worker->join_team(workers_);
}

Dataplane::~Dataplane() {
  stop();
  delete published_.exchange(nullptr);
  quiescence_.collect();
  ports_.clear();
}

void Dataplane::start() {
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    if (rte_eal_remote_launch(worker_main, workers_[i].get(), facts_.worker_lcores[i]) != 0) {
      throw std::runtime_error("worker " + std::to_string(i) + ": its lcore is busy");
    }
  }
  running_ = true;
}

void Dataplane::stop() {
  if (!running_) return;
  for (const auto& worker : workers_) worker->stop();
  rte_eal_mp_wait_lcore();
  running_ = false;
}

Port* Dataplane::add_port(PortOptions options) {
  options.workers = static_cast<std::uint16_t>(workers_.size());
  ports_.push_back(std::make_unique<Port>(options, pool_));
  return ports_.back().get();
}

Port* Dataplane::add_tap_port(PortOptions options) {
  options.workers = static_cast<std::uint16_t>(workers_.size());
  const MacAddress kernel_side = stable_mac(options.name + "/wire");
  TunOptions tap_options;
  tap_options.name = options.device;
  tap_options.queues = options.workers;
  auto tap = std::make_unique<TapDevice>(tap_options, kernel_side);
  ports_.push_back(std::make_unique<Port>(options, pool_, std::move(tap)));
  return ports_.back().get();
}

Port* Dataplane::add_linux_port(PortOptions options) {
  options.workers = static_cast<std::uint16_t>(workers_.size());
  PacketSocketOptions wire;
  wire.interface = options.device;
  wire.queues = options.queues == 0 ? options.workers : std::min(options.queues, options.workers);
  wire.mtu = options.mtu != 0 ? options.mtu : wire.mtu;
  wire.promiscuous = options.promiscuous;
  ports_.push_back(std::make_unique<Port>(options, pool_, std::make_unique<PacketSocket>(wire)));
  return ports_.back().get();
}

void Dataplane::remove_port(Port* port, DropCounters& drops) {
  const auto at =
      std::find_if(ports_.begin(), ports_.end(), [port](const auto& p) { return p.get() == port; });
  if (at == ports_.end()) return;
  quiescence_.retire([port, &drops] {
    drops.add(DropReason::port_down, port->discard_handed_over());
    delete port;
  });
  static_cast<void>(at->release());
  ports_.erase(at);
}

void Dataplane::publish(std::unique_ptr<Snapshot> snapshot) {
  const Snapshot* old = published_.exchange(snapshot.release(), std::memory_order_acq_rel);
  if (old != nullptr) quiescence_.retire([old] { delete old; });
}

std::size_t Dataplane::packet_buffers_free() const noexcept {
  return rte_mempool_avail_count(pool_);
}

}  // namespace wg::dataplane
