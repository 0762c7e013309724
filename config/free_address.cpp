#include "config/free_address.h"

#include <algorithm>

namespace wg::config {
namespace {

struct Range {
  Address first, last;  // both belong to it
};

Address last_of(const Prefix& prefix) {
  Address last = prefix.address;
  for (unsigned bit = prefix.length; bit < last.bits(); ++bit)
    last.bytes[bit / 8] = static_cast<std::uint8_t>(last.bytes[bit / 8] | (0x80U >> (bit % 8)));
  return last;
}

Address next(Address address) {
  for (unsigned byte = address.bits() / 8; byte-- > 0;)
    if (++address.bytes[byte] != 0) break;
  return address;
}

// The addresses in use within the subnet, in order.
std::vector<Range> taken_in(const Prefix& subnet, const Interface& interface) {
  std::vector<Range> taken;
  const bool has_network_address = subnet.address.bits() - subnet.length >= 2;
  if (has_network_address) taken.push_back({subnet.address, subnet.address});
  if (has_network_address && subnet.address.is_v4()) taken.push_back({last_of(subnet), last_of(subnet)});
  for (const InterfaceAddress& own : interface.addresses)
    if (contains(subnet, own.address)) taken.push_back({own.address, own.address});
  for (const Peer& peer : interface.peers)
    for (const Prefix& prefix : peer.allowed_ips)
      if (prefix.length > subnet.length && contains(subnet, prefix))
        taken.push_back({prefix.address, last_of(prefix)});
  std::sort(taken.begin(), taken.end(), [](const Range& a, const Range& b) { return a.first < b.first; });
  return taken;
}

}  // namespace

std::optional<Address> free_address(const Interface& interface, const InterfaceAddress& own) {
  const Prefix subnet = prefix_of(own.address, own.length);
  Address candidate = subnet.address;
  for (const Range& range : taken_in(subnet, interface)) {
    if (candidate < range.first) break;
    if (range.last < candidate) continue;
    if (range.last == last_of(subnet)) return std::nullopt;
    candidate = next(range.last);
  }
  return contains(subnet, candidate) ? std::optional(candidate) : std::nullopt;
}

std::optional<std::string> why_not_free(const Gateway& gateway, const Interface& interface,
                                        const Address& address) {
  if (!is_unicast(address)) return "is not the address of one host";
  const auto is_at = [&](const auto& holder) {
    return std::any_of(holder.addresses.begin(), holder.addresses.end(),
                       [&](const InterfaceAddress& own) { return own.address == address; });
  };
  for (const auto& [name, port] : gateway.ports)
    if (is_at(port)) return "is our own address at ports." + name;
  for (const auto& [name, other] : gateway.interfaces)
    if (is_at(other)) return "is our own address at interfaces." + name;
  for (const InterfaceAddress& own : interface.addresses) {
    const Prefix subnet = prefix_of(own.address, own.length);
    if (!contains(subnet, address) || own.address.bits() - own.length < 2) continue;
    if (address == subnet.address) return "is the address of the network " + to_string(subnet);
    if (address.is_v4() && address == last_of(subnet))
      return "is the broadcast address of " + to_string(subnet);
  }
  for (const Peer& peer : interface.peers)
    for (const Prefix& prefix : peer.allowed_ips)
      if (prefix == prefix_of(address, address.bits())) return "belongs to peer " + label_of(peer);
  return std::nullopt;
}

}  // namespace wg::config
