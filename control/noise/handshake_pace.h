// How often the control thread polls for handshake messages. In a flood, a wake-up per message costs more
// than refusing the message, and it preempts the thread that had the core. At kManyPerWindow messages and
// more the thread therefore leaves its doorbell off, sleeps for kGather and drains what has arrived as one
// batch.
//
// Below that rate no message waits. When an iteration finds a large batch anyway the thread does not sleep
// either, so the mailbox (1024 messages) does not fill.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>

#include "control/noise/types.h"

namespace wg::noise {

class HandshakePace {
 public:
  static constexpr std::chrono::milliseconds kGather{1};
  static constexpr std::chrono::milliseconds kWindow{100};
  static constexpr std::size_t kManyPerWindow = 100;
  static constexpr std::size_t kBatch = 64;

  // Call it after each iteration with the number of handshake messages drained.
  void note(std::size_t taken, BootTime now) noexcept {
    if (now < window_ || now - window_ >= kWindow) {
      before_ = now >= window_ && now - window_ < 2 * kWindow ? count_ : 0;
      count_ = 0;
      window_ = now;
    }
    count_ += taken;
    taken_ = taken;
  }
  // True: sleep for kGather without a wake-up by the next message.
  [[nodiscard]] bool gather() const noexcept {
    return taken_ != 0 && taken_ < kBatch && std::max(before_, count_) >= kManyPerWindow;
  }

 private:
  BootTime window_ = kNever;  // start of the present window
  std::size_t count_ = 0;     // drained in the present window
  std::size_t before_ = 0;    // drained in the window before it
  std::size_t taken_ = 0;     // drained by the last iteration
};

}  // namespace wg::noise
