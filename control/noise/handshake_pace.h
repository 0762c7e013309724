// How often the control thread looks for handshake messages. Being woken for each one of a flood costs more
// than refusing it does, and takes the core from whoever had it. So at kManyPerWindow and more the thread
// does not ask to be woken: it looks again after kGather and takes what has come meanwhile together.
//
// Below that rate nothing waits; at rates where a round finds a batch anyway it does not wait either, so the
// mailbox (1024 messages) does not fill.
#pragma once

#include <algorithm>
#include <cstddef>

#include "control/noise/types.h"

namespace wg::noise {

class HandshakePace {
 public:
  static constexpr BootTime kGather = 1'000'000;
  static constexpr BootTime kWindow = 100'000'000;
  static constexpr std::size_t kManyPerWindow = 100;
  static constexpr std::size_t kBatch = 64;

  // After each round: it took `taken` handshake messages.
  void note(std::size_t taken, BootTime now) noexcept {
    if (now < window_ || now - window_ >= kWindow) {
      before_ = now - window_ < 2 * kWindow ? count_ : 0;
      count_ = 0;
      window_ = now;
    }
    count_ += taken;
    taken_ = taken;
  }
  // True: wait for kGather without asking to be woken by the next message.
  [[nodiscard]] bool gather() const noexcept {
    return taken_ != 0 && taken_ < kBatch && std::max(before_, count_) >= kManyPerWindow;
  }

 private:
  BootTime window_ = 0;     // when the present window began
  std::size_t count_ = 0;   // taken in it
  std::size_t before_ = 0;  // taken in the one just before it
  std::size_t taken_ = 0;   // by the last round
};

}  // namespace wg::noise
