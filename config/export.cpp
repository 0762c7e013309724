#include "config/export.h"

namespace wg::config {
namespace {

std::string list_of(const auto& values) {
  std::string text;
  for (const auto& value : values) text += (text.empty() ? "" : ", ") + to_string(value);
  return text;
}

std::string line(const char* key, const std::string& value) {
  return std::string(key) + " = " + value + "\n";
}

std::string wg_quick_lines(const Interface& interface) {
  std::string text;
  if (!interface.addresses.empty()) text += line("Address", list_of(interface.addresses));
  if (interface.mtu) text += line("MTU", std::to_string(*interface.mtu));
  if (interface.routes == Routes::kOff)
    text += line("Table", "off");
  else if (interface.table)
    text += line("Table", std::to_string(*interface.table));
  return text;
}

}  // namespace

std::string export_peer(const Peer& peer) {
  std::string text = "\n[Peer]\n";
  if (!peer.name.empty()) text += "# Name = " + peer.name + "\n";
  text += line("PublicKey", to_string(peer.public_key));
  if (peer.preshared_key) text += line("PresharedKey", reveal(*peer.preshared_key));
  if (!peer.allowed_ips.empty()) text += line("AllowedIPs", list_of(peer.allowed_ips));
  if (peer.endpoint) text += line("Endpoint", to_string(*peer.endpoint));
  if (peer.persistent_keepalive.count() != 0)
    text += line("PersistentKeepalive", std::to_string(peer.persistent_keepalive.count()));
  return text;
}

std::string export_interface(const Interface& interface, ExportFormat format) {
  std::string text = "[Interface]\n";
  if (interface.private_key) text += line("PrivateKey", reveal(*interface.private_key));
  if (interface.listen_port != kAnyPort)
    text += line("ListenPort", std::to_string(number_of(interface.listen_port)));
  if (interface.fwmark != 0) text += line("FwMark", std::to_string(interface.fwmark));
  if (format == ExportFormat::kWgQuick) text += wg_quick_lines(interface);
  return text;
}

}  // namespace wg::config
