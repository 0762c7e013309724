// On a gateway packets are in pages of 2 MB. In ordinary pages a packet costs about 50 clocks more, all of
// them for address translation. A bench that runs as root reserves the pages it needs and returns them at
// exit.
#pragma once

#include <cstddef>

namespace wg::bench {

// Returns whether `megabytes` of 2 MB pages are free. Reserves the missing ones until exit if permitted.
bool borrow_huge_pages(std::size_t megabytes);

}  // namespace wg::bench
