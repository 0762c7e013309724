// Packets lie in pages of 2 MB on a gateway: on ordinary ones a packet costs some 50 clocks more, all of them
// address translation. A bench that runs as root borrows what it needs and gives it back at exit.
#pragma once

#include <cstddef>

namespace wg::bench {

// Whether `megabytes` of 2 MB pages are free now. Reserves the missing ones until exit when this process may.
bool borrow_huge_pages(std::size_t megabytes);

}  // namespace wg::bench
