// What stands in the gateway's place when the ports themselves are measured: each frame of one wire leaves by
// the other, with the MAC addresses of that one, and nothing else is done with it.
#pragma once

#include <atomic>

#include "bench/vf/wire.h"

namespace wg::bench {

// Returns when `stop` is set.
void forward(Wire& lan, Wire& wan, const std::atomic<bool>& stop);

}  // namespace wg::bench
