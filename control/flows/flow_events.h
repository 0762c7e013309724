// Tells operators of flows, in the log and by the event stream: that the table is full and has room
// again, that a change of rules sent connections back to Linux, that events of connection tracking were lost
// and it was read again. However often such things happen, each is told at most once a minute, with what has
// gathered since.
//
// No clock of its own and no output: the counts of a follower in, news out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "control/api/status.h"
#include "control/flows/flow_follower.h"
#include "control/log_events.h"
#include "dataplane/base/clocks.h"

namespace wg::control {

struct FlowNews {
  GatewayEventKind kind;
  LogEvent line;
  std::string words;
};

class FlowEvents {
 public:
  static constexpr WholeSeconds kQuiet{60};

  // To be called every second. `carried`: connections with the workers, of at most `max`.
  [[nodiscard]] std::vector<FlowNews> take(const FlowFollower::Counts& counts, std::size_t carried,
                                           std::size_t max, BootSeconds now);

 private:
  // Something that may happen often: due at once, and then after kQuiet.
  class Spaced {
   public:
    // `happened`: so far. True: tell that it has happened `times` since the last time.
    bool due(std::uint64_t happened, BootSeconds now, std::uint64_t& times);

   private:
    std::uint64_t told_ = 0;
    BootSeconds again_;  // not before
  };

  void take_full(const FlowFollower::Counts& counts, std::size_t carried, std::size_t max, BootSeconds now);
  void take_rules(const FlowFollower::Counts& counts, BootSeconds now);
  void take_losses(const FlowFollower::Counts& counts, std::size_t carried, BootSeconds now);
  void tell(GatewayEventKind kind, const LogEvent& line, std::string words);

  std::vector<FlowNews> news_;
  Spaced rules_, losses_;
  std::uint64_t refused_ = 0;            // because the table was full, when last looked at
  std::uint64_t returned_by_rules_ = 0;  // told
  bool full_ = false, reading_again_ = false;
  BootSeconds room_;  // when the table has room again unless it refuses until then
};

}  // namespace wg::control
