// `forwarding: flows`: how fast the control thread takes connections over.
#pragma once

#include <cstdint>
#include <optional>

namespace wg::bench {

struct Learning {
  double per_second = 0;       // connections per second of the thread's time, the kernel's part included
  double per_wall_second = 0;  // and of the clock: less where other programs have the processor as well
};

// The medians over `rounds`: a follower learns `count` assured connections with the mark from the kernel's
// connection tracking, in a network namespace of its own, into a table for `capacity`. Read, asked for,
// answered, inserted: all of it is the calling thread's work. nullopt: not root.
[[nodiscard]] std::optional<Learning> measure_learning(std::uint32_t count, std::uint32_t capacity,
                                                       unsigned rounds);

}  // namespace wg::bench
