#include "tests/unit/dataplane/frame_difference.h"

#include <algorithm>
#include <cstdio>
#include <vector>

namespace wg::test {
namespace {

constexpr std::size_t kShown = 8;  // bytes of each frame

struct Layer {
  const char* name;
  std::size_t begin;
};

std::uint8_t at(const Octets& bytes, std::size_t offset) {
  return offset < bytes.size() ? bytes[offset] : std::uint8_t{0};
}

void add_udp(std::vector<Layer>& layers, const Octets& frame, std::size_t begin) {
  layers.push_back({"UDP", begin});
  const std::uint8_t type = at(frame, begin + 8);
  const bool reserved_zero =
      at(frame, begin + 9) == 0 && at(frame, begin + 10) == 0 && at(frame, begin + 11) == 0;
  layers.push_back({type >= 1 && type <= 4 && reserved_zero ? "WireGuard" : "UDP payload", begin + 8});
}

void add_transport(std::vector<Layer>& layers, const Octets& frame, std::size_t begin,
                   std::uint8_t protocol) {
  switch (protocol) {
    case 1:
      return layers.push_back({"ICMP", begin});
    case 6:
      return layers.push_back({"TCP", begin});
    case 17:
      return add_udp(layers, frame, begin);
    case 58:
      return layers.push_back({"ICMPv6", begin});
    default:
      return layers.push_back({"IP payload", begin});
  }
}

std::vector<Layer> layers_of(const Octets& frame) {
  std::vector<Layer> layers{{"Ethernet", 0}};
  std::size_t begin = 14;
  if (at(frame, 12) == 0x81 && at(frame, 13) == 0) {
    layers.push_back({"VLAN", begin});
    begin += 4;
  }
  if (at(frame, begin) >> 4 == 4) {
    layers.push_back({"IPv4", begin});
    add_transport(layers, frame, begin + (at(frame, begin) & 15) * std::size_t{4}, at(frame, begin + 9));
  } else if (at(frame, begin) >> 4 == 6) {
    layers.push_back({"IPv6", begin});
    add_transport(layers, frame, begin + 40, at(frame, begin + 6));
  } else {
    layers.push_back({"payload", begin});
  }
  return layers;
}

std::string shown(const Octets& frame, std::size_t from) {
  std::string out;
  for (std::size_t i = from; i < std::min(frame.size(), from + kShown); ++i) {
    char text[4];
    std::snprintf(text, sizeof text, " %02x", frame[i]);
    out += text;
  }
  return out.empty() ? " nothing" : out;
}

}  // namespace

std::string frame_difference(const Octets& wanted, const Octets& got) {
  if (wanted == got) return {};
  const std::size_t common = std::min(wanted.size(), got.size());
  std::size_t first = common, differ = std::max(wanted.size(), got.size()) - common;
  for (std::size_t i = common; i-- > 0;) {
    if (wanted[i] == got[i]) continue;
    first = i;
    ++differ;
  }
  Layer layer{};
  for (const Layer& candidate : layers_of(wanted)) {
    if (candidate.begin <= first) layer = candidate;
  }
  std::string out = std::string(layer.name) + " at " + std::to_string(first - layer.begin) + " (byte " +
                    std::to_string(first) + " of the frame): wanted" + shown(wanted, first) + ", got" +
                    shown(got, first) + "; " + std::to_string(differ) + " of " +
                    std::to_string(wanted.size()) + " bytes differ";
  if (wanted.size() != got.size()) out += "; got " + std::to_string(got.size()) + " bytes";
  return out;
}

}  // namespace wg::test
