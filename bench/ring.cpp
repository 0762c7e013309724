// The ring by which a program is the inner side of an interface, beside DPDK's memif in the same run: one
// queue, 1 024 slots, bursts of 32, the two ends of each in two threads on a core each.
//   ring [--rounds N] [--gate FILE]
// Rounds of 20 ms with the one and the other take turns; figures are medians, ratios medians of the rounds'
// ratios. `side` is the one that receives.
//   mode=turns  one thread has both ends, a burst each: what a packet costs them together
//   mode=poll   both poll
//   mode=event  the program sleeps whenever nothing is there; load=half: bursts at half of what mode=poll
//               reached, load=sparse: one packet each 100 us. From the gateway's call until the program has
//               it.
// ring side=program inner=64 mode=poll queues=1 mpps=... memif_mpps=... ratio=...
// ring side=program inner=64 mode=event queues=1 load=half mpps=... wake_p50_us=... wake_p99_us=...
// Needs root: memif's sockets are in /run.
#include <rte_cycles.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
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
  std::atomic<bool> stop{false};
  std::thread sender([&] {
    pin(1);
    while (!stop.load(std::memory_order_relaxed)) send(link, receiver, bytes);
  });
  while (receive(link, receiver) == 0) {
  }
  const std::uint64_t begin = rte_rdtsc(), end = begin + clocks_of(kRoundSeconds);
  std::size_t packets = 0;
  std::uint64_t now = begin;
  for (; now < end; now = rte_rdtsc()) packets += receive(link, receiver);
  stop = true;
  sender.join();
  empty(link, receiver);
  return mpps_of(packets, now - begin);
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
  std::atomic<bool> stop{false};
  std::thread program([&] {
    pin(1);
    const auto note = [](void* self, std::uint64_t clocks) {
      auto& all = *static_cast<std::vector<std::uint64_t>*>(self);
      if (all.size() < all.capacity()) all.push_back(clocks);
    };
    while (!stop.load(std::memory_order_relaxed))
      if (ring.program_receives(note, &latencies) == 0) ring.program_waits();
  });
  const std::uint64_t period = clocks_of(period_us / 1e6), begin = rte_rdtsc(),
                      end = begin + clocks_of(kWakeSeconds);
  std::size_t packets = 0;
  for (std::uint64_t due = begin; due < end; due += period) {
    while (rte_rdtsc() < due) {
    }
    packets += ring.gateway_sends(bytes, burst);
  }
  stop = true;
  program.join();
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

Wakes median_of_wakes(Link& ring, std::size_t bytes, std::size_t burst, double period_us,
                      std::size_t rounds) {
  std::vector<Wakes> all;
  for (std::size_t i = 0; i < rounds; ++i) all.push_back(wakes(ring, bytes, burst, period_us));
  return median_of(all);
}

// ---------------------------------------------------------------- the lines

class Bench {
 public:
  Bench(rte_mempool* pool, std::size_t rounds, Gate* gate)
      : pool_(pool), rounds_(rounds), gate_(gate), ring_(make_ring(pool, true)), memif_(make_memif(pool)) {}

  void run() {
    for (const std::size_t bytes : kSizes) {
      for (const Receiver receiver : {Receiver::kProgram, Receiver::kGateway}) {
        compare("turns", in_turns, receiver, bytes);
        const double mpps = compare("poll", by_polling, receiver, bytes);
        if (receiver == Receiver::kProgram) half_ = mpps / 2;
      }
      sleep(bytes);
    }
  }

 private:
  double compare(const char* mode, Measure measure, Receiver receiver, std::size_t bytes) {
    const Pair found = side_by_side(measure, *ring_, *memif_, receiver, bytes, rounds_);
    char line[200];
    std::snprintf(line, sizeof line,
                  "ring side=%s inner=%zu mode=%s queues=1 mpps=%.2f memif_mpps=%.2f ratio=%.2f",
                  receiver == Receiver::kProgram ? "program" : "gateway", bytes, mode, found.ring,
                  found.memif, found.ratio);
    report(gate_, line);
    return found.ring;
  }

  void sleep(std::size_t bytes) {
    const auto ring = make_ring(pool_, false);
    const auto line_of = [&](const char* load, const Wakes& found) {
      char line[200];
      std::snprintf(line, sizeof line,
                    "ring side=program inner=%zu mode=event queues=1 load=%s mpps=%.3f wake_p50_us=%.1f "
                    "wake_p99_us=%.1f",
                    bytes, load, found.mpps, found.p50_us, found.p99_us);
      report(gate_, line);
    };
    const double period_us = static_cast<double>(kRingBurst) / half_;
    line_of("half", median_of_wakes(*ring, bytes, kRingBurst, period_us, rounds_));
    line_of("sparse", median_of_wakes(*ring, bytes, 1, 100, rounds_));
  }

  rte_mempool* pool_;
  const std::size_t rounds_;
  Gate* gate_;
  std::unique_ptr<Link> ring_, memif_;
  double half_ = 1;  // Mpps to the program
};

int run(int count, char** words) {
  std::size_t rounds = 31;
  std::optional<Gate> gate;
  for (int i = 1; i + 1 < count; i += 2) {
    if (std::strcmp(words[i], "--rounds") == 0) rounds = std::stoul(words[i + 1]);
    if (std::strcmp(words[i], "--gate") == 0) gate = Gate::read(words[i + 1]);
  }
  dataplane::EalOptions options;
  options.memory_mb = 128;
  options.hugepages = dataplane::Hugepages::kOff;
  options.extra_arguments = {"-d", "librte_net_memif.so"};
  dataplane::start_eal(options);
  rte_mempool* pool = dataplane::create_packet_pool("ring", 16'383, 2048);
  pin(0);
  Bench(pool, std::max<std::size_t>(rounds, 1), gate ? &*gate : nullptr).run();
  return !gate || gate->kept() ? 0 : 1;
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
