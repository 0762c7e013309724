#include "control/kernel/resolver.h"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <system_error>
#include <thread>
#include <utility>

namespace wg::control {
namespace {

using Clock = std::chrono::steady_clock;

ResolverOptions::Answer look_up_with_libc(const std::string& host) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_DGRAM;
  hints.ai_protocol = IPPROTO_UDP;
  addrinfo* list = nullptr;
  const int failure = getaddrinfo(host.c_str(), nullptr, &hints, &list);
  ResolverOptions::Answer answer;
  if (failure != 0) {
    answer.error = failure == EAI_SYSTEM ? std::generic_category().message(errno) : gai_strerror(failure);
    return answer;
  }
  for (const addrinfo* at = list; at != nullptr; at = at->ai_next) {
    if (at->ai_family == AF_INET) {
      const auto* v4 = reinterpret_cast<const sockaddr_in*>(at->ai_addr);
      answer.endpoints.push_back({IpAddress::from_v4(&v4->sin_addr), kAnyPort, 0});
    } else if (at->ai_family == AF_INET6) {
      const auto* v6 = reinterpret_cast<const sockaddr_in6*>(at->ai_addr);
      answer.endpoints.push_back({IpAddress::from_v6(&v6->sin6_addr), kAnyPort, v6->sin6_scope_id});
    }
  }
  freeaddrinfo(list);
  if (answer.endpoints.empty()) answer.error = "No address associated with hostname";
  return answer;
}

}  // namespace

// Shared by the Resolver and the helper threads: whichever lives longest frees it.
struct Resolver::Shared {
  using Schedule = std::set<std::pair<Clock::time_point, std::uint64_t>>;

  struct Name {
    std::string host;
    UdpPort port = kAnyPort;
    std::chrono::milliseconds refresh{0};
    std::uint64_t generation = 0;  // distinguishes a replaced name from the one being resolved
    unsigned failures = 0;
    std::optional<Clock::time_point> due;  // its time in schedule_of()
    bool in_flight = false;                // a helper is resolving it now
    Clock::time_point looked_up_at{};      // start of the last lookup; epoch: never
  };

  explicit Shared(ResolverOptions chosen)
      : options(std::move(chosen)), event(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (event < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
    if (!options.look_up) options.look_up = look_up_with_libc;
  }
  ~Shared() { ::close(event); }
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;

  // Everything below requires `mutex`.
  Schedule& schedule_of(const Name& name) { return name.failures > 0 ? failed_schedule : schedule; }
  void unschedule(std::uint64_t key, Name& name) {
    if (name.due) schedule_of(name).erase({*name.due, key});
    name.due.reset();
  }
  void schedule_at(std::uint64_t key, Name& name, Clock::time_point when) {
    unschedule(key, name);
    name.due = when;
    schedule_of(name).insert({when, key});
    wake.notify_all();
  }
  void drop(std::uint64_t key) {
    const auto at = names.find(key);
    if (at == names.end()) return;
    unschedule(key, at->second);
    results.erase(key);
    names.erase(at);
  }
  [[nodiscard]] std::chrono::milliseconds back_off(unsigned failures) const {
    auto wait = options.retry_first;
    for (unsigned i = 1; i < failures && wait < options.retry_most; ++i) wait *= 2;
    return std::min(wait, options.retry_most);
  }
  void record(std::uint64_t key, std::uint64_t generation, ResolverOptions::Answer answer);
  // A name whose time has come: one that failed last time only when no other waits, and never in the last
  // free thread, so that dead names do not hold up living ones.
  std::optional<std::uint64_t> take_due();
  void wait_for_due(std::unique_lock<std::mutex>& lock);
  void look_up(std::uint64_t key, std::unique_lock<std::mutex>& lock);  // unlocks while it looks up
  void run();

  ResolverOptions options;
  const int event;
  std::mutex mutex;
  std::condition_variable wake;      // wakes the helpers: a name is due, a helper is free, or stop
  std::condition_variable finished;  // wakes the destructor: a helper has ended
  bool stop = false;
  unsigned ended = 0;             // helpers
  unsigned failed_in_flight = 0;  // lookups of names that failed last time
  std::uint64_t generations = 0;
  std::map<std::uint64_t, Name> names;
  Schedule schedule, failed_schedule;
  std::map<std::uint64_t, ResolvedName> results;  // the newest per key, so no more than there are names
};

void Resolver::Shared::record(std::uint64_t key, std::uint64_t generation, ResolverOptions::Answer answer) {
  const auto at = names.find(key);
  if (at == names.end() || at->second.generation != generation) return;
  Name& name = at->second;
  name.in_flight = false;
  unschedule(key, name);
  name.failures = answer.error.empty() ? 0 : name.failures + 1;
  for (Endpoint& endpoint : answer.endpoints) endpoint.port = name.port;
  ResolvedName result{key, name.host, std::move(answer.endpoints), std::move(answer.error), name.failures};
  results[key] = std::move(result);
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(event, &one, sizeof one);
  if (name.failures > 0) {
    schedule_at(key, name, Clock::now() + back_off(name.failures));
  } else if (name.refresh.count() > 0) {
    schedule_at(key, name, Clock::now() + name.refresh);
  }
}

std::optional<std::uint64_t> Resolver::Shared::take_due() {
  const auto now = Clock::now();
  const auto due = [now](const Schedule& at) { return !at.empty() && at.begin()->first <= now; };
  const bool failed = !due(schedule);
  if (failed && (!due(failed_schedule) || failed_in_flight + 1 >= options.threads)) return std::nullopt;
  Schedule& from = failed ? failed_schedule : schedule;
  const std::uint64_t key = from.begin()->second;
  from.erase(from.begin());
  return key;
}

void Resolver::Shared::wait_for_due(std::unique_lock<std::mutex>& lock) {
  auto next = Clock::time_point::max();
  if (!schedule.empty()) next = schedule.begin()->first;
  // With no thread free for them, the end of a lookup wakes us.
  if (!failed_schedule.empty() && failed_in_flight + 1 < options.threads)
    next = std::min(next, failed_schedule.begin()->first);
  next == Clock::time_point::max() ? wake.wait(lock) : static_cast<void>(wake.wait_until(lock, next));
}

void Resolver::Shared::look_up(std::uint64_t key, std::unique_lock<std::mutex>& lock) {
  Name& name = names.at(key);
  const bool failed = name.failures > 0;
  name.due.reset();
  name.in_flight = true;
  name.looked_up_at = Clock::now();
  const std::string host = name.host;
  const std::uint64_t generation = name.generation;
  if (failed) ++failed_in_flight;
  lock.unlock();
  ResolverOptions::Answer answer;
  try {
    answer = options.look_up(host);
  } catch (const std::exception& error) {
    answer.error = error.what();
  }
  lock.lock();
  if (failed) --failed_in_flight;
  wake.notify_all();
  record(key, generation, std::move(answer));
}

void Resolver::Shared::run() {
  std::unique_lock lock(mutex);
  while (!stop) {
    const auto key = take_due();
    key ? look_up(*key, lock) : wait_for_due(lock);
  }
  ++ended;
  finished.notify_all();
}

Resolver::Resolver(ResolverOptions options) : shared_(std::make_shared<Shared>(std::move(options))) {
  for (unsigned i = 0; i < shared_->options.threads; ++i)
    std::thread([shared = shared_] { shared->run(); }).detach();
}

Resolver::~Resolver() {
  std::unique_lock lock(shared_->mutex);
  shared_->stop = true;
  shared_->wake.notify_all();
  shared_->finished.wait_for(lock, shared_->options.stop_patience,
                             [this] { return shared_->ended == shared_->options.threads; });
}

int Resolver::fd() const {
  return shared_->event;
}

bool Resolver::watch(std::uint64_t key, const std::string& host, UdpPort port,
                     std::chrono::milliseconds refresh) {
  const std::lock_guard lock(shared_->mutex);
  shared_->drop(key);
  if (shared_->names.size() >= shared_->options.max_names) return false;
  Shared::Name& name = shared_->names[key];
  name.host = host;
  name.port = port;
  name.refresh = refresh;
  name.generation = ++shared_->generations;
  shared_->schedule_at(key, name, Clock::now());
  return true;
}

void Resolver::resolve_again(std::uint64_t key) {
  const std::lock_guard lock(shared_->mutex);
  const auto at = shared_->names.find(key);
  if (at == shared_->names.end() || at->second.in_flight)
    return;  // the running lookup serves this demand too
  Shared::Name& name = at->second;
  const auto soonest = std::max(Clock::now(), name.looked_up_at + shared_->options.retry_first);
  if (!name.due || *name.due > soonest) shared_->schedule_at(key, name, soonest);
}

void Resolver::forget(std::uint64_t key) {
  const std::lock_guard lock(shared_->mutex);
  shared_->drop(key);
}

std::vector<ResolvedName> Resolver::take_results() {
  const std::lock_guard lock(shared_->mutex);
  std::uint64_t count = 0;
  [[maybe_unused]] const ssize_t got = ::read(shared_->event, &count, sizeof count);
  std::vector<ResolvedName> taken;
  for (auto& [key, result] : shared_->results) taken.push_back(std::move(result));
  shared_->results.clear();
  return taken;
}

}  // namespace wg::control
