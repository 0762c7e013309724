// Where two frames differ, in words: the layer, the offset in it, the bytes wanted and got.
#pragma once

#include <string>

#include "tests/worker_world/packet.h"

namespace wg::test {

// Empty when the frames are equal. Layers are those of `wanted`.
// "IPv4 at 8 (byte 22 of the frame): wanted 40 11, got 3f 11; 1 of 98 bytes differs"
std::string frame_difference(const Octets& wanted, const Octets& got);

}  // namespace wg::test
