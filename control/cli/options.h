// Checks of option values whose errors say what is allowed.
#pragma once

#include <cstdint>
#include <string>

#include <CLI/CLI.hpp>

namespace wg::control::cli {

// A whole number from `least` to `most`.
CLI::Validator whole_number(std::uint64_t least, std::uint64_t most = 4'294'967'295);
// A number of seconds, with or without a fraction, from `least` to `most`. NaN is none.
CLI::Validator seconds_between(double least, double most);
// An IPv4 or IPv6 address.
CLI::Validator ip_address();

}  // namespace wg::control::cli
