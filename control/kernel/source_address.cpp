#include "control/kernel/source_address.h"

#include <linux/if_addr.h>

#include <algorithm>
#include <bit>

namespace wg::control {
namespace {

// Address scopes of RFC 6724 section 3.1. A multicast address contains its scope.
unsigned address_scope(const IpAddress& address) {
  if (address.bytes[0] == 0xff) return address.bytes[1] & 0x0f;
  IpAddress loopback;
  loopback.v6 = true;
  loopback.bytes[15] = 1;
  if (is_link_local(address) || address == loopback) return 0x2;
  if (address.bytes[0] == 0xfe && (address.bytes[1] & 0xc0) == 0xc0) return 0x5;  // site-local
  return 0xe;
}

// The labels of the policy table of RFC 6724 section 2.1. The longest match applies.
unsigned policy_label(const IpAddress& address) {
  struct Policy {
    const char* prefix;
    unsigned label;
  };
  static constexpr Policy kPolicies[] = {{"::1/128", 0},   {"::/0", 1},          {"2002::/16", 2},
                                         {"::/96", 3},     {"::ffff:0:0/96", 4}, {"fc00::/7", 5},
                                         {"2001::/32", 6}, {"2001:10::/28", 7}};
  static const auto kTable = [] {
    std::vector<std::pair<IpPrefix, unsigned>> table;
    for (const Policy& policy : kPolicies) {
      if (const auto prefix = parse_ip_prefix(policy.prefix)) table.emplace_back(*prefix, policy.label);
    }
    std::sort(table.begin(), table.end(), [](auto& a, auto& b) { return a.first.length > b.first.length; });
    return table;
  }();
  for (const auto& [prefix, label] : kTable) {
    if (prefix.contains(address)) return label;
  }
  return 1;
}

unsigned common_bits(const LocalAddress& source, const IpAddress& destination) {
  const auto& bytes = source.prefix.address.bytes;
  for (unsigned i = 0; i < bytes.size(); ++i) {
    const auto differs = static_cast<std::uint8_t>(bytes[i] ^ destination.bytes[i]);
    if (differs == 0) continue;
    const auto common = i * 8 + static_cast<unsigned>(std::countl_zero(differs));
    return std::min(common, unsigned{source.prefix.length});
  }
  return source.prefix.length;
}

}  // namespace

bool better_source(const LocalAddress& a, const LocalAddress& b, const IpAddress& destination,
                   std::uint32_t ifindex) {
  const bool a_same = a.prefix.address == destination, b_same = b.prefix.address == destination;
  if (a_same != b_same) return a_same;  // rule 1
  const unsigned scope = address_scope(destination), a_scope = address_scope(a.prefix.address),
                 b_scope = address_scope(b.prefix.address);
  if (a_scope < b_scope) return a_scope >= scope;  // rule 2
  if (b_scope < a_scope) return b_scope < scope;
  const bool a_old = (a.flags & IFA_F_DEPRECATED) != 0, b_old = (b.flags & IFA_F_DEPRECATED) != 0;
  if (a_old != b_old) return b_old;                                                   // rule 3
  if ((a.ifindex == ifindex) != (b.ifindex == ifindex)) return a.ifindex == ifindex;  // rule 5
  const unsigned label = policy_label(destination);
  const bool a_label = policy_label(a.prefix.address) == label,
             b_label = policy_label(b.prefix.address) == label;
  if (a_label != b_label) return a_label;                            // rule 6
  return common_bits(a, destination) > common_bits(b, destination);  // rule 8
}

}  // namespace wg::control
