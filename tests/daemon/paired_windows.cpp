#include "tests/daemon/paired_windows.h"

#include <algorithm>
#include <random>
#include <vector>

namespace wg::test {

namespace {

constexpr std::size_t kDraws = 20'000;

double rate(std::uint64_t over, std::uint64_t loops) {
  return loops == 0 ? 0 : 1e6 * static_cast<double>(over) / static_cast<double>(loops);
}

double pooled(std::span<const Window> windows, const std::vector<std::size_t>& chosen) {
  Window all;
  for (const std::size_t i : chosen) {
    all.over += windows[i].over;
    all.loops += windows[i].loops;
  }
  return rate(all.over, all.loops);
}

}  // namespace

Excess excess(std::span<const Window> with, std::span<const Window> without) {
  const std::size_t n = std::min(with.size(), without.size());
  if (n == 0) return {};
  std::mt19937_64 random(1);
  std::vector<std::size_t> chosen(n);
  for (std::size_t i = 0; i < n; ++i) chosen[i] = i;
  Excess out;
  out.per_million = pooled(with, chosen) - pooled(without, chosen);

  std::vector<double> drawn(kDraws);
  for (double& difference : drawn) {
    for (std::size_t& i : chosen) i = random() % n;
    difference = pooled(with, chosen) - pooled(without, chosen);
  }
  std::sort(drawn.begin(), drawn.end());
  out.at_most = drawn[kDraws * 95 / 100];

  std::vector<double> differences(n);
  double seen = 0;
  for (std::size_t i = 0; i < n; ++i)
    seen += differences[i] = rate(with[i].over, with[i].loops) - rate(without[i].over, without[i].loops);
  std::size_t as_large = 1;
  for (std::size_t draw = 0; draw < kDraws; ++draw) {
    double sum = 0;
    for (const double difference : differences) sum += (random() & 1) != 0 ? difference : -difference;
    as_large += sum >= seen - 1e-9 ? 1 : 0;
  }
  out.p = static_cast<double>(as_large) / (kDraws + 1);
  return out;
}

}  // namespace wg::test
