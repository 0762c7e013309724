// Sources that nothing outside this machine may have.
#pragma once

#include <cstdint>

#include "dataplane/packet/address_class.h"
#include "dataplane/snapshot.h"

namespace wg::dataplane {

// Allowed to no peer in a tunnel, whatever its allowed IPs say, and to no program beside peers. Linux refuses
// our own addresses as source too, but accepts them from a TUN, through which ICMP errors of ours come
// (accept_local).
[[nodiscard]] inline bool is_martian(const LocalAddresses& own, const std::uint8_t* source, bool v6) {
  return v6 ? is_martian_source_v6(source) || own.contains_v6(source)
            : is_martian_source_v4(source) || own.contains_v4(source);
}

}  // namespace wg::dataplane
