// The packet path of one worker, L2 to L2, over ports in memory: what a packet costs, by size, address
// family, number of peers and warmth of the buffers; behaviour under overload, latency at half load, and what
// a flood of junk takes from data.
//
// Timed is Worker::run_once() alone, clock reading and port included, in bursts of 32. Everything else
// (making, sealing and restoring packets) happens between the timed sections. Clocks are TSC clocks per
// packet, medians over many bursts. --stages adds the worker's own stage counters; --paired compares two
// builds.
#include <rte_cycles.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <exception>
#include <filesystem>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "bench/dataplane_gateway.h"
#include "bench/dataplane_learning.h"
#include "bench/dataplane_paired.h"
#include "bench/gate.h"

namespace wg::bench {
namespace {

using namespace dataplane;

struct Options {
  bool quick = false;
  bool stages = false;
  std::string only;  // run lines that contain this text
  Gate* gate = nullptr;
};

std::uint64_t clock_now() {
  return rte_rdtsc_precise();
}

double hertz() {
  return static_cast<double>(rte_get_tsc_hz());
}

double percentile(std::vector<double> values, double p) {
  const auto at = values.begin() + static_cast<std::ptrdiff_t>(p * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

struct Samples {
  std::vector<double> path;                         // clocks per packet of each burst
  std::vector<double> aead;                         // the same payloads, crypto alone, interleaved
  std::array<std::vector<double>, kStages> stages;  // the worker's own counters
  void clear() { *this = {}; }
};

using StageCycles = std::array<std::uint64_t, kStages>;

StageCycles stage_cycles(const Worker& worker) {
  StageCycles cycles;
  for (std::size_t i = 0; i < kStages; ++i) cycles[i] = worker.counters().stage_cycles[i].get();
  return cycles;
}

// Runs the whole batch once, burst by burst.
void run_batch(Gateway& gateway, Samples& samples) {
  const auto batch = gateway.batch();
  gateway.prepare(0, batch.size());
  const std::uint64_t aead = clock_now();
  gateway.aead_alone();
  samples.aead.push_back(static_cast<double>(clock_now() - aead) / Gateway::kBurst);
  gateway.arrive(batch);
  std::size_t left = 0;
  for (std::size_t at = 0; at < batch.size(); at += Gateway::kBurst) {
    const StageCycles before = stage_cycles(gateway.worker());
    const std::uint64_t start = clock_now();
    gateway.loop();
    samples.path.push_back(static_cast<double>(clock_now() - start) / Gateway::kBurst);
    const StageCycles after = stage_cycles(gateway.worker());
    for (std::size_t i = 0; i < kStages; ++i)
      samples.stages[i].push_back(static_cast<double>(after[i] - before[i]) / Gateway::kBurst);
    left += gateway.leave(batch.data() + left, batch.size() - left);
  }
  if (left != batch.size()) throw std::runtime_error("packets were lost: the figures would lie");
}

std::string label(const Case& c) {
  char text[160];
  std::snprintf(text, sizeof text, "direction=%s inner=%u outer=%d peers=%u order=%s buffers=%s",
                c.direction == Direction::send ? "send" : "receive", c.inner, c.outer6 ? 6 : 4, c.peers,
                c.sequential ? "sequential" : "random", c.cold ? "cold" : "hot");
  return text;
}

void print_stages(const Samples& samples) {
  std::printf(" ");
  for (std::size_t i = 0; i < kStages; ++i) {
    const double clocks = percentile(samples.stages[i], 0.5);
    if (clocks > 0) std::printf(" %s=%.1f", kStageNames[i], clocks);
  }
  std::printf("\n");
}

// Enough packets that every peer's lines have been touched, and left the caches again where they do not fit.
double measure(Case c, const Options& options) {
  c.stages = options.stages;
  Gateway gateway(c);
  Samples samples;
  const std::size_t warm_up = std::min<std::size_t>(c.peers * 2, 200'000) + 4096;
  const std::size_t wanted = options.quick ? 100'000 : 1'000'000;
  for (std::size_t packets = 0; packets < warm_up; packets += gateway.batch().size())
    run_batch(gateway, samples);
  samples.clear();
  for (std::size_t packets = 0; packets < wanted; packets += gateway.batch().size())
    run_batch(gateway, samples);
  const double clocks = percentile(samples.path, 0.5), mpps = hertz() / clocks / 1e6;
  char figures[160];
  std::snprintf(figures, sizeof figures, " clocks=%.1f ns=%.1f mpps=%.2f gbps=%.2f p10=%.1f aead=%.1f",
                clocks, 1e3 / mpps, mpps, mpps * c.inner * 8 / 1e3, percentile(samples.path, 0.1),
                percentile(samples.aead, 0.5));
  report(options.gate, "path " + label(c) + figures);
  if (options.stages) print_stages(samples);
  return clocks;
}

void measure_paths(const Options& options) {
  for (const Direction direction : {Direction::send, Direction::receive}) {
    for (const std::uint32_t inner : {64u, 512u, 1420u}) {
      for (const bool outer6 : {false, true}) {
        for (const std::uint32_t peers : {1u, 1000u, 100'000u}) {
          for (const bool cold : {false, true}) {
            const Case c{direction, inner, outer6, peers, cold, false};
            if (options.only.empty() || ("path " + label(c)).find(options.only) != std::string::npos)
              measure(c, options);
          }
        }
      }
    }
  }
}

// ---- from port to port: no crypto, so that each clock of the path is seen

void measure_ports(const Options& options) {
  for (const bool cold : {false, true}) {
    const Case c{Direction::across, 64, false, 1, cold, false};
    const std::string line = std::string("ports inner=64 buffers=") + (cold ? "cold" : "hot");
    if (!options.only.empty() && line.find(options.only) == std::string::npos) continue;
    Gateway gateway(c);
    Samples samples;
    const std::size_t wanted = options.quick ? 100'000 : 1'000'000;
    for (std::size_t packets = 0; packets < 4096; packets += gateway.batch().size())
      run_batch(gateway, samples);
    samples.clear();
    for (std::size_t packets = 0; packets < wanted; packets += gateway.batch().size())
      run_batch(gateway, samples);
    const double clocks = percentile(samples.path, 0.5);
    std::printf("%s clocks=%.1f p10=%.1f mpps=%.2f\n", line.c_str(), clocks, percentile(samples.path, 0.1),
                hertz() / clocks / 1e6);
    std::fflush(stdout);
  }
}

// ---- flows: what carrying a connection costs beside the plain short cut with the same packets. The two take
// turns, so that other load on the machine meets both.

// Its fields of the line; empty where the kernel cannot be asked.
std::string learning_fields(std::uint32_t connections, std::uint32_t capacity, unsigned rounds) {
  try {
    const auto learning = measure_learning(connections, capacity, rounds);
    if (!learning) return {};
    char text[80];
    std::snprintf(text, sizeof text, " learn_per_s=%.0f learn_per_wall_s=%.0f", learning->per_second,
                  learning->per_wall_second);
    return text;
  } catch (const std::exception& problem) {
    std::fprintf(stderr, "dataplane: learning is not measured: %s\n", problem.what());
    return {};
  }
}

// Learning does not depend on what the packets of a line are, but on the size of the table: measured once for
// each, and with as many connections as Linux can be asked for without raising its own limit.
const std::string& learning_of(std::uint32_t flows, const Options& options) {
  static std::map<std::uint32_t, std::string> known;
  const auto [at, is_new] = known.try_emplace(flows);
  if (is_new) at->second = learning_fields(std::min(flows, 100'000u), flows, options.quick ? 3 : 7);
  return at->second;
}

void measure_flow_case(Case c, const char* kind, const Options& options) {
  char line[160];
  std::snprintf(line, sizeof line, "flows direction=%s inner=%u flows=%u kind=%s",
                c.direction == Direction::send ? "to_tunnel" : "from_tunnel", c.inner, c.flows, kind);
  if (!options.only.empty() && std::string(line).find(options.only) == std::string::npos) return;
  Case plain = c;
  plain.kind = FlowKind::kShortCut;
  Gateway base(plain), carrying(c);
  Samples warm, of_base, of_carried;
  const std::size_t warm_up = std::min<std::size_t>(c.flows, 200'000) + 4096;
  for (std::size_t packets = 0; packets < warm_up; packets += carrying.batch().size()) {
    run_batch(base, warm);
    run_batch(carrying, warm);
  }
  const std::size_t wanted = options.quick ? 50'000 : 500'000;
  for (std::size_t packets = 0; packets < wanted; packets += carrying.batch().size()) {
    run_batch(base, of_base);
    run_batch(carrying, of_carried);
  }
  const double clocks = percentile(of_base.path, 0.5);
  std::printf("%s extra_clocks=%.1f base_clocks=%.1f bytes_per_flow=%zu%s\n", line,
              percentile(of_carried.path, 0.5) - clocks, clocks,
              carrying.flows().memory_bytes() / carrying.flows().capacity(),
              learning_of(c.flows, options).c_str());
  std::fflush(stdout);
}

void measure_flows(const Options& options) {
  for (const Direction direction : {Direction::send, Direction::receive}) {
    for (const std::uint32_t flows : {1000u, 100'000u, 1'000'000u}) {
      Case c{direction, 64, false, 1, false, false, 16, false};
      c.flows = flows;
      c.kind = FlowKind::kNone;
      measure_flow_case(c, "none", options);
      c.kind = FlowKind::kMasquerade;
      measure_flow_case(c, "masquerade", options);
    }
  }
}

// ---- programs: what a ring costs beside a port in memory, for the same packets. The two take turns.

double copy_clocks(CopyAlone& copies, Gateway& gateway, Direction direction) {
  gateway.aead_alone();
  const CopyAlone::Burst burst = gateway.sealed();
  if (direction == Direction::send) copies.to_slots(burst);  // by the program
  const std::uint64_t start = clock_now();
  direction == Direction::send ? copies.from_slots(burst) : copies.to_slots(burst);
  return static_cast<double>(clock_now() - start) / static_cast<double>(burst.packets);
}

void measure_program_case(Case c, const Options& options) {
  char line[200];
  std::snprintf(line, sizeof line, "program direction=%s inner=%u",
                c.direction == Direction::send ? "send" : "receive", c.inner);
  if (!options.only.empty() && std::string(line).find(options.only) == std::string::npos) return;
  Gateway by_port(c);
  c.program = true;
  Gateway by_ring(c);
  Samples warm, of_port, of_ring;
  CopyAlone copies;
  std::vector<double> of_copy;
  const std::size_t batch = by_port.batch().size(), wanted = options.quick ? 100'000 : 1'000'000;
  for (std::size_t packets = 0; packets < 8192; packets += batch) {
    run_batch(by_port, warm);
    run_batch(by_ring, warm);
  }
  for (std::size_t packets = 0; packets < wanted; packets += batch) {
    run_batch(by_port, of_port);
    run_batch(by_ring, of_ring);
    for (std::size_t i = 0; i < batch; i += Gateway::kBurst)
      of_copy.push_back(copy_clocks(copies, by_ring, c.direction));
  }
  const double port = percentile(of_port.path, 0.5), ring = percentile(of_ring.path, 0.5);
  std::snprintf(line + std::strlen(line), sizeof line - std::strlen(line),
                " port_clocks=%.1f ring_clocks=%.1f extra_clocks=%.1f copy_clocks=%.1f", port, ring,
                ring - port, percentile(of_copy, 0.5));
  report(options.gate, line);
}

void measure_programs(const Options& options) {
  for (const Direction direction : {Direction::send, Direction::receive})
    for (const std::uint32_t inner : {64u, 512u, 1420u})
      measure_program_case({direction, inner, false, 1, false, false, 2, false}, options);
}

// ---- overload and latency: a simulated clock that only the worker's loops advance. Packets arrive at a
// steady rate into a queue of 1024, as a port's descriptors are; what does not fit is lost on the wire.
struct Offered {
  double goodput = 0;  // packets per clock
  std::vector<double> latency;
};

Offered offer(Gateway& gateway, double packets_per_clock, std::size_t wanted) {
  constexpr std::size_t kDescriptors = 1024;
  const auto batch = gateway.batch();
  std::vector<rte_mbuf*> spare(batch.begin(), batch.end());
  std::deque<double> waiting;  // arrival times, in order of the wire
  Offered result;
  double clock = 0, next = 0;
  std::size_t done = 0;
  std::size_t prepared = 0;
  std::vector<rte_mbuf*> out(Gateway::kBurst * 2);
  gateway.prepare(0, batch.size());
  while (done < wanted) {
    while (next <= clock) {
      if (waiting.size() < kDescriptors && prepared < batch.size()) {
        gateway.arrive(batch.subspan(prepared++, 1));
        waiting.push_back(next);
      }
      next += 1 / packets_per_clock;
    }
    const std::uint64_t start = clock_now();
    gateway.loop();
    clock += static_cast<double>(clock_now() - start);
    const std::size_t left = gateway.leave(out.data(), out.size());
    for (std::size_t i = 0; i < left; ++i) {
      result.latency.push_back(clock - waiting.front());
      waiting.pop_front();
    }
    done += left;
    if (prepared == batch.size() && waiting.empty()) {  // a new batch; time stands still meanwhile
      gateway.prepare(0, batch.size());
      prepared = 0;
      next = std::max(next, clock);
    }
  }
  result.goodput = static_cast<double>(done) / clock;
  // What is still queued belongs to this run: the next one uses the same buffers.
  for (int i = 0; i < 1000 && !waiting.empty(); ++i) {
    gateway.loop();
    for (std::size_t left = gateway.leave(out.data(), out.size()); left > 0 && !waiting.empty(); --left) {
      waiting.pop_front();
    }
  }
  return result;
}

void measure_load(const Options& options) {
  for (const Direction direction : {Direction::send, Direction::receive}) {
    const Case c{direction, 512, false, 1000, true, false};
    const std::string line = direction == Direction::send ? "direction=send" : "direction=receive";
    if (!options.only.empty() && ("load " + line).find(options.only) == std::string::npos) continue;
    Gateway gateway(c);
    const std::size_t packets = options.quick ? 50'000 : 400'000;
    // Each offered rate several times in turn; the machine's noise hits all alike.
    std::vector<double> peak, twice, p50, p99;
    for (int round = 0; round < 9; ++round) {
      peak.push_back(offer(gateway, 1, packets / 9).goodput);
      const double best = percentile(peak, 0.5);
      twice.push_back(offer(gateway, 2 * best, packets / 9).goodput);
      const Offered half = offer(gateway, best / 2, packets / 9);
      p50.push_back(percentile(half.latency, 0.5));
      p99.push_back(percentile(half.latency, 0.99));
    }
    const double to_us = 1e6 / hertz();
    std::printf("overload %s inner=512 peers=1000 peak_mpps=%.2f offered=2x goodput_mpps=%.2f ratio=%.3f\n",
                line.c_str(), percentile(peak, 0.5) * hertz() / 1e6, percentile(twice, 0.5) * hertz() / 1e6,
                percentile(twice, 0.5) / percentile(peak, 0.5));
    std::printf("latency %s inner=512 peers=1000 load=half p50_us=%.2f p99_us=%.2f\n", line.c_str(),
                percentile(p50, 0.5) * to_us, percentile(p99, 0.5) * to_us);
    std::fflush(stdout);
  }
}

// ---- one peer over several cores: what of a packet's cost stays with its owner, what any core can do, what
// the hand-over costs, and how far that can scale. Two cores are also run, where there are two.
struct Shares {
  double total = 0, crypto = 0;  // clocks per packet of the owner: in all, and of that sealing or opening
};

Shares run_batches(Gateway& gateway, std::size_t packets) {
  constexpr auto kOpen = static_cast<std::size_t>(Stage::open), kSeal = static_cast<std::size_t>(Stage::seal);
  std::vector<double> total, crypto;
  const auto batch = gateway.batch();
  const auto n = static_cast<double>(batch.size());
  for (std::size_t done = 0; done < packets; done += batch.size()) {
    gateway.prepare(0, batch.size());
    gateway.arrive(batch);
    const StageCycles before = stage_cycles(gateway.worker());
    const std::uint64_t start = clock_now();
    for (std::size_t left = 0; left < batch.size();
         left += gateway.leave(batch.data() + left, batch.size() - left))
      gateway.loop();
    total.push_back(static_cast<double>(clock_now() - start) / n);
    const StageCycles after = stage_cycles(gateway.worker());
    crypto.push_back(static_cast<double>(after[kOpen] - before[kOpen] + after[kSeal] - before[kSeal]) / n);
  }
  return {percentile(total, 0.5), percentile(crypto, 0.5)};
}

void measure_scaling(const Options& options) {
  for (const Direction direction : {Direction::send, Direction::receive}) {
    for (const std::uint32_t inner : {64u, 512u, 1420u}) {
      char line[80];
      std::snprintf(line, sizeof line, "scaling direction=%s inner=%u",
                    direction == Direction::send ? "send" : "receive", inner);
      if (!options.only.empty() && std::string(line).find(options.only) == std::string::npos) continue;
      Case c{direction, inner, false, 1, false, false, 16, false};
      c.stages = true;
      const std::size_t packets = options.quick ? 50'000 : 500'000;
      Shares alone, handed, helped;
      bool spread = false;  // small packets are not worth their hand-over
      {
        Gateway gateway(c);
        alone = run_batches(gateway, packets);
      }
      c.team = true;
      {
        Gateway gateway(c);
        gateway.helper().run_once(BootClock::now());  // says that it has time, and never comes
        handed = run_batches(gateway, packets);
        spread = gateway.worker().counters().spread_bursts.get() != 0;
      }
      {
        Gateway gateway(c);
        std::thread helper([&gateway] {
          test::run_on_any_core();
          gateway.helper().run();
        });
        helped = run_batches(gateway, packets);
        gateway.helper().stop();
        helper.join();
      }
      const double hand_over = std::max(0.0, handed.total - alone.total);
      const double serial = alone.total - alone.crypto + hand_over;
      std::printf("%s alone_clocks=%.1f serial_clocks=%.1f parallel_clocks=%.1f hand_over_clocks=%.1f", line,
                  alone.total, serial, alone.crypto, hand_over);
      // The owner helps too: n cores share the whole work, and the owner's serial part is the floor.
      for (const int cores : {2, 4, 8, 16}) {
        const double clocks = std::max(serial, (serial + alone.crypto) / cores);
        std::printf(" predicted_%d=%.2f", cores, spread ? alone.total / clocks : 1.0);
      }
      std::printf(" measured_2=%.2f spread=%d\n", alone.total / helped.total, spread ? 1 : 0);
      std::fflush(stdout);
    }
  }
}

// ---- floods: bursts of which `share` percent is junk, spread evenly.
struct Flooded {
  double clocks;
  std::size_t data;
};

Flooded flooded_burst(Gateway& gateway, Junk junk, unsigned share) {
  const auto burst = gateway.batch().first(Gateway::kBurst);
  gateway.prepare(0, Gateway::kBurst);
  std::size_t data = Gateway::kBurst;
  for (unsigned i = 0, debt = 0; i < Gateway::kBurst; ++i) {
    debt += share;
    if (debt < 100) continue;
    debt -= 100;
    --data;
    gateway.prepare_junk(i, junk);
  }
  gateway.arrive(burst);
  const std::uint64_t start = clock_now();
  gateway.loop();
  const auto clocks = static_cast<double>(clock_now() - start);
  const std::size_t left = gateway.leave(burst.data(), burst.size());
  if (left != data) throw std::runtime_error("flood: data was lost");
  gateway.refill(left, Gateway::kBurst);  // refused packets went back to the pool
  gateway.drain_mailboxes();
  return {clocks, data};
}

void measure_flood(Junk junk, const char* kind, unsigned share, const Options& options) {
  char line[80];
  std::snprintf(line, sizeof line, "flood kind=%s share=%u", kind, share);
  if (!options.only.empty() && std::string(line).find(options.only) == std::string::npos) return;
  Case c{Direction::receive, 512, false, 1000, false, false};
  c.stages = options.stages;
  Gateway gateway(c);
  std::vector<double> alone, mixed, junk_only;
  Samples samples;  // of bursts of junk alone
  std::size_t data = 0;
  for (int i = 0; i < (options.quick ? 2'000 : 20'000); ++i) {
    alone.push_back(flooded_burst(gateway, junk, 0).clocks);
    const Flooded burst = flooded_burst(gateway, junk, share);
    mixed.push_back(burst.clocks);
    data = burst.data;
    const StageCycles before = stage_cycles(gateway.worker());
    junk_only.push_back(flooded_burst(gateway, junk, 100).clocks);
    const StageCycles after = stage_cycles(gateway.worker());
    for (std::size_t s = 0; s < kStages; ++s)
      samples.stages[s].push_back(static_cast<double>(after[s] - before[s]) / Gateway::kBurst);
  }
  const double clocks = percentile(mixed, 0.5);
  std::printf("%s data_mpps=%.2f refuse_clocks=%.1f burst_clocks=%.0f alone_mpps=%.2f\n", line,
              static_cast<double>(data) / clocks * hertz() / 1e6,
              percentile(junk_only, 0.5) / Gateway::kBurst, clocks,
              Gateway::kBurst / percentile(alone, 0.5) * hertz() / 1e6);
  std::fflush(stdout);
  if (options.stages) print_stages(samples);
}

void measure_floods(const Options& options) {
  for (const unsigned share : {50u, 90u}) {
    measure_flood(Junk::wrong_type, "wrong_type", share, options);
    measure_flood(Junk::wrong_length, "wrong_length", share, options);
    measure_flood(Junk::wrong_port, "wrong_port", share, options);
    measure_flood(Junk::unknown_index, "unknown_index", share, options);
    measure_flood(Junk::bad_mac1, "bad_mac1", share, options);
    measure_flood(Junk::initiation, "initiation", share, options);
  }
}

}  // namespace
}  // namespace wg::bench

namespace {

struct Arguments {
  wg::bench::Options options;
  wg::bench::PairedOptions paired;  // with an old program: nothing else is measured
  std::string peers = "1";          // of the pairs
  std::string gate;                 // a file of thresholds
};

// False: an argument that is not known, or misses its value.
bool parse(int argc, char** argv, Arguments& out) {
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--quick") {
      out.options.quick = true;
    } else if (argument == "--stages") {
      out.options.stages = true;
    } else if (argument == "--small-pages") {
      out.paired.small_pages = true;
    } else if (i + 1 == argc) {
      return false;
    } else if (argument == "--only") {
      out.options.only = argv[++i];
    } else if (argument == "--gate") {
      out.gate = argv[++i];
    } else if (argument == "--paired") {
      out.paired.old_program = argv[++i];
    } else if (argument == "--peers") {
      out.peers = argv[++i];
    } else if (argument == "--rounds") {
      out.paired.rounds = static_cast<unsigned>(std::max(1, std::atoi(argv[++i])));
    } else {
      return false;
    }
  }
  return true;
}

int run_paired(Arguments& arguments) {
  wg::bench::PairedOptions& paired = arguments.paired;
  paired.only = !arguments.options.only.empty()
                    ? arguments.options.only
                    : "outer=4 peers=" + arguments.peers + " order=random buffers=hot";
  try {
    wg::bench::measure_paired(std::filesystem::read_symlink("/proc/self/exe").string(), paired);
  } catch (const std::exception& problem) {
    std::fprintf(stderr, "dataplane --paired: %s\n", problem.what());
    return 1;
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace wg::bench;
  Arguments arguments;
  if (!parse(argc, argv, arguments)) {
    std::fprintf(
        stderr,
        "usage: dataplane [--quick] [--stages] [--small-pages] [--only TEXT] [--gate FILE]\n"
        "       dataplane --paired OLD_BINARY [--peers N | --only TEXT] [--rounds N] [--small-pages]\n");
    return 2;
  }
  if (!arguments.paired.old_program.empty()) return run_paired(arguments);
  if (arguments.paired.small_pages) Gateway::use_small_pages();
  Options& options = arguments.options;
  try {
    std::optional<Gate> gate;
    if (!arguments.gate.empty()) gate = Gate::read(arguments.gate);
    options.gate = gate ? &*gate : nullptr;
    measure_paths(options);
    measure_ports(options);
    measure_flows(options);
    measure_programs(options);
    measure_scaling(options);
    measure_load(options);
    measure_floods(options);
    return !gate || gate->kept() ? 0 : 1;
  } catch (const std::exception& problem) {
    std::fprintf(stderr, "dataplane: %s\n", problem.what());
    return 2;
  }
}
