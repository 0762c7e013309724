// The maximum segment size that a TCP handshake offers: RFC 9293 3.7.1.
#pragma once

#include <cstddef>
#include <cstdint>

namespace wg::dataplane {

// Lowers the MSS option of a SYN in the IP packet [l3, l3 + length), so that segments fit without path MTU
// discovery; the TCP checksum is kept right. `mss`: the limit over IPv4; over IPv6 it is 20 less. Every other
// packet, and a malformed one, stays as it is.
void clamp_tcp_mss(std::uint8_t* l3, std::size_t length, bool v6, std::uint16_t mss);

}  // namespace wg::dataplane
