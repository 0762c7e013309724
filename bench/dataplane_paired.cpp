#include "bench/dataplane_paired.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <stdexcept>
#include <string_view>
#include <vector>

namespace wg::bench {
namespace {

struct Figures {
  double clocks, p10;
};
using Paths = std::map<std::string, Figures>;  // by what stands in front of the figures

std::string quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

double figure(std::string_view line, std::string_view key) {
  const std::size_t at = line.find(key);
  if (at == std::string_view::npos) throw std::runtime_error("no " + std::string(key) + " in a path line");
  return std::strtod(line.data() + at + key.size(), nullptr);
}

Paths parse(const std::string& output) {
  constexpr std::string_view kPath = "path ", kClocks = " clocks=";
  Paths paths;
  for (std::size_t begin = 0; begin < output.size();) {
    const std::size_t end = std::min(output.find('\n', begin), output.size());
    const std::string line = output.substr(begin, end - begin);
    begin = end + 1;
    if (line.compare(0, kPath.size(), kPath) != 0) continue;
    const std::string name = line.substr(kPath.size(), line.find(kClocks) - kPath.size());
    paths[name] = {figure(line, kClocks), figure(line, " p10=")};
  }
  return paths;
}

Paths run(const std::string& program, const PairedOptions& options) {
  const std::string command = quoted(program) + " --quick --only " + quoted(options.only) +
                              (options.small_pages ? " --small-pages" : "") + " 2>/dev/null";
  std::FILE* const child = popen(command.c_str(), "r");
  if (child == nullptr) throw std::runtime_error("cannot start " + program);
  std::string output;
  char text[4096];
  while (const std::size_t n = std::fread(text, 1, sizeof text, child)) output.append(text, n);
  if (pclose(child) != 0) throw std::runtime_error(program + " failed");
  return parse(output);
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

struct Series {
  std::vector<double> old_clocks, new_clocks, old_p10, new_p10, ratio;
  void add(const Figures& before, const Figures& after) {
    old_clocks.push_back(before.clocks);
    new_clocks.push_back(after.clocks);
    old_p10.push_back(before.p10);
    new_p10.push_back(after.p10);
    ratio.push_back(after.clocks / before.clocks);
  }
};

}  // namespace

void measure_paired(const std::string& program, const PairedOptions& options) {
  std::map<std::string, Series> series;
  for (unsigned round = 0; round < options.rounds; ++round) {
    // A B B A: a machine that slowly changes its pace favors neither.
    const bool new_first = round % 2 != 0;
    Paths before, after;
    if (new_first) after = run(program, options);
    before = run(options.old_program, options);
    if (!new_first) after = run(program, options);
    if (before.empty()) throw std::runtime_error("no path line contains \"" + options.only + "\"");
    for (const auto& [name, figures] : before) {
      const auto found = after.find(name);
      if (found == after.end()) throw std::runtime_error("the new build prints no line for " + name);
      series[name].add(figures, found->second);
    }
  }
  for (const auto& [name, s] : series) {
    std::printf("paired %s old_clocks=%.1f new_clocks=%.1f ratio=%.4f old_p10=%.1f new_p10=%.1f rounds=%u\n",
                name.c_str(), median(s.old_clocks), median(s.new_clocks), median(s.ratio), median(s.old_p10),
                median(s.new_p10), options.rounds);
  }
}

}  // namespace wg::bench
