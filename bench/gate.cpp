#include "bench/gate.h"
#include "dataplane/base/processor.h"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace wg::bench {
namespace {

std::vector<std::string> words_of(std::string_view text) {
  std::istringstream in{std::string(text)};
  std::vector<std::string> words;
  for (std::string word; in >> word;) words.push_back(word);
  return words;
}

double number(const std::string& text, const std::string& where) {
  std::size_t used = 0;
  double value = 0;
  try {
    value = std::stod(text, &used);
  } catch (const std::exception&) {
    used = 0;
  }
  if (used == 0 || used != text.size()) throw std::runtime_error(where + ": not a number: " + text);
  return value;
}

std::optional<double> field_of(const std::vector<std::string>& words, const std::string& field) {
  const std::string begin = field + "=";
  for (const std::string& word : words)
    if (word.starts_with(begin)) return std::atof(word.c_str() + begin.size());
  return std::nullopt;
}

#if defined(__x86_64__)
// Family 25 is Zen 3 and Zen 4; AMD's processor reference: models 10h to 1Fh, 60h to 7Fh and A0h to AFh are
// Zen 4.
bool is_zen4(unsigned model) {
  return (model >= 0x10 && model <= 0x1f) || (model >= 0x60 && model <= 0x7f) ||
         (model >= 0xa0 && model <= 0xaf);
}
#endif

}  // namespace

std::string cpu_class() {
#if defined(__x86_64__)
  const bool avx512 = processor::has_avx512_ifma_vbmi2();
  const bool avx2 = processor::has_avx2();
  const processor::Model cpu = processor::model();
  // A hypervisor may hide vectors: then it is not that class.
  if (cpu.amd && cpu.family == 26 && avx512) return "zen5";
  if (cpu.amd && cpu.family == 25 && is_zen4(cpu.model) && avx512) return "zen4";
  if (cpu.amd && cpu.family == 25 && !is_zen4(cpu.model) && avx2) return "zen3";
  if (!cpu.amd && avx512) return "intel-avx512";
  if (avx512) return "generic-avx512";
  return avx2 ? "generic-avx2" : "generic";
#else
  return "arm64";
#endif
}

Gate Gate::read(const std::string& path, std::string cpu) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error(path + ": cannot be read");
  Gate gate;
  gate.cpu_ = std::move(cpu);
  std::string line;
  for (int at = 1; std::getline(file, line); ++at) {
    const std::string where = path + ":" + std::to_string(at);
    auto words = words_of(line.substr(0, line.find('#')));
    if (words.empty()) continue;
    if (words.size() == 2 && words[0] == "slack") {
      gate.slack_ = number(words[1], where) / 100;
      continue;
    }
    const std::size_t n = words.size();
    if (n < 5 || (words[n - 2] != ">=" && words[n - 2] != "<="))
      throw std::runtime_error(where + ": not `CLASS WORD... FIELD >= NUMBER` or `<=`");
    Threshold threshold{{words.begin() + 1, words.end() - 3}, words[n - 3], {}, words[n - 2] == ">=", 0, {}};
    threshold.median = number(words[n - 1], where);
    if (const auto slash = threshold.over.find('/'); slash != std::string::npos) {
      threshold.under = threshold.over.substr(slash + 1);
      threshold.over.resize(slash);
    }
    if (words[0] == gate.cpu_) gate.thresholds_.push_back(std::move(threshold));
  }
  return gate;
}

void Gate::see(std::string_view line) {
  const auto words = words_of(line);
  for (Threshold& threshold : thresholds_) {
    const bool is_meant = std::ranges::all_of(threshold.words, [&](const std::string& word) {
      return std::ranges::find(words, word) != words.end();
    });
    if (!is_meant) continue;
    const auto over = field_of(words, threshold.over);
    const auto under = threshold.under.empty() ? std::optional<double>(1) : field_of(words, threshold.under);
    if (over && under && *under != 0) threshold.seen = *over / *under;
  }
}

bool Gate::met(const Threshold& threshold) const {
  if (!threshold.seen) return false;
  return threshold.at_least ? *threshold.seen >= threshold.median * (1 - slack_)
                            : *threshold.seen <= threshold.median * (1 + slack_);
}

bool Gate::kept() const {
  if (thresholds_.empty()) {
    std::printf("gate class=%s: no thresholds for this processor\n", cpu_.c_str());
    return true;
  }
  std::size_t missed = 0;
  for (const Threshold& threshold : thresholds_) {
    const bool good = met(threshold);
    missed += good ? 0 : 1;
    std::string words;
    for (const std::string& word : threshold.words) words += word + " ";
    const std::string field = threshold.over + (threshold.under.empty() ? "" : "/" + threshold.under);
    const std::string seen = threshold.seen ? std::to_string(*threshold.seen) : "not measured";
    std::printf("gate %s %s%s: %s, median %.2f, slack %.0f %%\n", good ? "ok  " : "LOST", words.c_str(),
                field.c_str(), seen.c_str(), threshold.median, slack_ * 100);
  }
  std::printf("gate class=%s thresholds=%zu lost=%zu\n", cpu_.c_str(), thresholds_.size(), missed);
  return missed == 0;
}

void report(Gate* gate, const std::string& line) {
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);
  if (gate != nullptr) gate->see(line);
}

}  // namespace wg::bench
