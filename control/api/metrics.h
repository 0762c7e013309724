// The HTTP endpoint: /metrics for Prometheus, /healthz and /readyz for whoever supervises us. docs/metrics.md
// describes them.
//
// civetweb answers on its own threads. A scrape asks the control thread for a snapshot
// (through EventLoop::post) and waits for it at most `wait`; the control thread copies the state, in slices,
// into an immutable snapshot and hands it over under a mutex it only try-locks (it tries again a millisecond
// later rather than wait). Snapshots are destroyed by the server's threads. A snapshot younger than `max_age`
// is served again, so scrape storms cost the control thread nothing.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "control/api/status_source.h"
#include "control/loop/event_loop.h"

class CivetServer;
namespace prometheus {
struct MetricFamily;
}  // namespace prometheus

namespace wg::control {

struct MetricsSnapshot {
  GatewayStatus gateway;
  std::vector<InterfaceStatus> interfaces;
  std::vector<PeerStatus> peers;  // empty when aggregate-only
  std::vector<PortStatus> ports;
  std::vector<WorkerStatus> workers;
  std::vector<DropStatus> drops;
};

// Control thread: copies the state, a slice in each of many rounds.
class MetricsReading {
 public:
  MetricsReading(const StatusSource& status, bool per_peer) : status_(status), per_peer_(per_peer) {}
  // One slice. False: it was the last, and the snapshot is there.
  bool read(SliceEnd until);
  MetricsSnapshot take() { return std::move(snapshot_); }

 private:
  bool read_peers(SliceEnd until);

  const StatusSource& status_;
  const bool per_peer_;
  unsigned slices_ = 0;
  PeerCursor at_;
  MetricsSnapshot snapshot_;
};

// The metric families of a snapshot; pure.
std::vector<prometheus::MetricFamily> metric_families(const MetricsSnapshot& snapshot);

struct MetricsOptions {
  std::string listen;    // "127.0.0.1:9586"
  bool per_peer = true;  // false: aggregates only
  std::chrono::milliseconds max_age{1000};
  std::chrono::milliseconds wait{2000};
};

class MetricsServer {
 public:
  // Throws std::runtime_error when the address cannot be bound. Made and destroyed on the control thread.
  MetricsServer(EventLoop& loop, const StatusSource& status, MetricsOptions options);
  ~MetricsServer();
  MetricsServer(const MetricsServer&) = delete;
  MetricsServer& operator=(const MetricsServer&) = delete;

  std::uint16_t port() const;  // TCP; the real one when port 0 was asked for

 private:
  class Scrapes;
  struct Pages;
  std::string listen_;
  std::shared_ptr<Scrapes> scrapes_;
  std::unique_ptr<Pages> pages_;  // before the server, which calls them
  std::unique_ptr<CivetServer> server_;
};

}  // namespace wg::control
