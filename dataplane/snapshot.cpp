#include "dataplane/snapshot.h"

#include <bit>
#include <cstring>

namespace wg::dataplane {

namespace {
std::size_t hash(const IpAddress& address) {
  std::uint64_t words[2];
  std::memcpy(words, address.bytes.data(), sizeof words);
  return (words[0] ^ (words[1] << 1)) * 0x9e3779b97f4a7c15u >> 40;
}
}  // namespace

LocalAddresses::LocalAddresses(const std::vector<IpAddress>& addresses)
    : slots_(std::bit_ceil(2 * addresses.size() + 8)), slots4_(slots_.size()) {
  for (const IpAddress& address : addresses) {
    if (!address.v6) {
      add_v4(address);
      continue;
    }
    if (contains(address)) continue;
    std::size_t i = hash(address) & (slots_.size() - 1);
    while (slots_[i].used) i = (i + 1) & (slots_.size() - 1);
    slots_[i] = {address, true};
  }
}

void LocalAddresses::add_v4(const IpAddress& address) {
  std::uint32_t word;
  std::memcpy(&word, address.bytes.data(), sizeof word);
  std::size_t i = hash_v4(word) & (slots4_.size() - 1);
  while (slots4_[i] != 0 && slots4_[i] != word) i = (i + 1) & (slots4_.size() - 1);
  slots4_[i] = word;
  filter4_ |= std::uint64_t{1} << filter_bit(word);
}

bool LocalAddresses::contains(const IpAddress& address) const noexcept {
  for (std::size_t i = hash(address) & (slots_.size() - 1); slots_[i].used;
       i = (i + 1) & (slots_.size() - 1)) {
    if (slots_[i].address == address) return true;
  }
  return false;
}

bool LocalAddresses::contains_v6(const std::uint8_t* network_order) const noexcept {
  return contains(IpAddress::from_v6(network_order));
}

}  // namespace wg::dataplane
