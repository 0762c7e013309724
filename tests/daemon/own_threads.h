// Which threads of this process may take a CPU away from the worker that polls on it.
#pragma once

#include <string>
#include <vector>

namespace wg::test {

// Names of all threads but workers and the calling one that the scheduler may run on `cpu`.
[[nodiscard]] std::vector<std::string> own_threads_on(unsigned cpu);

// The calling thread runs anywhere but on `cpu` from now on, if there is another.
void keep_off(unsigned cpu);

}  // namespace wg::test
