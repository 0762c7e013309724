// The file of a gateway with many peers between the two ports that Load drives.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace wg::test {

struct PeerLine {
  std::string name, public_key;
  std::string endpoint;  // empty: none
  std::string allowed;   // a YAML list without its brackets
  unsigned keepalive = 0;
  std::string more;  // further keys, each with a leading comma
};

struct GatewayText {
  unsigned memory_mb = 256;
  std::string ports;    // empty: wan and lan on Load's devices
  std::string wg0;      // further keys of wg0: lines with four spaces in front
  std::string peers;    // lines made by peer_line()
  std::string control;  // further keys, each with a leading comma
};

std::string peer_line(const PeerLine& peer);
std::string gateway_yaml(const GatewayText& text);
std::string dotted(std::uint32_t address);

}  // namespace wg::test
