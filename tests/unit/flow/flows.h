// Tuples and packets of the tests of flows. The packets come from tests/worker_world/packet.h, which uses no
// code of the dataplane and computes checksums from the whole packet.
#pragma once

#include <cstdint>
#include <random>
#include <stdexcept>
#include <string>

#include "dataplane/flow/flow.h"
#include "tests/worker_world/packet.h"

namespace wg::test {

inline constexpr std::uint8_t kTcp = 6, kUdp = 17;
inline constexpr std::uint8_t kAck = 0x10;

inline dataplane::IpAddress ip(const std::string& text) {
  const auto address = dataplane::parse_ip_address(text);
  if (!address) throw std::invalid_argument(text);
  return *address;
}

inline dataplane::FlowTuple tuple(const std::string& from, std::uint16_t from_port, const std::string& to,
                                  std::uint16_t to_port, std::uint8_t protocol = kUdp) {
  return {ip(from), ip(to), from_port, to_port, protocol};
}

// An IP packet with that tuple. `sum`: the payload is chosen so that the checksum takes this value.
inline Octets packet_of(const dataplane::FlowTuple& t, const Octets& payload, bool checksum = true,
                        std::uint8_t flags = kAck) {
  Packet p;
  const std::string from = to_string(t.source), to = to_string(t.destination);
  t.source.v6 ? p.ip6(from, to) : p.ip4(from, to);
  t.protocol == kTcp ? p.tcp(t.source_port, t.destination_port, flags)
                     : p.udp(t.source_port, t.destination_port);
  if (!checksum) p.no_checksum();
  return p.data(payload);
}

// Few addresses and ports, so that tuples repeat and differ in one member alone.
class RandomTuples {
 public:
  explicit RandomTuples(std::uint32_t seed) : random_(seed) {}
  std::uint32_t below(std::uint32_t n) { return static_cast<std::uint32_t>(random_() % n); }
  dataplane::FlowTuple next(std::uint32_t variety) {
    const bool v6 = below(2) == 0;
    dataplane::FlowTuple t{host(v6, variety), host(v6, variety), port(variety), port(variety),
                           below(2) == 0 ? kTcp : kUdp};
    return t;
  }
  dataplane::IpAddress host(bool v6, std::uint32_t variety) {
    const std::string n = std::to_string(below(variety));
    return ip(v6 ? "2001:db8::" + n : "10.0." + std::to_string(below(2)) + "." + n);
  }
  std::uint16_t port(std::uint32_t variety) { return static_cast<std::uint16_t>(1 + below(variety)); }

 private:
  std::mt19937 random_;
};

}  // namespace wg::test
