#include "config/client_file.h"

#include <algorithm>

namespace wg::config {
namespace {

std::string list_of(const auto& values) {
  std::string text;
  for (const auto& value : values) text += (text.empty() ? "" : ", ") + to_string(value);
  return text;
}

void add_line(std::string& text, const char* key, std::string value) {
  if (!value.empty()) text.append(key).append(" = ").append(value).append("\n");
  wipe(value);
}

void add_subnets(const std::vector<InterfaceAddress>& addresses, std::vector<Prefix>& networks) {
  for (const InterfaceAddress& own : addresses) {
    const Prefix subnet = prefix_of(own.address, own.length);
    if (std::find(networks.begin(), networks.end(), subnet) == networks.end()) networks.push_back(subnet);
  }
}

}  // namespace

std::string to_wg_quick(const ClientFile& file) {
  std::string text;
  text.reserve(2048);  // not moved while keys are added, so that no copy of them is left behind
  text += "[Interface]\n";
  if (file.private_key) {
    add_line(text, "PrivateKey", reveal(*file.private_key));
  } else {
    text += "# PrivateKey = the one that this peer has made\n";
  }
  add_line(text, "Address", list_of(file.addresses));
  add_line(text, "DNS", list_of(file.dns));
  if (file.mtu) add_line(text, "MTU", std::to_string(*file.mtu));
  text += "\n[Peer]\n";
  add_line(text, "PublicKey", to_string(file.gateway_key));
  if (file.preshared_key) add_line(text, "PresharedKey", reveal(*file.preshared_key));
  add_line(text, "Endpoint", to_string(file.endpoint));
  add_line(text, "AllowedIPs", list_of(file.allowed_ips));
  if (file.persistent_keepalive.count() != 0)
    add_line(text, "PersistentKeepalive", std::to_string(file.persistent_keepalive.count()));
  return text;
}

std::vector<Prefix> networks_behind(const Gateway& gateway, const Interface& interface) {
  std::vector<Prefix> networks;
  add_subnets(interface.addresses, networks);
  for (const auto& [name, port] : gateway.ports)
    if (port.gateways.empty()) add_subnets(port.addresses, networks);
  return networks;
}

}  // namespace wg::config
