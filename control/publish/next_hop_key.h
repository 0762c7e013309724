// A neighbour on a link: what a path or a route needs a MAC address for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "control/kernel/types.h"

namespace wg::control {

struct NextHopKey {
  std::uint32_t ifindex = 0;  // 0: none
  IpAddress address;
  friend bool operator==(const NextHopKey&, const NextHopKey&) = default;
};

struct NextHopKeyHash {
  std::size_t operator()(const NextHopKey& key) const noexcept {
    std::uint64_t words[2];
    std::memcpy(words, key.address.bytes.data(), sizeof words);
    return (words[0] * 31 + words[1] + key.ifindex) * 0x9e3779b97f4a7c15u;
  }
};

}  // namespace wg::control
