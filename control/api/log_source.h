// The log's lines for subscribers, as they are written.
//
// Contract: every method is called on the control thread, never blocks and never throws.
#pragma once

#include <cstdint>
#include <functional>

#include "control/log_line.h"

namespace wg::control {

class LogSource {
 public:
  using Follower = std::function<void(const LogLine& line)>;
  virtual ~LogSource() = default;

  // Calls `follower` on the control thread for every line that is logged from now on.
  [[nodiscard]] virtual std::uint64_t follow(Follower follower) = 0;
  // The follower is not called any more.
  virtual void unfollow(std::uint64_t id) = 0;
};

}  // namespace wg::control
