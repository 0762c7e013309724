// ICMP errors about UDP datagrams of this machine: RFC 792, RFC 1122 3.2.2.1, RFC 4443 3.1 and 3.2.
//
// Any host can forge them, so they decide nothing: they are shown to people. The UDP sockets stay without
// IP_RECVERR; a raw socket of its own reads a copy of what Linux receives.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>

#include "control/kernel/types.h"

namespace wg::control {

struct IcmpError {
  enum class Kind : std::uint8_t { kUnreachable, kPortUnreachable, kProhibited, kTooBig };
  Kind kind = Kind::kUnreachable;
  IpAddress from;         // who says so
  Endpoint local;         // the datagram's source: an address of ours and a listen port
  Endpoint remote;        // its destination
  std::uint32_t mtu = 0;  // kTooBig: of the next link; 0: not said
};

// `packet` begins with the IPv4 header. nullopt: another type, or not about a UDP datagram.
[[nodiscard]] std::optional<IcmpError> parse_icmp4_error(std::span<const std::uint8_t> packet);
// `message` begins with the ICMPv6 header, as raw sockets have it.
[[nodiscard]] std::optional<IcmpError> parse_icmp6_error(std::span<const std::uint8_t> message,
                                                         const IpAddress& from);

class IcmpErrors {
 public:
  // Without permission (CAP_NET_RAW), or without IPv6, there is nothing to receive.
  IcmpErrors();
  ~IcmpErrors();
  IcmpErrors(const IcmpErrors&) = delete;
  IcmpErrors& operator=(const IcmpErrors&) = delete;

  // At most `limit` messages of each IP version; what comes faster is lost in the kernel.
  void receive(std::size_t limit, const std::function<void(const IcmpError&)>& visit);

 private:
  void receive_family(bool v6, std::size_t limit, const std::function<void(const IcmpError&)>& visit);

  int fds_[2] = {-1, -1};  // IPv4, IPv6
};

}  // namespace wg::control
