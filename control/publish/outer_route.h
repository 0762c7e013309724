// How sealed packets for an endpoint leave the box, and their headers.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "control/kernel/types.h"
#include "control/publish/next_hop_key.h"
#include "dataplane/packet/path.h"

namespace wg::control {

struct OuterRoute {
  // kLoop: through the very interface whose packets these are.
  enum class Kind : std::uint8_t { kPort, kKernel, kLoop, kNone };
  Kind kind = Kind::kNone;
  dataplane::PortIndex port{};  // index; Kind::kPort
  NextHopKey next_hop;          // what to watch
  std::uint32_t link = 0;       // by which it leaves; 0: none, or the kernel decides
  bool unresolved = false;      // a port leads there, but the neighbour's MAC is unknown
  IpAddress source;             // what the kernel would choose
  std::uint16_t mtu = 1500;
  MacAddress destination_mac{}, source_mac{};
  std::optional<std::uint16_t> vlan;  // tag of the VLAN device on top of the port
};

// With the headers of sealed packets from `local` to `remote` on that route.
[[nodiscard]] std::unique_ptr<dataplane::Path> make_path(const OuterRoute& route, const Endpoint& remote,
                                                         const Endpoint& local, std::uint8_t tos);

// Writes Ethernet [VLAN] with the EtherType of `v6`; returns its length.
std::uint8_t write_ethernet(std::uint8_t* out, const MacAddress& to, const MacAddress& from,
                            const std::optional<std::uint16_t>& vlan, bool v6);

}  // namespace wg::control
