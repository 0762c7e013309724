#include "control/noise/types.h"

#include <sodium.h>

#include <stdexcept>

namespace wg::noise {

SystemRandom::SystemRandom() {
  if (sodium_init() < 0) throw std::runtime_error("libsodium cannot be initialised");
}

void SystemRandom::fill(std::span<std::uint8_t> out) {
  randombytes_buf(out.data(), out.size());
}

}  // namespace wg::noise
