// How much one burst holds, and how many ports and interfaces a worker serves.
#pragma once

#include <cstddef>

namespace wg::dataplane {

inline constexpr std::size_t kPollBurst = 32;
// A poll's packets plus what they caused (ICMP errors, staged packets) always fit.
inline constexpr std::size_t kBurst = 64;
// A pass over the burst asks for the lines that the next pass reads. Cores drop some of so many requests, so
// that pass asks again for those of the packet this far ahead: with 100 000 peers that halves its time.
inline constexpr std::size_t kPrefetchDistance = 8;

// Packets, their fragments, the ICMP errors about both, and those errors' fragments: nothing causes more.
inline constexpr std::size_t kSendRounds = 4;

inline constexpr std::size_t kMaxPorts = 64;
inline constexpr std::size_t kMaxInterfaces = 256;

}  // namespace wg::dataplane
