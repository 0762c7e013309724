// The configuration of a gateway whose peers are those of the generator.
#pragma once

#include <string>

#include "bench/vf/peers.h"

namespace wg::bench {

struct GatewayFile {
  std::string folder;  // the file, the key and the socket are in it
  std::string lan_device, wan_device;
  std::string workers = "1";              // as `dpdk.workers` takes it
  std::string memory = "256M", eal = "";  // `eal`: further arguments, comma between
};

// Writes FOLDER/gateway.yaml and FOLDER/gateway.key (mode 0600). Throws std::runtime_error.
void write_gateway_file(const GatewayFile& wanted, const Peers& peers);

}  // namespace wg::bench
