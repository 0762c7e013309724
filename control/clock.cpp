#include "control/clock.h"

namespace wg::control {

noise::Now now() {
  return {BootClock::now(), std::chrono::system_clock::now()};
}

}  // namespace wg::control
