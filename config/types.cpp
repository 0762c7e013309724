#include "config/types.h"

#include <algorithm>
#include <array>
#include <utility>

namespace wg::config {

std::string cite(const Gateway& gateway, const Position& at) {
  if (!at.known() || at.file >= gateway.sources.files.size()) return {};
  return gateway.sources.files[at.file] + ":" + std::to_string(at.line) + ":" + std::to_string(at.column);
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

std::string_view to_string(Hugepages value) {
  constexpr std::array<std::string_view, 3> kNames{"auto", "require", "off"};
  return kNames.at(static_cast<std::size_t>(value));
}

std::string_view to_string(IdleMode value) {
  return value == IdleMode::kSpin ? "spin" : "adaptive";
}

std::string_view to_string(Forwarding value) {
  return value == Forwarding::kKernel ? "kernel" : "short_cut";
}

std::string_view to_string(Routes value) {
  return value == Routes::kOff ? "off" : "auto";
}

std::string_view to_string(Dscp value) {
  return value == Dscp::kCopy ? "copy" : "zero";
}

std::string_view to_string(LogLevel value) {
  constexpr std::array<std::string_view, 6> kNames{"off", "error", "warn", "info", "debug", "trace"};
  return kNames.at(static_cast<std::size_t>(value));
}

std::string_view to_string(LogFormat value) {
  return value == LogFormat::kJson ? "json" : "text";
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
