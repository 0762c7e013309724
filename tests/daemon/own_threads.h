// Which threads of this process may take a CPU away from the worker that polls on it.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace wg::test {

// Names of all threads but workers and the calling one that the scheduler may run on `cpu`.
[[nodiscard]] std::vector<std::string> own_threads_on(unsigned cpu);

// How many threads, but workers and the calling one, have each nice value.
[[nodiscard]] std::map<int, int> nice_values();

// The calling thread runs anywhere but on `cpu` from now on, if there is another.
void keep_off(unsigned cpu);

}  // namespace wg::test
