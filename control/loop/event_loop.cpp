#include "control/loop/event_loop.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <string>
#include <system_error>

namespace wg::control {
namespace {

constexpr std::uint64_t kWakeWatch = 0;
constexpr int kEventsPerIteration = 64;

EventLoop::Clock::duration time_on_core() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

int checked(int result, const char* what) {
  if (result < 0) throw std::system_error(errno, std::generic_category(), what);
  return result;
}

}  // namespace

EventLoop::EventLoop() {
  epoll_fd_ = checked(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
  wake_fd_ = checked(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd");
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = kWakeWatch;
  checked(epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, wake_fd_, &event), "epoll_ctl");
}

EventLoop::~EventLoop() {
  close(wake_fd_);
  close(epoll_fd_);
}

Expected<> EventLoop::add(int fd, std::uint32_t events, FdCallback callback) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = next_watch_;
  if (epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, fd, &event) != 0)
    return Refusal::from_errno(errno, "watching descriptor " + std::to_string(fd));
  watch_of_fd_[fd] = next_watch_;
  watches_[next_watch_] = std::make_shared<FdCallback>(std::move(callback));
  ++next_watch_;
  return {};
}

Expected<> EventLoop::modify(int fd, std::uint32_t events) {
  const std::string what = "watching descriptor " + std::to_string(fd) + " for other events";
  const auto watch = watch_of_fd_.find(fd);
  if (watch == watch_of_fd_.end()) return Refusal::from_errno(ENOENT, what);
  epoll_event event{};
  event.events = events;
  event.data.u64 = watch->second;
  if (epoll_ctl(epoll_fd_, EPOLL_CTL_MOD, fd, &event) != 0) return Refusal::from_errno(errno, what);
  return {};
}

void EventLoop::remove(int fd) {
  const auto watch = watch_of_fd_.find(fd);
  if (watch == watch_of_fd_.end()) return;
  epoll_ctl(epoll_fd_, EPOLL_CTL_DEL, fd, nullptr);
  watches_.erase(watch->second);
  watch_of_fd_.erase(watch);
}

EventLoop::TimerId EventLoop::arm(Clock::duration delay, Clock::duration period, Callback callback) {
  const TimerId id = next_timer_++;
  const auto due = Clock::now() + delay;
  timers_.emplace(id, Timer{std::make_shared<Callback>(std::move(callback)), period, due});
  due_.emplace(due, id);
  return id;
}

EventLoop::TimerId EventLoop::after(Clock::duration delay, Callback callback) {
  return arm(delay, Clock::duration::zero(), std::move(callback));
}

EventLoop::TimerId EventLoop::every(Clock::duration period, Callback callback) {
  const auto at_least = std::max<Clock::duration>(period, std::chrono::milliseconds{1});
  return arm(at_least, at_least, std::move(callback));
}

void EventLoop::cancel(TimerId id) {
  const auto timer = timers_.find(id);
  if (timer == timers_.end()) return;
  due_.erase({timer->second.due, id});
  timers_.erase(timer);
}

void EventLoop::wake() {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = write(wake_fd_, &one, sizeof one);  // full counter: already awake
}

void EventLoop::post(Callback callback) {
  {
    const std::lock_guard lock(posted_mutex_);
    posted_.push_back(std::move(callback));
  }
  wake();
}

void EventLoop::stop() {
  stopped_.store(true, std::memory_order_release);
  wake();
}

void EventLoop::run() {
  while (!stopped()) run_once(std::chrono::hours{1});
}

// Rounded up, so that a timer is due when epoll_wait returns for it.
int EventLoop::wait_milliseconds(Clock::duration wait) const {
  using namespace std::chrono;
  if (!turns_.empty()) return 0;
  if (!due_.empty()) wait = std::min(wait, due_.begin()->first - Clock::now());
  const auto rounded = ceil<milliseconds>(std::max(wait, Clock::duration::zero()));
  return static_cast<int>(std::min<milliseconds::rep>(rounded.count(), 3'600'000));
}

void EventLoop::run_once(Clock::duration wait) {
  epoll_event events[kEventsPerIteration];
  const int count = epoll_wait(epoll_fd_, events, kEventsPerIteration, wait_milliseconds(wait));
  woken_at_ = Clock::now();
  core_at_wake_ = time_on_core();
  for (int i = 0; i < count; ++i) {
    const uint64_t id = events[i].data.u64;  // the kernel packs the struct: no reference into it
    if (id == kWakeWatch) {
      run_posted();
      continue;
    }
    const auto watch = watches_.find(id);
    if (watch == watches_.end()) continue;
    const auto callback = watch->second;  // outlives its own removal
    guarded([&] { (*callback)(events[i].events); });
  }
  run_timers();
  run_turns();
}

EventLoop::Lasted EventLoop::lasted() const {
  if (woken_at_ == Clock::time_point{}) return {};
  return {Clock::now() - woken_at_, time_on_core() - core_at_wake_};
}

void EventLoop::run_posted() {
  std::uint64_t count = 0;
  [[maybe_unused]] const auto got = read(wake_fd_, &count, sizeof count);
  std::vector<Callback> posted;
  {
    const std::lock_guard lock(posted_mutex_);
    posted.swap(posted_);
  }
  for (const auto& callback : posted) guarded(callback);
}

// One that throws was the last. A step stays in its place while it runs, and moves without memory being
// taken: it must not end when there is none.
void EventLoop::run_turns() {
  const auto until = Clock::now() + kTurns;
  for (std::size_t waiting = turns_.size(); waiting != 0 && Clock::now() < until; --waiting) {
    bool more = false;
    guarded([&] { more = turns_.front()(); });
    if (more) {
      std::rotate(turns_.begin(), turns_.begin() + 1, turns_.end());
    } else {
      turns_.pop_front();
    }
  }
}

// To say it may fail as well.
void EventLoop::report(const std::exception& error) noexcept {
  try {
    failed_(error);
  } catch (...) {
  }
}

// Only what was due at the start of the round, so that a timer that re-arms itself with no delay cannot
// keep the descriptors waiting.
void EventLoop::run_timers() {
  const auto now = Clock::now();
  const TimerId newest = next_timer_;
  while (!due_.empty() && due_.begin()->first <= now && due_.begin()->second < newest) {
    auto entry = due_.extract(due_.begin());  // put back as it is: a lack of memory must not end a timer
    const TimerId id = entry.value().second;
    const auto timer = timers_.find(id);
    const auto callback = timer->second.callback;
    if (timer->second.period == Clock::duration::zero()) {
      timers_.erase(timer);
    } else {
      timer->second.due = now + timer->second.period;
      entry.value().first = timer->second.due;
      due_.insert(std::move(entry));
    }
    guarded(*callback);
  }
}

}  // namespace wg::control
