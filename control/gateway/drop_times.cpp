#include "control/gateway/drop_times.h"

namespace wg::control {

void DropTimes::note(const DropCounts& counts, BootTime now) {
  for (std::size_t reason = 0; reason < counts.size(); ++reason) {
    if (counts[reason] == counts_[reason]) continue;
    counts_[reason] = counts[reason];
    Times& times = times_[reason];
    if (times.first == kNever) times.first = now;
    if (times.last == kNever || elapsed(now, times.last) >= kQuiet) times.began = now;
    times.last = now;
  }
}

}  // namespace wg::control
