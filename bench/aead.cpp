// Compares the burst AEAD with the libraries in one run.
//
// Every figure of a line comes from interleaved rounds: each round seals and opens the same buffers with one
// contender after the other, takes the median of its blocks, and the line shows the medians over the rounds,
// so a noisy neighbour disturbs all contenders alike. Google Benchmark serves single figures:
// aead --benchmark_format=json --benchmark_filter=avx512/seal/64/burst:32/keys:32/hot
#include <benchmark/benchmark.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "bench/aead_libraries.h"
#include "bench/gate.h"
#include "dataplane/base/processor.h"

namespace wg::bench {
namespace {

using crypto::AeadOp;

constexpr std::uint32_t kImix = 0xffffffff;  // 64:576:1420 = 7:4:1
constexpr std::size_t kColdBytes = 10'000'000;

struct Options {
  bool quick = false;
  bool force_avx2 = false;
  bool all_libraries = false;
  int rounds = 15;
  std::string variant;
  std::string gate;  // a file of thresholds
  std::vector<std::uint32_t> payloads = {0, 64, 128, 256, 512, 1024, 1420, 1440, 8192, kImix};
  std::vector<std::size_t> bursts = {1, 2, 4, 8, 16, 32, 64, 256};
  std::vector<std::size_t> keys = {1, 32};
  std::vector<bool> cold = {false, true};
};

struct Case {
  std::uint32_t payload;
  std::size_t burst;
  std::size_t keys;
  bool cold;
};

std::string payload_name(std::uint32_t payload) {
  return payload == kImix ? "imix" : std::to_string(payload);
}

// Packets placed as in mbufs: the element stride is not a multiple of 4096, the payload is unaligned after
// the headers.
class Workload {
 public:
  explicit Workload(const Case& c) : burst_(c.burst) {
    const std::size_t largest = c.payload == kImix ? 1420 : c.payload;
    const std::size_t stride = std::max<std::size_t>(2432, (largest + 128 + 80) / 64 * 64 + 192);
    std::size_t packets = std::max<std::size_t>(c.burst, 32);
    if (c.cold) packets = std::max(packets, kColdBytes / stride / packets * packets);
    if (!c.cold && c.payload == kImix) packets = (96 + packets - 1) / packets * packets;
    memory_.resize(packets * stride + 64);
    std::mt19937_64 random(7);
    for (auto& byte : memory_) byte = static_cast<std::uint8_t>(random());
    keys_.resize(c.keys * crypto::kAeadKeySize);
    for (auto& byte : keys_) byte = static_cast<std::uint8_t>(random());
    std::vector<std::uint32_t> deck;
    for (std::size_t i = 0; i < packets; ++i) {
      if (deck.empty()) deck = shuffled_imix(random);
      const std::uint32_t length = c.payload == kImix ? deck.back() : c.payload;
      deck.pop_back();
      ops_.push_back({memory_.data() + i * stride + 128 + 42 + 16,
                      keys_.data() + i % c.keys * crypto::kAeadKeySize, i, length, 0});
    }
  }

  std::span<AeadOp> all() { return ops_; }
  std::size_t packets() const { return ops_.size(); }

  // Calls use(burst) for each burst in order.
  template <typename Use>
  void each_burst(Use use) {
    for (std::size_t i = 0; i + burst_ <= ops_.size(); i += burst_) use(std::span(ops_).subspan(i, burst_));
  }

 private:
  static std::vector<std::uint32_t> shuffled_imix(std::mt19937_64& random) {
    std::vector<std::uint32_t> deck = {64, 64, 64, 64, 64, 64, 64, 576, 576, 576, 576, 1420};
    std::shuffle(deck.begin(), deck.end(), random);
    return deck;
  }

  std::size_t burst_;
  std::vector<std::uint8_t> memory_;
  std::vector<std::uint8_t> keys_;
  std::vector<AeadOp> ops_;
};

double nanoseconds_per_tick() {
  static const double value = [] {
    const auto start = std::chrono::steady_clock::now();
    const std::uint64_t ticks = processor::cycle_counter();
    while (std::chrono::steady_clock::now() - start < std::chrono::milliseconds(20)) {
    }
    const std::chrono::duration<double, std::nano> elapsed = std::chrono::steady_clock::now() - start;
    return elapsed.count() / static_cast<double>(processor::cycle_counter() - ticks);
  }();
  return value;
}

std::uint64_t now() {
  return processor::cycle_counter_ordered();
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

struct Timing {
  double seal;
  double open;
};

// A pass seals every burst, then opens every burst, so the buffers end as they began.
class Pass {
 public:
  Pass(AeadLibrary& library, Workload& workload, bool cold)
      : library_(library), workload_(workload), cold_(cold) {}

  Timing run(int repetitions) {
    std::vector<double> seal, open;
    for (int i = 0; i < repetitions; ++i) {
      time(seal, [this](std::span<AeadOp> ops) { library_.seal(ops); });
      std::size_t authentic = 0;
      time(open, [&](std::span<AeadOp> ops) { authentic += library_.open(ops); });
      if (authentic != workload_.packets())
        throw std::runtime_error(std::string(library_.name()) + ": bad tag");
    }
    return {median(std::move(seal)), median(std::move(open))};
  }

 private:
  // Hot: one figure for all bursts. Cold: one per burst, each used only once per pass.
  template <typename Operation>
  void time(std::vector<double>& figures, Operation operation) {
    if (cold_) {
      workload_.each_burst([&](std::span<AeadOp> ops) {
        const std::uint64_t start = now();
        operation(ops);
        figures.push_back(per_packet(now() - start, ops.size()));
      });
      return;
    }
    const std::uint64_t start = now();
    workload_.each_burst(operation);
    figures.push_back(per_packet(now() - start, workload_.packets()));
  }

  static double per_packet(std::uint64_t ticks, std::size_t packets) {
    return static_cast<double>(ticks) * nanoseconds_per_tick() / static_cast<double>(packets);
  }

  AeadLibrary& library_;
  Workload& workload_;
  bool cold_;
};

std::string line_of(const Case& c, const char* op, const char* variant, double ours, const char* best_name,
                    double best, double megabytes) {
  char line[256];
  std::snprintf(
      line, sizeof line,
      "aead payload=%s op=%s burst=%zu keys=%zu variant=%s ours_ns=%.1f best_ns=%.1f best=%s ratio=%.2f "
      "buffers=%s ours_gbit=%.1f",
      payload_name(c.payload).c_str(), op, c.burst, c.keys, variant, ours, best, best_name, best / ours,
      c.cold ? "cold" : "hot", megabytes * 8 / ours);
  return line;
}

void run_case(const Case& c, AeadLibrary& ours, std::vector<std::unique_ptr<AeadLibrary>>& libraries,
              const Options& options, Gate* gate) {
  Workload workload(c);
  std::vector<AeadLibrary*> contenders = {&ours};
  for (auto& library : libraries) contenders.push_back(library.get());
  for (AeadLibrary* contender : contenders) contender->prepare(workload.all());

  const int repetitions = c.cold ? 1 : (c.payload >= 1024 && c.payload != kImix ? 15 : 31);
  const int rounds = c.cold ? std::max(options.rounds / 4, 3) : options.rounds;
  std::vector<std::vector<double>> seal(contenders.size()), open(contenders.size());
  for (int round = 0; round < rounds; ++round) {
    for (std::size_t i = 0; i < contenders.size(); ++i) {
      const Timing timing = Pass(*contenders[i], workload, c.cold).run(repetitions);
      seal[i].push_back(timing.seal);
      open[i].push_back(timing.open);
    }
  }
  double bytes = 0;
  for (const AeadOp& op : workload.all()) bytes += op.length;
  bytes /= static_cast<double>(workload.packets());

  for (const auto& [name, figures] : {std::pair{"seal", &seal}, std::pair{"open", &open}}) {
    std::vector<double> medians;
    for (const auto& column : *figures) medians.push_back(median(column));
    const auto best = std::min_element(medians.begin() + 1, medians.end());
    const char* best_name = contenders[static_cast<std::size_t>(best - medians.begin())]->name();
    report(gate, line_of(c, name, ours.name(), medians[0], best_name, *best, bytes));
    if (!options.all_libraries) continue;
    for (std::size_t i = 1; i < contenders.size(); ++i) {
      std::printf("aead-library payload=%s op=%s burst=%zu keys=%zu library=%s ns=%.1f\n",
                  payload_name(c.payload).c_str(), name, c.burst, c.keys, contenders[i]->name(), medians[i]);
    }
  }
}

std::vector<Case> all_cases(const Options& options) {
  std::vector<Case> cases;
  for (const bool cold : options.cold) {
    for (const std::size_t keys : options.keys) {
      for (const std::size_t burst : options.bursts) {
        for (const std::uint32_t payload : options.payloads) cases.push_back({payload, burst, keys, cold});
      }
    }
  }
  return cases;
}

// False: a threshold of the gate was missed.
bool run_interleaved(const Options& options) {
  const crypto::AeadEngine* engine =
      options.variant.empty() ? &crypto::aead_engine() : crypto::aead_engine_named(options.variant.c_str());
  if (engine == nullptr) throw std::runtime_error("no such variant here: " + options.variant);
  const auto ours = make_ours(*engine);
  auto libraries = make_libraries(options.force_avx2);
  std::optional<Gate> gate;
  if (!options.gate.empty()) gate = Gate::read(options.gate);
  for (const Case& c : all_cases(options)) run_case(c, *ours, libraries, options, gate ? &*gate : nullptr);
  return !gate || gate->kept();
}

// ---- Google Benchmark: one registered benchmark per engine or library, operation and case.

void run_single(benchmark::State& state, AeadLibrary& library, bool seal, const Case& c) {
  Workload workload(c);
  library.prepare(workload.all());
  const auto seal_all = [&] { workload.each_burst([&](std::span<AeadOp> ops) { library.seal(ops); }); };
  const auto open_all = [&] { workload.each_burst([&](std::span<AeadOp> ops) { library.open(ops); }); };
  std::vector<double> nanoseconds;
  for (auto _ : state) {
    if (!seal) seal_all();
    const std::uint64_t start = now();
    seal ? seal_all() : open_all();
    const std::uint64_t ticks = now() - start;
    if (seal) open_all();
    nanoseconds.push_back(static_cast<double>(ticks) * nanoseconds_per_tick());
    state.SetIterationTime(nanoseconds.back() * 1e-9);
  }
  // Google Benchmark reports means. The median is insensitive to other load on the machine.
  state.counters["median_ns_per_packet"] =
      median(std::move(nanoseconds)) / static_cast<double>(workload.packets());
}

void register_single_figures(const Options& options) {
  static std::vector<std::unique_ptr<AeadLibrary>> contenders = make_libraries(options.force_avx2);
  for (const crypto::AeadEngine* engine : crypto::aead_engines()) contenders.push_back(make_ours(*engine));
  for (auto& contender : contenders) {
    for (const bool seal : {true, false}) {
      for (const Case& c : all_cases(options)) {
        const std::string name = std::string(contender->name()) + (seal ? "/seal/" : "/open/") +
                                 payload_name(c.payload) + "/burst:" + std::to_string(c.burst) +
                                 "/keys:" + std::to_string(c.keys) + (c.cold ? "/cold" : "/hot");
        benchmark::RegisterBenchmark(name.c_str(), [&library = *contender, seal, c](benchmark::State& state) {
          run_single(state, library, seal, c);
        })->UseManualTime();
      }
    }
  }
}

// ---- Command line

template <typename Number>
std::vector<Number> parse_list(std::string_view text) {
  std::vector<Number> values;
  while (!text.empty()) {
    const std::string item(text.substr(0, text.find(',')));
    values.push_back(static_cast<Number>(item == "imix" ? kImix : std::stoul(item)));
    text.remove_prefix(std::min(text.size(), item.size() + 1));
  }
  return values;
}

bool parse_option(std::string_view argument, Options& options) {
  const std::string_view value = argument.substr(std::min(argument.size(), argument.find('=') + 1));
  if (argument == "--quick") {
    options.quick = true;
    options.payloads = {64, 256, 512, 1420, kImix};
    options.bursts = {32};
    options.keys = {32};
    options.cold = {false};
  } else if (argument == "--best-force-avx2") {
    options.force_avx2 = true;
  } else if (argument == "--all-libraries") {
    options.all_libraries = true;
  } else if (argument == "--hot") {
    options.cold = {false};
  } else if (argument.starts_with("--gate=")) {
    options.gate = value;
  } else if (argument.starts_with("--variant=")) {
    options.variant = value;
  } else if (argument.starts_with("--rounds=")) {
    options.rounds = std::max(1, std::stoi(std::string(value)));
  } else if (argument.starts_with("--payloads=")) {
    options.payloads = parse_list<std::uint32_t>(value);
  } else if (argument.starts_with("--bursts=")) {
    options.bursts = parse_list<std::size_t>(value);
  } else if (argument.starts_with("--keys=")) {
    options.keys = parse_list<std::size_t>(value);
  } else {
    return false;
  }
  return true;
}

// OpenSSL reads its limits before main, so this sets them and restarts the program. It clears AVX512F, DQ,
// IFMA, CD, BW, VL (leaf 7 EBX).
void restart_with_openssl_at_avx2(char** argv) {
  constexpr const char* kVariable = "OPENSSL_ia32cap";
  if (std::getenv(kVariable) != nullptr) return;
  setenv(kVariable, ":~0xdc230000", 1);
  execv("/proc/self/exe", argv);
  std::perror("execv");
}

int usage(const char* argument) {
  std::fprintf(
      stderr,
      "aead: unknown option %s\n"
      "usage: aead [--quick] [--hot] [--variant=NAME] [--best-force-avx2] [--all-libraries] [--rounds=N]\n"
      "            [--payloads=0,64,imix] [--bursts=1,32] [--keys=1,32] [--gate FILE]\n"
      "       aead --benchmark_filter=REGEX [--benchmark_format=json]  single figures, not interleaved\n",
      argument);
  return 2;
}

int run(int argc, char** argv) {
  Options options;
  bool single_figures = false;
  std::vector<char*> google_arguments = {argv[0]};
  for (int i = 1; i < argc; ++i) {
    if (std::string_view(argv[i]) == "--gate" && i + 1 < argc) {
      options.gate = argv[++i];
    } else if (std::string_view(argv[i]).starts_with("--benchmark_")) {
      single_figures = true;
      google_arguments.push_back(argv[i]);
    } else if (!parse_option(argv[i], options)) {
      return usage(argv[i]);
    }
  }
  if (options.force_avx2) restart_with_openssl_at_avx2(argv);
  if (!single_figures) return run_interleaved(options) ? 0 : 1;
  register_single_figures(options);
  int count = static_cast<int>(google_arguments.size());
  benchmark::Initialize(&count, google_arguments.data());
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

}  // namespace
}  // namespace wg::bench

int main(int argc, char** argv) {
  try {
    return wg::bench::run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "aead: %s\n", error.what());
    return 1;
  }
}
