#include "tests/daemon/loop_times.h"

#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <time.h>

#include <algorithm>
#include <utility>

namespace wg::test {

namespace {

std::uint64_t clock_ns(clockid_t clock) {
  timespec t{};
  clock_gettime(clock, &t);
  return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000'000u + static_cast<std::uint64_t>(t.tv_nsec);
}
std::uint64_t wall_ns() {
  return clock_ns(CLOCK_MONOTONIC);
}
std::uint64_t ran_ns() {
  return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

void bump(std::vector<std::uint32_t>& counts, std::uint64_t ns) {
  ++counts[std::min<std::uint64_t>(ns / 1000, counts.size() - 1)];
}

std::uint32_t us(std::uint64_t ns) {
  return static_cast<std::uint32_t>(ns / 1000);
}

}  // namespace

std::size_t LoopTimes::quantile(const std::vector<std::uint32_t>& counts, double share) {
  std::uint64_t all = 0;
  for (const std::uint32_t n : counts) all += n;
  const auto wanted = static_cast<std::uint64_t>(static_cast<double>(all) * share);
  std::uint64_t seen = 0;
  for (std::size_t us = 0; us < counts.size(); ++us) {
    seen += counts[us];
    if (seen > wanted) return us;
  }
  return counts.size();
}

std::size_t LoopTimes::largest(const std::vector<std::uint32_t>& counts) {
  for (std::size_t us = counts.size(); us-- > 0;) {
    if (counts[us] != 0) return us;
  }
  return 0;
}

std::uint64_t LoopTimes::above(const std::vector<std::uint32_t>& counts, std::size_t us) {
  std::uint64_t n = 0;
  for (std::size_t i = us + 1; i < counts.size(); ++i) n += counts[i];
  return n;
}

// ---------------------------------------------------------------- LoopClock

void LoopClock::wan_polled(bool count) {
  if (count && wall_ != 0) note(wall_ns(), ran_ns());
}

void LoopClock::wan_filled() {
  rusage usage{};
  getrusage(RUSAGE_THREAD, &usage);
  faults_ = static_cast<std::uint64_t>(usage.ru_minflt);
  switches_ = static_cast<std::uint64_t>(usage.ru_nivcsw);
  lan_begin_ = lan_end_ = through_ = lan_wall_ = lan_ran_ = 0;
  wall_ = wall_ns();
  ran_ = ran_ns();
}

void LoopClock::lan_polled() {
  lan_begin_ = wall_ns();
  lan_ran_ = ran_ns();
}

void LoopClock::lan_filled() {
  lan_end_ = wall_ns();
  lan_wall_ = lan_end_ - lan_begin_;
  lan_ran_ = ran_ns() - lan_ran_;
}

void LoopClock::wan_transmitted() {
  if (lan_end_ != 0 && through_ == 0) through_ = wall_ns();
}

void LoopClock::note(std::uint64_t now, std::uint64_t ran_now) {
  constexpr std::uint64_t kOffCore = 3000;  // ns; less is the reading of two clocks
  const std::uint64_t wall = now - wall_ - lan_wall_, ran = ran_now - ran_ - lan_ran_;
  bump(times_.wall, wall);
  bump(times_.ran, ran);
  if (wall < ran + kOffCore) bump(times_.own, ran);
  ++times_.loops;
  rusage usage{};
  getrusage(RUSAGE_THREAD, &usage);
  const std::uint64_t faults = static_cast<std::uint64_t>(usage.ru_minflt) - faults_;
  times_.minor_faults += faults;
  if (us(wall) <= kLongLoop || times_.longs.size() == kLongsKept) return;
  const std::uint64_t begin = lan_begin_ != 0 ? lan_begin_ : now, end = lan_end_ != 0 ? lan_end_ : now;
  const std::uint64_t through = through_ != 0 ? through_ : end;
  times_.longs.push_back(
      {us(wall), us(ran), us(begin - wall_), us(through - end), us(now - through),
       static_cast<std::uint32_t>(faults),
       static_cast<std::uint32_t>(static_cast<std::uint64_t>(usage.ru_nivcsw) - switches_)});
}

LoopTimes LoopClock::take() {
  LoopTimes fresh;
  fresh.longs.reserve(kLongsKept);
  return std::exchange(times_, std::move(fresh));
}

// ---------------------------------------------------------------- jitter

Jitter spin(std::chrono::microseconds time, unsigned avoided, std::span<std::uint8_t> memory) {
  constexpr std::uint64_t kTurn = 5'000'000;  // ns; then others of the same priority may go on
  cpu_set_t before, cores;
  pthread_getaffinity_np(pthread_self(), sizeof before, &before);
  cores = before;
  if (CPU_COUNT(&cores) > 1) CPU_CLR(avoided, &cores);
  pthread_setaffinity_np(pthread_self(), sizeof cores, &cores);
  Jitter jitter;
  constexpr unsigned kLines = 8;
  std::uint64_t at = 1;
  std::uint64_t last = wall_ns(), turn = last;
  const std::uint64_t end = last + static_cast<std::uint64_t>(time.count()) * 1000;
  while (last < end) {
    if (last - turn > kTurn) {
      sched_yield();
      turn = last = wall_ns();
    }
    const std::uint64_t now = wall_ns(), gap_us = (now - last) / 1000;
    jitter.worst_us = std::max(jitter.worst_us, gap_us);
    if (gap_us > kLongLoop) ++jitter.gaps;
    last = now;
    for (unsigned i = 0; i < kLines && !memory.empty(); ++i) {
      at = at * 6364136223846793005u + 1442695040888963407u;
      ++memory[(at >> 20) % memory.size()];
    }
  }
  pthread_setaffinity_np(pthread_self(), sizeof before, &before);
  return jitter;
}

}  // namespace wg::test
