// Thresholds of a bench (bench/gates): what its lines must show on this class of processor, so that speed
// which is lost fails a test. Only ratios of one run are compared, and a stated slack is allowed.
//
// A file has a line `slack PER_CENT`, and a line for each threshold:
//
//   CLASS WORD... FIELD >= MEDIAN        the line of the bench has all the words, and its FIELD=value is high
//   enough CLASS WORD... FIELD/FIELD <= MEDIAN  the quotient of two fields is low enough
//
// MEDIAN is what was measured; a figure may be worse by the slack. `#` begins a comment.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace wg::bench {

// zen3, zen4, zen5, intel-avx512, generic-avx512 (with IFMA and VBMI2), generic-avx2 or generic.
std::string cpu_class();

class Gate {
 public:
  // The thresholds of `cpu` alone. Throws std::runtime_error with file:line for what cannot be read.
  static Gate read(const std::string& path, std::string cpu = cpu_class());

  // A line as the bench prints it.
  void see(std::string_view line);

  // Prints a line for each threshold and the total. True: each was measured and kept. Without a threshold for
  // this class nothing can be said: it prints so, and is true.
  bool kept() const;

 private:
  struct Threshold {
    std::vector<std::string> words;
    std::string over;   // the field
    std::string under;  // what it is divided by; may be empty
    bool at_least = true;
    double median = 0;
    std::optional<double> seen;
  };
  bool met(const Threshold& threshold) const;

  std::string cpu_;
  double slack_ = 0;  // a share
  std::vector<Threshold> thresholds_;
};

// Prints a line, and shows it to the gate if there is one.
void report(Gate* gate, const std::string& line);

}  // namespace wg::bench
