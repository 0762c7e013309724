// Entries of connection tracking without any packet, for tests and benches that need very many: made by
// ctnetlink, in the network namespace of the calling thread. Needs root.
#pragma once

#include <cstdint>

#include "dataplane/flow/flow.h"

namespace wg::test {

// The tuple of connection `number`: a connection of TCP from 10.0.0.0/8 to 198.18.0.1:443.
[[nodiscard]] dataplane::FlowTuple tracked_connection(std::uint32_t number);

// Makes the first `count`, assured, established and with this mark. The kernel makes events for an entry
// only if a socket for them was open before it. Throws std::runtime_error.
void make_tracked_connections(std::uint32_t count, std::uint32_t mark);

// Removes all entries of the namespace.
void flush_tracked_connections();

}  // namespace wg::test
