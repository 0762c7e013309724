// Lookups in bursts of 32, memory and update time of our longest-prefix match, compared with DPDK's tables.
//
//   build/release/bench/lpm [--quick] [--prefixes N] [--lookups portable|avx2|avx512] [--gate FILE] [EAL
//   arguments...]
//
// --quick: fewer passes, without the million; --prefixes: only this size. --lookups: not the best variant
// of this machine; DPDK's tables then use vectors no wider than ours. --gate: thresholds, see gate.h.
//
// One pass looks up a quarter of the keys. The passes of all tables are interleaved and medians taken, so
// that other load on the machine affects all alike. Each pass starts with the caches as its own previous pass
// left them. Uses huge pages when enough are free, otherwise none.
#include <malloc.h>
#include <rte_eal.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>

#include "bench/gate.h"
#include "bench/lpm_mix.h"
#include "bench/lpm_rivals.h"
#include "dataplane/lpm/lpm.h"

namespace wg::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kBurst = 32;
constexpr std::size_t kPasses = 4;  // over all keys
constexpr std::size_t kPassKeys = 1 << 16;
constexpr std::size_t kKeys = kPasses * kPassKeys;

double nanoseconds(Clock::duration time) {
  return std::chrono::duration<double, std::nano>(time).count();
}

double quantile(std::vector<double> values, double at) {
  const auto nth = values.begin() + static_cast<long>(at * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), nth, values.end());
  return *nth;
}

struct Ours4 {
  lpm::Lpm4 table;
  void insert(const Route& route) {
    value_or_throw(table.insert(host_order(route.bits), route.length, route.value));
  }
  bool remove(const Route& route) { return table.remove(host_order(route.bits), route.length); }
  void lookup(const Keys& keys, std::size_t first, std::size_t n, lpm::Value* out) const {
    table.lookup_burst(keys.v4.data() + first, out, n);
  }
};

struct Ours6 {
  lpm::Lpm6 table;
  void insert(const Route& route) { value_or_throw(table.insert({route.bits}, route.length, route.value)); }
  bool remove(const Route& route) { return table.remove({route.bits}, route.length); }
  void lookup(const Keys& keys, std::size_t first, std::size_t n, lpm::Value* out) const {
    const std::uint8_t* pointers[kBurst];
    for (std::size_t i = 0; i < n; ++i) pointers[i] = keys.v6[first + i].data();
    table.lookup_burst(pointers, out, n);
  }
};

Keys all_keys(unsigned family, const std::vector<Route>& routes) {
  Keys keys{{}, make_keys(family, routes, kKeys)};
  for (const auto& key : keys.v6) keys.v4.push_back(host_order(key));
  return keys;
}

template <typename Ours>
std::uint64_t our_pass(const Ours& ours, const Keys& keys, std::size_t pass) {
  lpm::Value out[kBurst];
  std::uint64_t sum = 0;
  for (std::size_t first = pass * kPassKeys; first < (pass + 1) * kPassKeys; first += kBurst) {
    ours.lookup(keys, first, kBurst, out);
    for (const lpm::Value value : out) sum += value;
  }
  return sum;
}

std::uint64_t rival_pass(Rival& rival, Keys& keys, std::size_t pass) {
  std::uint64_t sum = 0;
  for (std::size_t first = pass * kPassKeys; first < (pass + 1) * kPassKeys; first += kBurst)
    sum += rival.lookup(keys, first, kBurst);
  return sum;
}

// Every table must return our answers, or the comparison is meaningless.
template <typename Ours>
bool agree(const Ours& ours, Rival& rival, Keys& keys) {
  for (std::size_t key = 0; key < kKeys; key += 7) {
    lpm::Value value;
    ours.lookup(keys, key, 1, &value);
    if (rival.answer(keys, key) != (value == lpm::kNoMatch ? -1 : std::int64_t{value})) return false;
  }
  return true;
}

// The pass runs twice and is timed once. Otherwise a table entered with two lookup functions would find the
// cache warmed by the first of them, while the others would find the data of their rivals.
template <typename Pass>
void time_pass(std::vector<double>& times, const Pass& pass) {
  std::uint64_t sum = pass();
  const auto start = Clock::now();
  sum += pass();
  asm volatile("" : : "r"(sum));  // keeps the answers alive
  times.push_back(nanoseconds(Clock::now() - start) / kPassKeys);
}

// Microseconds of single removals and insertions of random existing routes.
template <typename Ours>
std::vector<double> time_updates(Ours& ours, const std::vector<Route>& routes) {
  std::mt19937_64 random(1);
  std::vector<double> times;
  for (int i = 0; i < 4000; ++i) {
    const Route& route = routes[random() % routes.size()];
    const auto start = Clock::now();
    ours.remove(route);
    const auto removed = Clock::now();
    ours.insert(route);
    times.push_back(nanoseconds(removed - start) / 1000);
    times.push_back(nanoseconds(Clock::now() - removed) / 1000);
  }
  return times;
}

template <typename Ours>
void compare(unsigned family, Mix mix, std::size_t prefixes, std::size_t rounds, Gate* gate) {
  const char* mix_name = mix == Mix::kRandom ? "random" : "bgp";
  std::printf("# family=%u prefixes=%zu mix=%s\n", family, prefixes, mix_name);
  const auto routes = make_routes(family, mix, prefixes);
  Keys keys = all_keys(family, routes);
  Ours ours;
  const auto start = Clock::now();
  for (const Route& route : routes) ours.insert(route);
  std::printf("# ours: %zu routes added in %.3f s\n", prefixes, nanoseconds(Clock::now() - start) / 1e9);

  auto rivals = make_rivals(family, routes);
  std::erase_if(rivals, [&](const auto& rival) {
    if (agree(ours, *rival, keys)) return false;
    std::printf("# %s: answers differ, left out\n", rival->name.c_str());
    return true;
  });

  std::vector<double> our_times;
  std::vector<std::vector<double>> times(rivals.size());
  for (std::size_t round = 0; round < rounds; ++round) {
    time_pass(our_times, [&] { return our_pass(ours, keys, round % kPasses); });
    for (std::size_t i = 0; i < rivals.size(); ++i) {
      time_pass(times[i], [&] { return rival_pass(*rivals[i], keys, round % kPasses); });
    }
  }
  std::printf("# ours: ns=%.2f least=%.2f\n", quantile(our_times, 0.5), quantile(our_times, 0));
  std::size_t best = rivals.size();
  for (std::size_t i = 0; i < rivals.size(); ++i) {
    std::printf("# %s: ns=%.2f least=%.2f bytes=%zu\n", rivals[i]->name.c_str(), quantile(times[i], 0.5),
                quantile(times[i], 0), rivals[i]->bytes);
    if (best == rivals.size() || quantile(times[i], 0.5) < quantile(times[best], 0.5)) best = i;
  }
  const std::size_t our_bytes = ours.table.memory_bytes();
  malloc_trim(0);  // otherwise the first update would pay for the heap trimming after the routes and rivals
  const auto updates = time_updates(ours, routes);
  std::printf("# update us: median=%.2f p99=%.2f max=%.2f\n", quantile(updates, 0.5), quantile(updates, 0.99),
              quantile(updates, 1));
  const bool any = best < rivals.size();
  char line[256];
  std::snprintf(line, sizeof line,
                "lpm family=%u prefixes=%zu ours_ns=%.2f best_ns=%.2f best=%s ours_bytes=%zu best_bytes=%zu "
                "update_us=%.2f "
                "mix=%s",
                family, prefixes, quantile(our_times, 0.5), any ? quantile(times[best], 0.5) : 0,
                any ? rivals[best]->name.c_str() : "none", our_bytes, any ? rivals[best]->bytes : 0,
                quantile(updates, 0.5), mix_name);
  report(gate, line);
}

std::size_t free_huge_pages() {
  std::ifstream file("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages");
  std::size_t pages = 0;
  file >> pages;
  return pages;
}

bool start_eal(int argc, char** argv, int first, std::size_t megabytes) {
  std::vector<std::string> arguments{
      "lpm", "--no-pci", "--no-telemetry",         "--log-level=error", "--lcores",
      "0",   "-m",       std::to_string(megabytes)};
  const bool wide = std::string_view(lpm::lookup_variant()) == "avx512";
  arguments.emplace_back(wide ? "--force-max-simd-bitwidth=512" : "--force-max-simd-bitwidth=256");
  arguments.emplace_back(free_huge_pages() * 2 >= megabytes ? "--in-memory" : "--no-huge");
  for (int i = first; i < argc; ++i) arguments.emplace_back(argv[i]);
  std::vector<char*> pointers;
  for (auto& argument : arguments) pointers.push_back(argument.data());
  std::printf("# lookups: %s\n# EAL:", lpm::lookup_variant());
  for (const auto& argument : arguments) std::printf(" %s", argument.c_str());
  std::printf("\n");
  return rte_eal_init(static_cast<int>(pointers.size()), pointers.data()) >= 0;
}

void compare_all(bool quick, std::size_t only, Gate* gate) {
  for (const Mix mix : {Mix::kRandom, Mix::kBgp}) {
    for (const std::size_t prefixes : {1UL, 1000UL, 100000UL, 1000000UL}) {
      if (only != 0 ? prefixes != only : quick && prefixes > 100000) continue;
      const std::size_t rounds = quick ? 36 : 120;
      compare<Ours4>(4, mix, prefixes, rounds, gate);
      compare<Ours6>(6, mix, prefixes, rounds, gate);
    }
  }
}

}  // namespace
}  // namespace wg::bench

namespace {

struct Options {
  bool quick = false;
  std::size_t prefixes = 0;  // only this size; 0: all
  std::optional<wg::bench::Gate> gate;
};

// The number of the first argument that is DPDK's. Throws for what cannot be used.
int parse(int argc, char** argv, Options& options) {
  int at = 1;
  for (; at < argc; ++at) {
    const std::string argument = argv[at];
    if (argument == "--quick") {
      options.quick = true;
    } else if (argument == "--prefixes" && at + 1 < argc) {
      options.prefixes = std::stoul(argv[++at]);
    } else if (argument == "--gate" && at + 1 < argc) {
      options.gate = wg::bench::Gate::read(argv[++at]);
    } else if (argument == "--lookups" && at + 1 < argc) {
      if (!wg::lpm::select_lookup(argv[++at]))
        throw std::runtime_error(std::string(argv[at]) + " lookups are unknown or cannot run here");
    } else {
      break;
    }
  }
  return at;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  int first = 0;
  try {
    first = parse(argc, argv, options);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "lpm: %s\n", error.what());
    return 2;
  }
  if (!wg::bench::start_eal(argc, argv, first, 6144)) return 1;
  wg::bench::compare_all(options.quick, options.prefixes, options.gate ? &*options.gate : nullptr);
  rte_eal_cleanup();
  return !options.gate || options.gate->kept() ? 0 : 1;
}
