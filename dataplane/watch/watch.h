// The watches and their filters. Immutable but for the rings; workers find it in the snapshot, so it starts
// and ends by publishing and is freed when every worker has let go.
#pragma once

#include <sys/types.h>

#include <pcap/bpf.h>  // uses the types above

#include <array>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "dataplane/session/peer.h"
#include "dataplane/watch/ring.h"

namespace wg::dataplane {

// A filter in tcpdump's language, compiled by control for packets that begin with Ethernet and for those that
// begin with IP. It is interpreted; jumps go forward alone, so its length bounds its time.
struct WatchFilter {
  bool everything = true;              // there is no filter
  std::vector<bpf_insn> ethernet, ip;  // empty: matches nothing

  [[nodiscard]] bool matches(WatchLink link, std::span<const std::uint8_t> packet) const noexcept {
    if (everything) return true;
    const std::vector<bpf_insn>& program = link == WatchLink::kEthernet ? ethernet : ip;
    const auto size = static_cast<unsigned>(packet.size());
    return link != WatchLink::kNone && !program.empty() &&
           bpf_filter(program.data(), packet.data(), size, size) != 0;
  }
};

inline constexpr PortIndex kNoPort{kNowhere};

struct Watch {
  // ---- which packets: what is set has to fit
  WatchFilter filter;  // the frame or the inner packet matches
  std::uint32_t peer = kNoPeer;
  InterfaceId interface_id = kNoInterface;
  PortIndex port = kNoPort;
  std::bitset<kDropReasons> reasons = std::bitset<kDropReasons>().set();  // which drops are recorded
  // ---- what of them
  std::uint32_t points = 0;                       // bit_of()
  std::uint16_t snap = 65535;                     // bytes of a packet at most
  std::uint8_t bit = 0;                           // of WatchMark::chosen
  std::vector<std::unique_ptr<WatchRing>> rings;  // one per worker

  [[nodiscard]] bool records(WatchPoint point) const noexcept { return (points & bit_of(point)) != 0; }
};

struct WatchSet {
  std::uint16_t generation = 0;
  int mark_offset = -1;  // of WatchMark in packet buffers
  std::vector<std::shared_ptr<const Watch>> watches;
};

}  // namespace wg::dataplane
