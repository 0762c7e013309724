#include "tests/daemon/yaml.h"

#include "tests/daemon/live_gateway.h"
#include "tests/daemon/load.h"

namespace wg::test {

std::string dotted(std::uint32_t address) {
  return std::to_string(address >> 24) + "." + std::to_string(address >> 16 & 255) + "." +
         std::to_string(address >> 8 & 255) + "." + std::to_string(address & 255);
}

std::string peer_line(const PeerLine& peer) {
  std::string line = "      - { ";
  if (!peer.name.empty()) line += "name: " + peer.name + ", ";
  line += "public_key: \"" + peer.public_key + "\", allowed_ips: [" + peer.allowed + "]";
  if (!peer.endpoint.empty()) line += ", endpoint: \"" + peer.endpoint + "\"";
  if (peer.keepalive != 0) line += ", persistent_keepalive: " + std::to_string(peer.keepalive);
  return line + peer.more + " }\n";
}

std::string gateway_yaml(const GatewayText& text) {
  const std::string ports =
      !text.ports.empty() ? text.ports
                          : std::string("  wan: { device: \"") + kWanDevice +
                                "\", addresses: [10.20.0.1/24], gateway: 10.20.0.2 }\n  lan: { device: \"" +
                                kLanDevice + "\", addresses: [192.168.1.1/24] }\n";
  return "dpdk: { workers: 1, memory: " + std::to_string(text.memory_mb) + "M, hugepages: off }\nports:\n" +
         ports + "interfaces:\n  wg0:\n    private_key: \"" + base64(gateway_key()) +
         "\"\n    listen_port: 51820\n" +
         (text.wg0.empty() ? std::string("    addresses: [10.128.0.1/9]\n") : text.wg0) +
         "    peers:" + (text.peers.empty() ? std::string(" []\n") : "\n" + text.peers) +
         "control: { socket: " + kSocket + ", state_directory: /run/lab/state, log: { level: warn }" +
         text.control + " }\n";
}

}  // namespace wg::test
