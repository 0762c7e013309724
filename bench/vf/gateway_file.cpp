#include "bench/vf/gateway_file.h"

#include <sodium.h>
#include <sys/stat.h>

#include <fstream>
#include <stdexcept>

#include "dataplane/packet/address.h"

namespace wg::bench {

namespace {

std::string base64(const noise::Key& key) {
  std::string text(sodium_base64_ENCODED_LEN(noise::kKeySize, sodium_base64_VARIANT_ORIGINAL), '\0');
  sodium_bin2base64(text.data(), text.size(), key.data(), key.size(), sodium_base64_VARIANT_ORIGINAL);
  text.resize(text.size() - 1);
  return text;
}

std::string address_text(std::uint32_t address) {
  const dataplane::Be32 wire{address};
  return dataplane::to_string(dataplane::IpAddress::from_v4(&wire));
}

void write(const std::string& path, const std::string& text) {
  const mode_t before = umask(077);
  std::ofstream file(path, std::ios::trunc);
  umask(before);
  file << text;
  if (!file.flush()) throw std::runtime_error(path + ": cannot be written");
}

}  // namespace

void write_gateway_file(const GatewayFile& wanted, const Peers& peers) {
  write(wanted.folder + "/gateway.key", base64(peers.gateway_private_key()) + "\n");
  std::string text = "dpdk: { workers: " + wanted.workers + ", memory: " + wanted.memory +
                     ", hugepages: auto, idle: { mode: spin }, eal: [" + wanted.eal + "] }\n";
  text += "ports:\n  wan: { device: \"" + wanted.wan_device + "\", addresses: [" + address_text(kWanGateway) +
          "/16], peer: trusted }\n  lan: { device: \"" + wanted.lan_device + "\", addresses: [" +
          address_text(kLanGateway) + "/16], peer: trusted }\n";
  // A route for all peers at once: 100 000 of the kernel's would be measured as well.
  text += "interfaces:\n  wg0:\n    private_key_file: gateway.key\n    listen_port: " +
          std::to_string(kGatewayPort) + "\n    addresses: [10.127.255.254/9]\n    routes: off\n    peers:\n";
  for (std::uint32_t flow = 0; flow < peers.count(); ++flow)
    text += "      - { public_key: \"" + base64(peers.public_key(flow)) + "\", allowed_ips: [" +
            address_text(kInnerPeers + flow) + "/32] }\n";
  text += "control: { socket: " + wanted.folder + "/control.sock, state_directory: " + wanted.folder +
          "/state, log: { level: warn } }\n";
  write(wanted.folder + "/gateway.yaml", text);
}

}  // namespace wg::bench
