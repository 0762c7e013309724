// Filters in tcpdump's language, compiled in the command: the gateway gets programs, and neither a parser nor
// a name that has to be resolved.
#pragma once

#include <string>

#include "control/api/json.h"

namespace wg::control::cli {

// Adds the members filter, ethernet and ip to the params of `capture` and `trace`. An empty filter adds none.
// What one kind of packet cannot have (`ether host` within a tunnel) matches none of that kind. Throws
// CommandFailed with libpcap's words when neither kind can be filtered like that.
void add_filter(const std::string& filter, Json& params);

}  // namespace wg::control::cli
