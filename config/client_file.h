// The wg-quick(8) file of a peer of ours: what a phone or a laptop reads.
#pragma once

#include <string>
#include <vector>

#include "config/types.h"

namespace wg::config {

struct ClientFile {
  std::optional<SecretKey> private_key;  // nullopt: the peer has made its own, which stays there
  std::vector<InterfaceAddress> addresses;
  std::vector<Address> dns;
  std::optional<std::uint16_t> mtu;
  Key gateway_key;
  std::optional<SecretKey> preshared_key;
  Endpoint endpoint;  // of the gateway, as the peer reaches it
  std::vector<Prefix> allowed_ips;
  std::chrono::seconds persistent_keepalive{25};  // 0: off
};

// Holds secrets: the caller wipes the text.
[[nodiscard]] std::string to_wg_quick(const ClientFile& file);

// The subnets behind the gateway: those of the interface, and of the ports without a gateway.
[[nodiscard]] std::vector<Prefix> networks_behind(const Gateway& gateway, const Interface& interface);

}  // namespace wg::config
