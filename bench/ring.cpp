// The ring by which a program is the inner side of an interface, beside DPDK's memif in the same run: one
// queue, 1 024 slots, bursts of 32, the two ends of each in two threads on a core each.
//   ring [--rounds N] [--gate FILE] [--only TEXT] [--fifo]
// --only: lines that have TEXT before their first figure. --fifo: every thread has SCHED_FIFO, so that other
// programs on the same cores do not count; the machine should have nothing else to do.
// Rounds of 20 ms with the one and the other take turns; figures are medians, ratios medians of the rounds'
// ratios. `side` is the one that receives.
//   mode=turns  one thread has both ends, a burst each: what a packet costs them together
//   mode=poll   both poll
//   mode=paced  clocks of the gateway's end for a packet when it works on something else between the bursts,
//   for
//               as long as the crypto of a burst takes; the program polls on the other core, and reads or
//               writes each byte
//   mode=event  the program waits whenever nothing is there, wait=poll: in poll(), wait=spin: in
//               lg_ring_wait(), which looks for 50 us first. load=half: bursts at half of what mode=poll
//               reached, load=sparse: one packet each 100 us. From the gateway's call until the program has
//               it; socket_: the same by a byte in a socket pair, without a ring, in turns.
// ring side=program inner=64 mode=poll queues=1 mpps=... memif_mpps=... ratio=...
// ring side=program inner=64 mode=paced queues=1 clocks=... memif_clocks=... ratio=...
// ring side=program inner=64 mode=event queues=1 load=half wait=poll mpps=... wake_p50_us=... wake_p99_us=...
//      socket_p50_us=... socket_p99_us=...
// Needs root: memif's sockets are in /run.
#include <rte_cycles.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "bench/gate.h"
#include "bench/ring_links.h"
#include "dataplane/eal.h"

namespace wg::bench {

namespace {

constexpr double kRoundSeconds = 0.02, kWakeSeconds = 0.05;
constexpr std::size_t kSizes[] = {64, 512, 1420};
enum class Receiver { kProgram, kGateway };

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2),
                   values.end());
  return values[values.size() / 2];
}

std::uint64_t clocks_of(double seconds) {
  return static_cast<std::uint64_t>(seconds * static_cast<double>(rte_get_tsc_hz()));
}

double mpps_of(std::size_t packets, std::uint64_t clocks) {
  return static_cast<double>(packets) * static_cast<double>(rte_get_tsc_hz()) / static_cast<double>(clocks) /
         1e6;
}

// A thread inherits what the one before it may use: asked for once.
void pin(std::size_t which) {
  static const std::vector<unsigned> cpus = dataplane::usable_cpus();
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(cpus[which % cpus.size()], &one);
  sched_setaffinity(0, sizeof one, &one);
}

// A thread on the second core. It begins on the caller's, which under SCHED_FIFO must make way for it.
class SecondCore {
 public:
  explicit SecondCore(const std::function<void()>& round)
      : thread_([this, round] {
          pin(1);
          is_there_ = true;
          while (!stop_.load(std::memory_order_relaxed)) round();
        }) {
    while (!is_there_) std::this_thread::yield();
  }
  ~SecondCore() {
    stop_ = true;
    thread_.join();
  }
  SecondCore(const SecondCore&) = delete;
  SecondCore& operator=(const SecondCore&) = delete;

 private:
  std::atomic<bool> stop_{false}, is_there_{false};
  std::thread thread_;
};

std::size_t send(Link& link, Receiver receiver, std::size_t bytes) {
  return receiver == Receiver::kProgram ? link.gateway_sends(bytes, kRingBurst) : link.program_sends(bytes);
}
std::size_t receive(Link& link, Receiver receiver) {
  return receiver == Receiver::kProgram ? link.program_receives(nullptr, nullptr) : link.gateway_receives();
}

// What the round before has left.
void empty(Link& link, Receiver receiver) {
  while (receive(link, receiver) != 0) {
  }
}

// Millions of packets a second, both ends in this thread.
double in_turns(Link& link, Receiver receiver, std::size_t bytes) {
  const std::uint64_t begin = rte_rdtsc(), end = begin + clocks_of(kRoundSeconds);
  std::size_t packets = 0;
  std::uint64_t now = begin;
  for (; now < end; now = rte_rdtsc()) {
    send(link, receiver, bytes);
    packets += receive(link, receiver);
  }
  return mpps_of(packets, now - begin);
}

// The sender in a thread of its own.
double by_polling(Link& link, Receiver receiver, std::size_t bytes) {
  std::size_t packets = 0;
  std::uint64_t begin = 0, now = 0;
  {
    const SecondCore sender([&] { send(link, receiver, bytes); });
    while (receive(link, receiver) == 0) {
    }
    begin = rte_rdtsc();
    const std::uint64_t end = begin + clocks_of(kRoundSeconds);
    for (now = begin; now < end; now = rte_rdtsc()) packets += receive(link, receiver);
  }
  empty(link, receiver);
  return mpps_of(packets, now - begin);
}

// About what sealing a burst takes; it goes through as much memory.
void work(std::size_t bytes) {
  static std::vector<std::uint8_t> own(kRingBurst * std::size_t{2048});
  const std::uint64_t until = rte_rdtsc() + kRingBurst * (200 + bytes * 6 / 10);
  for (std::size_t at = 0; at < kRingBurst * bytes; at += 64) ++own[at];
  while (rte_rdtsc() < until) {
  }
}

// Clocks of the gateway's end for a packet of a whole burst.
double paced(Link& link, Receiver receiver, std::size_t bytes) {
  const bool to_program = receiver == Receiver::kProgram;
  std::vector<double> clocks;
  link.read_all(true);
  {
    const SecondCore program(
        [&] { to_program ? link.program_receives(nullptr, nullptr) : link.program_sends(bytes); });
    const std::uint64_t end = rte_rdtsc() + clocks_of(kRoundSeconds);
    while (rte_rdtsc() < end || clocks.empty()) {
      work(bytes);
      const std::uint64_t begin = rte_rdtsc();
      const std::size_t n = to_program ? link.gateway_sends(bytes, kRingBurst) : link.gateway_receives();
      const auto took = static_cast<double>(rte_rdtsc() - begin);
      if (n == kRingBurst) clocks.push_back(took / static_cast<double>(n));
    }
  }
  link.read_all(false);
  empty(link, receiver);
  return median(std::move(clocks));
}

using Measure = double (*)(Link& link, Receiver receiver, std::size_t bytes);

struct Pair {
  double ring = 0, memif = 0, ratio = 0;
};

Pair side_by_side(Measure measure, Link& ring, Link& memif, Receiver receiver, std::size_t bytes,
                  std::size_t rounds) {
  std::vector<double> of_ring, of_memif, ratios;
  for (std::size_t i = 0; i < rounds; ++i) {
    const double a = measure(ring, receiver, bytes), b = measure(memif, receiver, bytes);
    of_ring.push_back(a);
    of_memif.push_back(b);
    ratios.push_back(a / b);
  }
  return {median(std::move(of_ring)), median(std::move(of_memif)), median(std::move(ratios))};
}

// ---------------------------------------------------------------- a program that sleeps

struct Wakes {
  double mpps = 0, p50_us = 0, p99_us = 0;
};

Wakes wakes(Link& ring, std::size_t bytes, std::size_t burst, double period_us) {
  std::vector<std::uint64_t> latencies;
  latencies.reserve(std::size_t{1} << 20);
  const auto note = [](void* self, std::uint64_t clocks) {
    auto& all = *static_cast<std::vector<std::uint64_t>*>(self);
    if (all.size() < all.capacity()) all.push_back(clocks);
  };
  std::size_t packets = 0;
  {
    const SecondCore program([&] {
      if (ring.program_receives(note, &latencies) == 0) ring.program_waits();
    });
    const std::uint64_t period = clocks_of(period_us / 1e6), begin = rte_rdtsc(),
                        end = begin + clocks_of(kWakeSeconds);
    for (std::uint64_t due = begin; due < end; due += period) {
      while (rte_rdtsc() < due) {
      }
      packets += ring.gateway_sends(bytes, burst);
    }
  }
  empty(ring, Receiver::kProgram);
  std::sort(latencies.begin(), latencies.end());
  const auto at = [&](double share) {
    const auto i = static_cast<std::size_t>(share * static_cast<double>(latencies.size() - 1));
    return static_cast<double>(latencies.at(i)) * 1e6 / static_cast<double>(rte_get_tsc_hz());
  };
  return {static_cast<double>(packets) / kWakeSeconds / 1e6, at(0.5), at(0.99)};
}

Wakes median_of(std::vector<Wakes> all) {
  const auto of = [&](double Wakes::*member) {
    std::vector<double> values;
    for (const Wakes& one : all) values.push_back(one.*member);
    return median(std::move(values));
  };
  return {of(&Wakes::mpps), of(&Wakes::p50_us), of(&Wakes::p99_us)};
}

struct BothWakes {
  Wakes ring, socket;
};

BothWakes median_of_wakes(Link& ring, Link& socket, std::size_t bytes, std::size_t burst, double period_us,
                          std::size_t rounds) {
  std::vector<Wakes> of_ring, of_socket;
  for (std::size_t i = 0; i < rounds; ++i) {
    of_ring.push_back(wakes(ring, bytes, burst, period_us));
    of_socket.push_back(wakes(socket, bytes, burst, period_us));
  }
  return {median_of(of_ring), median_of(of_socket)};
}

// ---------------------------------------------------------------- the lines

struct Options {
  std::size_t rounds = 31;
  std::optional<Gate> gate;
  std::string only;
  bool fifo = false;
};

class Bench {
 public:
  Bench(rte_mempool* pool, Options& options)
      : pool_(pool),
        options_(options),
        ring_(make_ring(pool, Waiting::kNever)),
        memif_(make_memif(pool)),
        socket_(make_socket()) {}

  void run() {
    for (const std::size_t bytes : kSizes) {
      for (const Receiver receiver : {Receiver::kProgram, Receiver::kGateway}) {
        compare("turns", in_turns, receiver, bytes);
        compare("poll", by_polling, receiver, bytes);
        compare("paced", paced, receiver, bytes, "clocks");
      }
      half_ = 0;
      for (const Waiting waiting : {Waiting::kPoll, Waiting::kSpin}) wake(bytes, waiting);
    }
  }

 private:
  [[nodiscard]] bool is_wanted(const std::string& line) const {
    return options_.only.empty() || line.find(options_.only) != std::string::npos;
  }
  Gate* gate() { return options_.gate ? &*options_.gate : nullptr; }

  void compare(const char* mode, Measure measure, Receiver receiver, std::size_t bytes,
               const char* unit = "mpps") {
    const std::string line = std::string("ring side=") +
                             (receiver == Receiver::kProgram ? "program" : "gateway") +
                             " inner=" + std::to_string(bytes) + " mode=" + mode + " queues=1";
    if (!is_wanted(line)) return;
    const Pair found = side_by_side(measure, *ring_, *memif_, receiver, bytes, options_.rounds);
    char figures[100];
    std::snprintf(figures, sizeof figures, " %s=%.2f memif_%s=%.2f ratio=%.2f", unit, found.ring, unit,
                  found.memif, found.ratio);
    report(gate(), line + figures);
  }

  // Half of what it takes when both sides poll, in packets per microsecond.
  double half(std::size_t bytes) {
    if (half_ == 0) {
      std::vector<double> mpps;
      for (std::size_t i = 0; i < options_.rounds; ++i)
        mpps.push_back(by_polling(*ring_, Receiver::kProgram, bytes));
      half_ = median(std::move(mpps)) / 2;
    }
    return half_;
  }

  void wake(std::size_t bytes, Waiting waiting) {
    std::unique_ptr<Link> ring;
    for (const bool is_half : {true, false}) {
      const std::string line = "ring side=program inner=" + std::to_string(bytes) +
                               " mode=event queues=1 load=" + (is_half ? "half" : "sparse") +
                               " wait=" + (waiting == Waiting::kPoll ? "poll" : "spin");
      if (!is_wanted(line)) continue;
      if (ring == nullptr) ring = make_ring(pool_, waiting);
      const std::size_t burst = is_half ? kRingBurst : 1;
      const double period_us = is_half ? static_cast<double>(kRingBurst) / half(bytes) : 100;
      const BothWakes found = median_of_wakes(*ring, *socket_, bytes, burst, period_us, options_.rounds);
      char figures[160];
      std::snprintf(figures, sizeof figures,
                    " mpps=%.3f wake_p50_us=%.1f wake_p99_us=%.1f socket_p50_us=%.1f socket_p99_us=%.1f",
                    found.ring.mpps, found.ring.p50_us, found.ring.p99_us, found.socket.p50_us,
                    found.socket.p99_us);
      report(gate(), line + figures);
    }
  }

  rte_mempool* pool_;
  Options& options_;
  std::unique_ptr<Link> ring_, memif_, socket_;
  double half_ = 0;  // of the present size; 0: not measured yet
};

Options options_of(int count, char** words) {
  Options options;
  for (int i = 1; i < count; ++i) {
    const std::string word = words[i];
    if (word == "--fifo") {
      options.fifo = true;
    } else if (i + 1 < count && word == "--rounds") {
      options.rounds = std::max<std::size_t>(std::stoul(words[++i]), 1);
    } else if (i + 1 < count && word == "--gate") {
      options.gate = Gate::read(words[++i]);
    } else if (i + 1 < count && word == "--only") {
      options.only = words[++i];
    } else {
      throw std::runtime_error("ring [--rounds N] [--gate FILE] [--only TEXT] [--fifo]");
    }
  }
  return options;
}

// The threads of the rounds have what their parent has.
void take_fifo() {
  sched_param priority{};
  priority.sched_priority = 1;
  if (sched_setscheduler(0, SCHED_FIFO, &priority) != 0)
    throw std::runtime_error("the system refuses SCHED_FIFO");
}

int run(int count, char** words) {
  Options wanted = options_of(count, words);
  dataplane::EalOptions options;
  options.memory_mb = 128;
  options.hugepages = dataplane::Hugepages::kOff;
  options.extra_arguments = {"-d", "librte_net_memif.so"};
  dataplane::start_eal(options);
  rte_mempool* pool = dataplane::create_packet_pool("ring", 16'383, 2048);
  pin(0);
  Bench bench(pool, wanted);
  if (wanted.fifo) take_fifo();
  bench.run();
  return !wanted.gate || wanted.gate->kept() ? 0 : 1;
}

}  // namespace

}  // namespace wg::bench

int main(int count, char** words) {
  if (geteuid() != 0) {
    std::puts("ring: skipped, memif's sockets in /run need root");
    return 0;
  }
  try {
    return wg::bench::run(count, words);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "ring: %s\n", error.what());
    return 1;
  }
}
