#include "control/api/metrics.h"

#include <CivetServer.h>
#include <netdb.h>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <functional>
#include <future>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <thread>

#include "control/api/health.h"

namespace wg::control {

// How many peers there are, and room for them, comes before any of them is met: later ones are not.
bool MetricsReading::read(SliceEnd until) {
  switch (slices_++) {
    case 0:
      snapshot_.interfaces = status_.interfaces();
      return true;
    case 1:
      snapshot_.ports = status_.ports();
      snapshot_.workers = status_.workers();
      snapshot_.drops = status_.drops();
      return true;
    case 2:
      snapshot_.gateway = status_.status();
      if (per_peer_) snapshot_.peers.reserve(snapshot_.gateway.peers);
      break;
    default:
      break;
  }
  return per_peer_ && read_peers(until);
}

bool MetricsReading::read_peers(SliceEnd until) {
  return status_.visit_peers(at_, {}, until, [this](PeerStatus&& peer) {
    peer.allowed_ips = {};  // not a metric, and most of the memory
    snapshot_.peers.push_back(std::move(peer));
  });
}

class MetricsServer::Scrapes final : public std::enable_shared_from_this<Scrapes> {
 public:
  Scrapes(EventLoop& loop, const StatusSource& status, const MetricsOptions& options)
      : loop_(loop), status_(status), options_(options) {}

  // The server's threads. Empty when the control thread has never answered.
  std::string metrics() {
    Retired retired;  // is destroyed here
    const auto snapshot = current(retired);
    return snapshot ? prometheus::TextSerializer().Serialize(metric_families(*snapshot)) : std::string();
  }

  using Missing = std::vector<std::string>;
  // The server's threads. nullopt: the control thread does not answer within options.wait.
  std::optional<Missing> missing() {
    std::unique_lock lock(mutex_);
    if (health_ && EventLoop::Clock::now() - asked_health_ < options_.max_age) return health_;
    if (ended_) return std::nullopt;
    const auto answer = std::make_shared<std::promise<Missing>>();
    auto future = answer->get_future();
    loop_.post([self = weak_from_this(), answer] {
      // Only this thread sets ended_, so it reads it without the lock.
      if (const auto scrapes = self.lock(); scrapes && !scrapes->ended_)
        answer->set_value(what_is_missing(scrapes->status_));
    });
    lock.unlock();
    auto found = answer_of(future);
    lock.lock();
    asked_health_ = EventLoop::Clock::now();
    return health_ = std::move(found);
  }

  // Control thread.
  void end() {
    const std::lock_guard lock(mutex_);
    ended_ = true;
    arrived_.notify_all();
  }

 private:
  using Snapshot = std::shared_ptr<const MetricsSnapshot>;
  using Retired = std::vector<Snapshot>;

  // nullopt also when the loop has ended without calling what was posted.
  std::optional<Missing> answer_of(std::future<Missing>& future) const try {
    if (future.wait_for(options_.wait) != std::future_status::ready) return std::nullopt;
    return future.get();
  } catch (const std::future_error&) {
    return std::nullopt;
  }

  bool fresh() const { return snapshot_ && EventLoop::Clock::now() - taken_ < options_.max_age; }

  Snapshot current(Retired& retired) {
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
    retired.swap(retired_);
    return snapshot_;
  }

  // Control thread.
  void refresh() {
    loop_.in_turns(
        [self = weak_from_this(), reading = std::make_shared<MetricsReading>(status_, options_.per_peer)] {
          const auto scrapes = self.lock();
          if (!scrapes || scrapes->ended_) return false;
          if (reading->read(EventLoop::Clock::now() + EventLoop::kStep)) return true;
          scrapes->hand_over(std::make_shared<MetricsSnapshot>(reading->take()));
          return false;
        });
  }

  // To destroy a snapshot of 100 000 peers takes its time: not on this thread.
  void hand_over(Snapshot snapshot) {
    std::unique_lock lock(mutex_, std::try_to_lock);
    if (!lock.owns_lock()) {
      loop_.after(std::chrono::milliseconds{1}, [self = weak_from_this(), snapshot] {
        if (const auto scrapes = self.lock()) scrapes->hand_over(snapshot);
      });
      return;
    }
    snapshot_.swap(snapshot);
    if (snapshot) retired_.push_back(std::move(snapshot));
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
  Retired retired_;  // snapshots before it
  EventLoop::Clock::time_point taken_;
  std::uint64_t handed_over_ = 0;
  bool asked_ = false;
  bool ended_ = false;
  std::optional<Missing> health_;  // the last answer, for max_age
  EventLoop::Clock::time_point asked_health_;
};

namespace {

// A client that sends its request byte by byte holds a thread, but no longer than this, and not the only one.
constexpr const char* kThreads = "4";
constexpr const char* kRequestTimeoutMs = "2000";

// Connects to the address part of `listen` ("192.0.2.1:9586", "[::1]:0") at `port`, without waiting. False:
// no socket listens there.
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

// With the body, unless the request is HEAD.
void answer(mg_connection* connection, const char* status, const std::string& type, const std::string& body) {
  mg_printf(connection,
            "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nCache-Control: "
            "no-store\r\nConnection: close\r\n\r\n",
            status, type.c_str(), body.size());
  const std::string_view method = mg_get_request_info(connection)->request_method;
  if (method != "HEAD") mg_write(connection, body.data(), body.size());
}

bool refuse_method(mg_connection* connection) {
  constexpr std::string_view kBody = "only GET and HEAD\n";
  mg_printf(
      connection,
      "HTTP/1.1 405 Method Not Allowed\r\nAllow: GET, HEAD\r\nContent-Type: text/plain; charset=utf-8\r\n"
      "Content-Length: %zu\r\nConnection: close\r\n\r\n%s",
      kBody.size(), kBody.data());
  return true;
}

constexpr const char* kPlainText = "text/plain; charset=utf-8";
constexpr const char* kPrometheusText = "text/plain; version=0.0.4; charset=utf-8";

// A page whose answer a function gives.
class Page final : public CivetHandler {
 public:
  using Answer = std::function<void(mg_connection*)>;
  explicit Page(Answer answer) : answer_(std::move(answer)) {}
  bool handleGet(CivetServer*, mg_connection* connection) override {
    answer_(connection);
    return true;
  }
  bool handleHead(CivetServer* server, mg_connection* connection) override {
    return handleGet(server, connection);
  }
  bool handlePost(CivetServer*, mg_connection* connection) override { return refuse_method(connection); }
  bool handlePut(CivetServer*, mg_connection* connection) override { return refuse_method(connection); }
  bool handleDelete(CivetServer*, mg_connection* connection) override { return refuse_method(connection); }
  bool handleOptions(CivetServer*, mg_connection* connection) override { return refuse_method(connection); }
  bool handlePatch(CivetServer*, mg_connection* connection) override { return refuse_method(connection); }

 private:
  Answer answer_;
};

}  // namespace

// Each page holds the scrapes, which the server's threads may still use when this object is gone.
struct MetricsServer::Pages {
  explicit Pages(const std::shared_ptr<Scrapes>& scrapes)
      : metrics([scrapes](mg_connection* to) { answer(to, "200 OK", kPrometheusText, scrapes->metrics()); }),
        health([scrapes](mg_connection* to) {
          const bool alive = scrapes->missing().has_value();
          answer(to, alive ? "200 OK" : "503 Service Unavailable", kPlainText,
                 alive ? "ok\n" : "the control thread does not answer\n");
        }),
        ready([scrapes](mg_connection* to) {
          const auto missing = scrapes->missing();
          std::string text;
          if (!missing) text = "the control thread does not answer\n";
          for (const auto& sentence : missing.value_or(Scrapes::Missing{})) text += sentence + "\n";
          answer(to, text.empty() ? "200 OK" : "503 Service Unavailable", kPlainText,
                 text.empty() ? "ready\n" : text);
        }) {}

  Page metrics, health, ready;
  Page others{[](mg_connection* to) { answer(to, "404 Not Found", kPlainText, "not found\n"); }};
};

MetricsServer::MetricsServer(EventLoop& loop, const StatusSource& status, MetricsOptions options)
    : listen_(options.listen),
      scrapes_(std::make_shared<Scrapes>(loop, status, options)),
      pages_(std::make_unique<Pages>(scrapes_)) {
  try {
    server_ = std::make_unique<CivetServer>(std::vector<std::string>{
        "listening_ports", options.listen, "num_threads", kThreads, "request_timeout_ms", kRequestTimeoutMs});
  } catch (const std::exception& error) {
    throw std::runtime_error("metrics: cannot listen on " + options.listen + ": " + error.what());
  }
  server_->addHandler("/metrics", pages_->metrics);
  server_->addHandler("/healthz", pages_->health);
  server_->addHandler("/readyz", pages_->ready);
  server_->addHandler("/", pages_->others);
}

// The server's accepting thread checks for its end every two seconds, and when a client connects. So connect,
// until the socket is closed: a new server may need the same port at once. Threads that still serve a client
// end in the background; after end() they touch neither the loop nor the status.
MetricsServer::~MetricsServer() {
  const auto listening = server_->getListeningPorts();
  scrapes_->end();
  const auto gone = std::make_shared<std::atomic<bool>>(false);
  const auto parts = std::make_shared<std::pair<std::unique_ptr<Pages>, std::unique_ptr<CivetServer>>>(
      std::move(pages_), std::move(server_));
  try {
    std::thread([parts, gone] {
      parts->second.reset();  // joins its threads
      parts->first.reset();
      *gone = true;
    }).detach();
  } catch (const std::system_error&) {
    return;  // no thread to be had: its threads are waited for here, where `parts` ends
  }
  while (!*gone && !listening.empty() && knock(listen_, listening.front()))
    std::this_thread::sleep_for(std::chrono::milliseconds{2});
}

std::uint16_t MetricsServer::port() const {
  const auto ports = server_->getListeningPorts();
  return ports.empty() ? std::uint16_t{0} : static_cast<std::uint16_t>(ports.front());
}

}  // namespace wg::control
