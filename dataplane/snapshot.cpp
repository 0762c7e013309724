#include "dataplane/snapshot.h"

#include <bit>

namespace wg::dataplane {

namespace {
std::size_t hash(const IpAddress& address) {
  std::uint64_t words[2];
  std::memcpy(words, address.bytes.data(), sizeof words);
  return (words[0] ^ (words[1] << 1)) * 0x9e3779b97f4a7c15u >> 40;
}
}  // namespace

LocalAddresses::LocalAddresses(const std::vector<IpAddress>& addresses)
    : slots_(std::bit_ceil(2 * addresses.size() + 8)) {
  for (const IpAddress& address : addresses) {
    if (contains(address)) continue;
    std::size_t i = hash(address) & (slots_.size() - 1);
    while (slots_[i].used) i = (i + 1) & (slots_.size() - 1);
    slots_[i] = {address, true};
  }
}

bool LocalAddresses::contains(const IpAddress& address) const noexcept {
  for (std::size_t i = hash(address) & (slots_.size() - 1); slots_[i].used;
       i = (i + 1) & (slots_.size() - 1)) {
    if (slots_[i].address == address) return true;
  }
  return false;
}

bool LocalAddresses::contains_v4(const std::uint8_t* network_order) const noexcept {
  return contains(IpAddress::from_v4(network_order));
}

bool LocalAddresses::contains_v6(const std::uint8_t* network_order) const noexcept {
  return contains(IpAddress::from_v6(network_order));
}

}  // namespace wg::dataplane
