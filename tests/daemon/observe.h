// Everything of a running gateway that an operator, wg(8) or Linux can see and that the configuration
// decides.
#pragma once

#include <string>

#include "tests/daemon/live_gateway.h"

namespace wg::test {

// A netdev by this name is not the gateway's.
inline constexpr const char* kForeignNetdev = "wg9";

// One fact per line, sorted where order means nothing. Counters and times are left out.
std::string observe(LiveGateway& gateway);

// The first lines in which the two differ, for a failure's message.
std::string difference(const std::string& a, const std::string& b);

}  // namespace wg::test
