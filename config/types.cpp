#include "config/types.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

#include "config/yaml_tree.h"

namespace wg::config {

std::string cite(const Gateway& gateway, const Position& at) {
  if (!at.known() || at.file >= gateway.sources.files.size()) return {};
  return gateway.sources.files[at.file] + ":" + std::to_string(at.line) + ":" + std::to_string(at.column);
}

Position Marks::of(std::string_view key) const {
  const auto at =
      std::find_if(keys_.begin(), keys_.end(), [key](const auto& entry) { return entry.first == key; });
  return at == keys_.end() ? Position{} : at->second;
}

std::string wire_of(const Device& device) {
  if (device.kind == DeviceKind::kLinux) return linux_interface(device);
  const std::string_view text = device.text;
  if (!text.starts_with("net_af_") && !text.starts_with("eth_af_")) return {};
  constexpr std::string_view kKey = ",iface=";
  const auto at = text.find(kKey);
  if (at == std::string_view::npos) return {};
  const std::string_view value = text.substr(at + kKey.size());
  return std::string(value.substr(0, value.find(',')));
}

bool is_interface_name(std::string_view name) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("_=+.-").find(c) != std::string_view::npos;
  };
  return !name.empty() && name.size() <= 15 && name != "." && name != ".." &&
         std::all_of(name.begin(), name.end(), allowed);
}

bool is_peer_name(std::string_view name) {
  constexpr std::size_t kMostCharacters = 64;
  const auto control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  const auto starts_character = [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; };
  const auto characters = std::count_if(name.begin(), name.end(), starts_character);
  return characters > 0 && static_cast<std::size_t>(characters) <= kMostCharacters &&
         std::none_of(name.begin(), name.end(), control) && is_yaml_text(name);
}

std::string label_of(const Peer& peer) {
  return peer.name.empty() ? to_string(peer.public_key) : peer.name;
}

std::vector<Prefix> ownerless_prefixes(const Interface& interface) {
  std::vector<Prefix> ownerless;
  if (interface.on_loss == OnLoss::kWithdraw || interface.routes == Routes::kOff) return ownerless;
  ownerless = interface.kept;
  for (const Peer& peer : interface.peers)
    if (!peer.enabled) ownerless.insert(ownerless.end(), peer.allowed_ips.begin(), peer.allowed_ips.end());
  if (ownerless.empty()) return ownerless;
  std::sort(ownerless.begin(), ownerless.end());
  ownerless.erase(std::unique(ownerless.begin(), ownerless.end()), ownerless.end());
  std::vector<Prefix> owned;
  for (const Peer& peer : interface.peers) {
    if (!peer.enabled) continue;
    std::copy_if(peer.allowed_ips.begin(), peer.allowed_ips.end(), std::back_inserter(owned),
                 [&](const Prefix& p) { return std::binary_search(ownerless.begin(), ownerless.end(), p); });
  }
  std::sort(owned.begin(), owned.end());
  std::erase_if(ownerless,
                [&](const Prefix& prefix) { return std::binary_search(owned.begin(), owned.end(), prefix); });
  return ownerless;
}

bool uses_port_to_port(const Gateway& gateway) {
  return std::any_of(gateway.ports.begin(), gateway.ports.end(),
                     [](const auto& entry) { return entry.second.port_to_port; });
}

bool uses_short_cut(const Gateway& gateway) {
  return uses_port_to_port(gateway) ||
         std::any_of(gateway.interfaces.begin(), gateway.interfaces.end(),
                     [](const auto& entry) { return entry.second.forwarding == Forwarding::kShortCut; });
}

std::string to_string(const PortGateway& gateway) {
  const std::string address = to_string(gateway.address);
  return gateway.metric == 0 ? address : address + " metric " + std::to_string(gateway.metric);
}

std::string to_string(const MssClamp& value) {
  if (value.mode == MssClamp::Mode::kFixed) return std::to_string(value.value);
  return value.mode == MssClamp::Mode::kOff ? "off" : "auto";
}

std::string to_string(const MetricsListen& value) {
  return to_string(Endpoint{value.address, {}, UdpPort{value.port}});
}

std::string to_string(const Size& value) {
  constexpr std::array<std::pair<unsigned, char>, 3> kUnits{{{30, 'G'}, {20, 'M'}, {10, 'K'}}};
  for (const auto& [shift, letter] : kUnits) {
    const std::uint64_t unit = 1ULL << shift;
    if (value.bytes != 0 && value.bytes % unit == 0) return std::to_string(value.bytes >> shift) + letter;
  }
  return std::to_string(value.bytes);
}

}  // namespace wg::config
