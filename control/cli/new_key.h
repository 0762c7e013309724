// Keys from the random generator.
#pragma once

#include "config/key.h"

namespace wg::control::cli {

config::SecretKey new_private_key();  // clamped as X25519 requires it
config::SecretKey new_random_key();   // for a preshared key

}  // namespace wg::control::cli
