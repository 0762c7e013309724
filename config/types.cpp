#include "config/types.h"

#include <algorithm>
#include <array>
#include <utility>

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

bool is_interface_name(std::string_view name) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("_=+.-").find(c) != std::string_view::npos;
  };
  return !name.empty() && name.size() <= 15 && name != "." && name != ".." &&
         std::all_of(name.begin(), name.end(), allowed);
}

std::string label_of(const Peer& peer) {
  return peer.name.empty() ? to_string(peer.public_key) : peer.name;
}

std::string to_string(const MssClamp& value) {
  if (value.mode == MssClamp::Mode::kFixed) return std::to_string(value.value);
  return value.mode == MssClamp::Mode::kOff ? "off" : "auto";
}

std::string to_string(const MetricsListen& value) {
  return to_string(Endpoint{value.address, {}, value.port});
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
