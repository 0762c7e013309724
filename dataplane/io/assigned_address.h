// Was the MAC address of a virtual function assigned, or made up by its driver? A driver asks the physical
// function once, when it opens the device. When the mailbox holds another message just then (the physical
// function tells all its virtual ones that the link came up), when the physical function is being reset, or
// when it knows no address, the driver takes a random one, and frames to the assigned address never arrive.
// Control thread only.
#pragma once

#include <functional>

#include "dataplane/packet/headers.h"

namespace wg::dataplane {

// `mac`: of the device, which has been opened. `known`: what it had before; all zeros: not known.
// `open_again`: opens it once more and returns its address. An assigned address is the same as the last time;
// one that differs at each of a few openings is made up. Vendors' addresses never are: drivers set the bit of
// local administration in theirs, so the device is opened once where that bit is not set.
[[nodiscard]] bool is_made_up(MacAddress mac, const MacAddress& known,
                              const std::function<MacAddress()>& open_again);

}  // namespace wg::dataplane
