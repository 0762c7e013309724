#include "control/loop/event_loop.h"

#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <stdexcept>
#include <thread>

#include "control/loop/background.h"

namespace wg::control::test {
namespace {

using namespace std::chrono_literals;

struct Pipe {
  Pipe() {
    if (pipe(ends.data()) != 0) std::abort();
  }
  ~Pipe() {
    close(ends[0]);
    close(ends[1]);
  }
  void write_byte() const { ASSERT_EQ(write(ends[1], "x", 1), 1); }
  std::array<int, 2> ends{};
};

TEST(EventLoop, CallsBackForReadableDescriptors) {
  EventLoop loop;
  Pipe pipe;
  int calls = 0;
  ASSERT_TRUE(loop.add(pipe.ends[0], EPOLLIN, [&](std::uint32_t events) {
    EXPECT_TRUE((events & EPOLLIN) != 0);
    ++calls;
  }));
  loop.run_once(0ms);
  EXPECT_EQ(calls, 0);
  pipe.write_byte();
  loop.run_once(0ms);
  EXPECT_EQ(calls, 1);
  loop.remove(pipe.ends[0]);
  loop.run_once(0ms);
  EXPECT_EQ(calls, 1);
}

TEST(EventLoop, ARemovedDescriptorIsNotCalledEvenInTheSameRound) {
  EventLoop loop;
  Pipe first, second;
  int calls = 0;
  const auto remove_other = [&](int other) {
    return [&, other](std::uint32_t) {
      ++calls;
      loop.remove(other);
    };
  };
  ASSERT_TRUE(loop.add(first.ends[0], EPOLLIN, remove_other(second.ends[0])));
  ASSERT_TRUE(loop.add(second.ends[0], EPOLLIN, remove_other(first.ends[0])));
  first.write_byte();
  second.write_byte();
  loop.run_once(0ms);
  EXPECT_EQ(calls, 1);
}

TEST(EventLoop, AReusedDescriptorNumberDoesNotInheritEvents) {
  EventLoop loop;
  Pipe first, second;
  int stale = 0;
  bool swapped = false;
  const auto swap = [&](Pipe& victim) {
    return [&](std::uint32_t) {
      if (swapped) return;
      swapped = true;
      const int number = victim.ends[0];
      loop.remove(number);
      std::array<int, 2> fresh{};
      if (pipe(fresh.data()) != 0) std::abort();
      dup2(fresh[0], number);  // another open file under the old number, with nothing to read
      close(fresh[0]);
      close(fresh[1]);
      EXPECT_TRUE(loop.add(number, EPOLLOUT,
                           [&](std::uint32_t events) { stale += (events & EPOLLIN) != 0 ? 1 : 0; }));
    };
  };
  ASSERT_TRUE(loop.add(first.ends[0], EPOLLIN, swap(second)));
  ASSERT_TRUE(loop.add(second.ends[0], EPOLLIN, swap(first)));
  first.write_byte();
  second.write_byte();
  loop.run_once(0ms);
  EXPECT_TRUE(swapped);
  EXPECT_EQ(stale, 0);
}

TEST(EventLoop, TimersRunInOrderAndOnce) {
  EventLoop loop;
  std::string order;
  loop.after(20ms, [&] { order += 'b'; });
  loop.after(5ms, [&] { order += 'a'; });
  const auto cancelled = loop.after(10ms, [&] { order += 'x'; });
  loop.cancel(cancelled);
  const auto until = EventLoop::Clock::now() + 60ms;
  while (EventLoop::Clock::now() < until) loop.run_once(60ms);
  EXPECT_EQ(order, "ab");
}

TEST(EventLoop, PeriodicTimersRepeatUntilCancelled) {
  EventLoop loop;
  int calls = 0;
  EventLoop::TimerId id = 0;
  id = loop.every(2ms, [&] {
    if (++calls == 3) loop.cancel(id);
  });
  const auto until = EventLoop::Clock::now() + 50ms;
  while (EventLoop::Clock::now() < until) loop.run_once(5ms);
  EXPECT_EQ(calls, 3);
}

TEST(EventLoop, ATimerThatRearmsItselfStarvesNoOther) {
  EventLoop loop;
  std::function<void()> again = [&] { loop.after(0ms, again); };
  loop.after(0ms, again);
  loop.run_once(0ms);  // returns
  loop.run_once(0ms);
}

TEST(EventLoop, PostAndStopFromAnotherThread) {
  EventLoop loop;
  std::thread::id ran_on;
  std::thread other([&] {
    loop.post([&] { ran_on = std::this_thread::get_id(); });
    loop.post([&] { loop.stop(); });
  });
  loop.run();
  other.join();
  EXPECT_EQ(ran_on, std::this_thread::get_id());
}

TEST(EventLoop, RefusesWhatEpollRefuses) {
  EventLoop loop;
  const Expected<> closed = loop.add(-1, EPOLLIN, [](std::uint32_t) {});
  ASSERT_FALSE(closed);
  EXPECT_EQ(closed.error(), (Refusal{EBADF, "watching descriptor -1: Bad file descriptor"}));
  std::FILE* file = std::tmpfile();
  ASSERT_NE(file, nullptr);
  const Expected<> regular = loop.add(fileno(file), EPOLLIN, [](std::uint32_t) {});
  ASSERT_FALSE(regular);
  EXPECT_EQ(regular.error().code, EPERM);
  std::fclose(file);
  const Expected<> unknown = loop.modify(0, EPOLLIN);
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error(),
            (Refusal{ENOENT, "watching descriptor 0 for other events: No such file or directory"}));
}

// One callback that throws takes neither the loop nor the others with it.
TEST(EventLoopFailures, AreToldAndTheLoopGoesOn) {
  EventLoop loop;
  std::vector<std::string> told;
  loop.on_failure([&](const std::exception& error) {
    told.emplace_back(error.what());
    throw std::bad_alloc();  // to tell may fail as well
  });
  int posted = 0, ticks = 0, readable = 0;
  const int pipe_like = eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC);
  ASSERT_TRUE(loop.add(pipe_like, EPOLLIN, [&](std::uint32_t) {
    if (++readable == 1) throw std::runtime_error("descriptor");
    loop.remove(pipe_like);
  }));
  loop.post([] { throw std::runtime_error("posted"); });
  loop.post([&] { ++posted; });
  loop.every(std::chrono::milliseconds{1}, [&] {
    if (++ticks == 1) throw std::runtime_error("timer");
  });
  for (int i = 0; i < 1000 && (ticks < 3 || readable < 2); ++i) loop.run_once(std::chrono::milliseconds{5});
  EXPECT_EQ(posted, 1) << "what was posted after it is still called";
  EXPECT_GE(ticks, 3) << "a periodic timer goes on";
  EXPECT_EQ(readable, 2);
  std::sort(told.begin(), told.end());
  EXPECT_EQ(told, (std::vector<std::string>{"descriptor", "posted", "timer"}));
  close(pipe_like);
}

TEST(EventLoopFailures, OfTheBackgroundArriveAndItsCallerIsAnswered) {
  EventLoop loop;
  std::string told;
  bool done = false;
  loop.on_failure([&](const std::exception& error) { told = error.what(); });
  Background background(loop);
  background.run([] { throw std::runtime_error("disk"); }, [&] { done = true; });
  for (int i = 0; i < 1000 && !done; ++i) loop.run_once(std::chrono::milliseconds{5});
  EXPECT_TRUE(done);
  EXPECT_EQ(told, "disk");
}

}  // namespace
}  // namespace wg::control::test
