#include "control/api/metrics.h"

#include <netdb.h>
#include <prometheus/collectable.h>
#include <prometheus/exposer.h>
#include <prometheus/metric_family.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <stdexcept>
#include <thread>

namespace wg::control {
MetricsSnapshot take_metrics_snapshot(const StatusSource& status, bool per_peer) {
  MetricsSnapshot snapshot;
  snapshot.gateway = status.status();
  snapshot.interfaces = status.interfaces();
  snapshot.ports = status.ports();
  snapshot.workers = status.workers();
  snapshot.drops = status.drops();
  if (!per_peer) return snapshot;
  snapshot.peers.reserve(snapshot.gateway.peers);
  status.visit_peers({}, [&](PeerStatus&& peer) {
    peer.allowed_ips = {};  // not a metric, and most of the memory
    snapshot.peers.push_back(std::move(peer));
  });
  return snapshot;
}

class MetricsServer::Scrapes final : public prometheus::Collectable,
                                     public std::enable_shared_from_this<Scrapes> {
 public:
  Scrapes(EventLoop& loop, const StatusSource& status, const MetricsOptions& options)
      : loop_(loop), status_(status), options_(options) {}

  // The exposer's threads.
  std::vector<prometheus::MetricFamily> Collect() const override {
    const auto snapshot =
        const_cast<Scrapes*>(this)->current();  // asking for a fresh one changes nothing seen
    return snapshot ? metric_families(*snapshot) : std::vector<prometheus::MetricFamily>{};
  }

  // Control thread.
  void end() {
    const std::lock_guard lock(mutex_);
    ended_ = true;
    arrived_.notify_all();
  }

 private:
  using Snapshot = std::shared_ptr<const MetricsSnapshot>;

  bool fresh() const { return snapshot_ && EventLoop::Clock::now() - taken_ < options_.max_age; }

  Snapshot current() {
    std::unique_lock lock(mutex_);
    if (!fresh() && !ended_) {
      if (!asked_) {
        asked_ = true;
        loop_.post([self = weak_from_this()] {
          if (const auto scrapes = self.lock()) scrapes->refresh();
        });
      }
      const auto seen = handed_over_;
      arrived_.wait_for(lock, options_.wait, [&] { return handed_over_ != seen || ended_; });
    }
    return snapshot_;
  }

  // Control thread.
  void refresh() {
    hand_over(std::make_shared<MetricsSnapshot>(take_metrics_snapshot(status_, options_.per_peer)));
  }

  void hand_over(Snapshot snapshot) {
    std::unique_lock lock(mutex_, std::try_to_lock);
    if (!lock.owns_lock()) {
      loop_.after(std::chrono::milliseconds{1}, [self = weak_from_this(), snapshot] {
        if (const auto scrapes = self.lock()) scrapes->hand_over(snapshot);
      });
      return;
    }
    snapshot_.swap(snapshot);
    taken_ = EventLoop::Clock::now();
    asked_ = false;
    ++handed_over_;
    lock.unlock();
    arrived_.notify_all();
  }

  EventLoop& loop_;
  const StatusSource& status_;
  const MetricsOptions options_;
  std::mutex mutex_;  // guards what follows
  std::condition_variable arrived_;
  Snapshot snapshot_;
  EventLoop::Clock::time_point taken_;
  std::uint64_t handed_over_ = 0;
  bool asked_ = false;
  bool ended_ = false;
};

namespace {

// A client that sends its request byte by byte holds a thread, but no longer than this, and not the only one.
constexpr const char* kThreads = "4";
constexpr const char* kRequestTimeoutMs = "2000";

// Connects to the address part of `listen` ("192.0.2.1:9586", "[::1]:0") at `port`, without waiting. False:
// nobody listens there.
bool knock(const std::string& listen, int port) {
  auto host = listen.substr(0, listen.rfind(':'));
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* address = nullptr;
  if (getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &address) != 0) return false;
  const int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  bool listens = false;
  if (fd >= 0) {
    listens = connect(fd, address->ai_addr, address->ai_addrlen) == 0 || errno == EINPROGRESS;
    close(fd);
  }
  freeaddrinfo(address);
  return listens;
}

}  // namespace

MetricsServer::MetricsServer(EventLoop& loop, const StatusSource& status, MetricsOptions options)
    : listen_(options.listen), scrapes_(std::make_shared<Scrapes>(loop, status, options)) {
  try {
    exposer_ = std::make_unique<prometheus::Exposer>(std::vector<std::string>{
        "listening_ports", options.listen, "num_threads", kThreads, "request_timeout_ms", kRequestTimeoutMs});
  } catch (const std::exception& error) {
    throw std::runtime_error("metrics: cannot listen on " + options.listen + ": " + error.what());
  }
  exposer_->RegisterCollectable(scrapes_);
}

// The exposer's accepting thread looks for its end every two seconds, or when somebody connects. So connect,
// until nobody listens: a new server may want the same port at once. The threads that still serve somebody
// end in the background; after end() they touch neither the loop nor the status.
MetricsServer::~MetricsServer() {
  const auto listening = exposer_->GetListeningPorts();
  scrapes_->end();
  const auto gone = std::make_shared<std::atomic<bool>>(false);
  std::thread([exposer = std::move(exposer_), gone]() mutable {
    exposer.reset();  // joins its threads
    *gone = true;
  }).detach();
  while (!*gone && !listening.empty() && knock(listen_, listening.front()))
    std::this_thread::sleep_for(std::chrono::milliseconds{2});
}

std::uint16_t MetricsServer::port() const {
  const auto ports = exposer_->GetListeningPorts();
  return ports.empty() ? std::uint16_t{0} : static_cast<std::uint16_t>(ports.front());
}

}  // namespace wg::control
