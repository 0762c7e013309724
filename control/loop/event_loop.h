// The loop of the control thread: file descriptors, timeouts, and work posted from other threads, over one
// epoll(7).
//
// Everything but post() and stop() belongs to the thread that runs the loop. Callbacks may add and remove
// anything, themselves included; a removed descriptor's callback is not called any more, even when its event
// is already at hand. What a callback throws goes to on_failure(), and the loop goes on. Descriptors stay the
// caller's.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include "dataplane/base/expected.h"

namespace wg::control {

class EventLoop {
 public:
  using Clock = std::chrono::steady_clock;
  using FdCallback = std::function<void(std::uint32_t events)>;  // EPOLLIN, EPOLLOUT, EPOLLHUP, …
  using Callback = std::function<void()>;
  using TimerId = std::uint64_t;       // never 0, never reused
  using Step = std::function<bool()>;  // false: it was the last
  // How long the steps of a round may take together, and about how long each of them should be.
  static constexpr std::chrono::microseconds kTurns{1000}, kStep{500};

  // Throws std::system_error when epoll or eventfd fails.
  EventLoop();
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // Refused with the errno of epoll_ctl(2): EPERM for a regular file, EBADF, EEXIST, ENOSPC.
  Expected<> add(int fd, std::uint32_t events, FdCallback callback);
  // Refused with ENOENT when the descriptor is not in the loop.
  Expected<> modify(int fd, std::uint32_t events);
  void remove(int fd);

  TimerId after(Clock::duration delay, Callback callback);
  TimerId every(Clock::duration period, Callback callback);
  void cancel(TimerId id);

  // For work of which there may be much: calls `step` once a round, in turn with the other steps, until it
  // returns false. Steps for which a round has no time left come first in the next.
  void in_turns(Step step) { turns_.push_back(std::move(step)); }

  // From any thread: runs `callback` on the loop's thread.
  void post(Callback callback);
  // From any thread or a signal handler: run() returns after the current iteration.
  void stop();
  bool stopped() const { return stopped_.load(std::memory_order_acquire); }

  // Receives the exceptions of callbacks. Without it, they leave run_once().
  void on_failure(std::function<void(const std::exception&)> failed) { failed_ = std::move(failed); }
  // Calls `callback` as one of the loop's.
  template <class Call>
  void guarded(const Call& call) {
    if (!failed_) return call();
    try {
      call();
    } catch (const std::exception& error) {
      report(error);
    }
  }

  void run();
  // One iteration: waits at most `wait`, for the next timer or descriptor, and calls what is due.
  void run_once(Clock::duration wait);
  // Since the wait of the present iteration ended, and how much of it this thread had a core. Zero before
  // the first.
  struct Lasted {
    Clock::duration took{0}, on_core{0};
  };
  [[nodiscard]] Lasted lasted() const;

 private:
  struct Timer {
    std::shared_ptr<Callback> callback;  // outlives its own cancelling
    Clock::duration period;              // zero: once
    Clock::time_point due;
  };

  TimerId arm(Clock::duration delay, Clock::duration period, Callback callback);
  int wait_milliseconds(Clock::duration wait) const;
  void run_timers();
  void run_posted();
  void run_turns();
  void report(const std::exception& error) noexcept;
  void wake();

  int epoll_fd_ = -1;
  int wake_fd_ = -1;
  // Events carry a watch id, never reused, because a descriptor may be closed and its number reused within an
  // iteration.
  std::unordered_map<int, std::uint64_t> watch_of_fd_;
  std::unordered_map<std::uint64_t, std::shared_ptr<FdCallback>> watches_;
  std::uint64_t next_watch_ = 1;
  std::unordered_map<TimerId, Timer> timers_;
  std::set<std::pair<Clock::time_point, TimerId>> due_;
  TimerId next_timer_ = 1;
  std::deque<Step> turns_;
  Clock::time_point woken_at_;
  Clock::duration core_at_wake_{0};
  std::atomic<bool> stopped_{false};
  std::mutex posted_mutex_;
  std::vector<Callback> posted_;
  std::function<void(const std::exception&)> failed_;
};

}  // namespace wg::control
