// Records that workers write about watched packets, and the mark by which a packet carries its identity
// from stage to stage. docs/seeing.md describes both from the outside.
#pragma once

#include <cstddef>
#include <cstdint>

#include "dataplane/drop_reason.h"

namespace wg::dataplane {

// Where on its way a packet was noted, in the order of its life: X(name, words of a trace).
#define LINEGATE_WATCH_POINTS(X)                                                     \
  X(received, "received from a port")                                                \
  X(from_linux, "sent by Linux")                                                     \
  X(from_program, "sent by the program that is the inner side of its interface")     \
  X(from_control, "from the control thread: it waited for a session, or is its own") \
  X(session, "its receiver index belongs to a session")                              \
  X(opened, "the tag is good, the counter is new, the inner source is allowed")      \
  X(routed, "the route of its destination")                                          \
  X(sending, "its peer, session and counter")                                        \
  X(transmitted, "handed to a port")                                                 \
  X(to_linux, "given to Linux by the exception path")                                \
  X(to_program, "given to the program that is the inner side of its interface")      \
  X(to_kernel_socket, "sealed, for the kernel's UDP socket")                         \
  X(handshake, "a handshake message, for the control thread")                        \
  X(staged, "no session: it waits with the control thread")                          \
  X(keepalive, "a keepalive: nothing inside")                                        \
  X(dropped, "dropped")

enum class WatchPoint : std::uint8_t {
#define LINEGATE_ENUM(name, words) name,
  LINEGATE_WATCH_POINTS(LINEGATE_ENUM)
#undef LINEGATE_ENUM
      count_
};
inline constexpr std::size_t kWatchPoints = static_cast<std::size_t>(WatchPoint::count_);
inline constexpr const char* kWatchPointNames[kWatchPoints] = {
#define LINEGATE_NAME(name, words) #name,
    LINEGATE_WATCH_POINTS(LINEGATE_NAME)
#undef LINEGATE_NAME
};
inline constexpr const char* kWatchPointWords[kWatchPoints] = {
#define LINEGATE_WORDS(name, words) words,
    LINEGATE_WATCH_POINTS(LINEGATE_WORDS)
#undef LINEGATE_WORDS
};
// A set of them.
[[nodiscard]] constexpr std::uint32_t bit_of(WatchPoint point) noexcept {
  return std::uint32_t{1} << static_cast<unsigned>(point);
}

// The begin of a packet's bytes.
enum class WatchLink : std::uint8_t { kNone, kEthernet, kIp };

// The decision of the route stage. Parallel to Route's own kinds.
enum class WatchRoute : std::uint8_t { kInterface, kPort, kLinux, kHairpinOff, kBlackhole };

inline constexpr std::uint16_t kNowhere = 0xffff;

// The head of a record; `captured` bytes of the packet follow, then padding to 8 bytes.
struct WatchRecord {
  std::uint32_t size = 0;      // of the whole record
  std::uint16_t captured = 0;  // bytes of the packet that follow
  std::uint16_t length = 0;    // of the packet
  std::uint64_t id = 0;        // equal for all records of a packet
  std::uint64_t tsc = 0;
  std::uint64_t counter = 0;       // session, opened, sending: the message's
  std::uint32_t peer = 0;          // slot; 0xffffffff: not known
  std::uint32_t session = 0;       // our receiver index; 0: not known
  std::uint32_t age_ms = 0;        // session, sending: of the session
  std::uint16_t where = kNowhere;  // kEthernet: the port; kIp: the interface
  std::uint16_t to = kNowhere;     // routed: the port or interface; sending: the port, kNowhere: no port
  std::uint16_t mtu = 0;           // routed: the least on the way
  WatchPoint point = WatchPoint::received;
  WatchLink link = WatchLink::kNone;
  DropReason reason = DropReason::count_;  // dropped
  WatchRoute route = WatchRoute::kLinux;   // routed
  std::uint8_t worker = 0;
  bool leaving = false;  // the direction: out of the gateway
  std::uint8_t unused[8] = {};
};
static_assert(sizeof(WatchRecord) == 64);

// In each packet buffer, written while a watch runs. W, R: the worker that holds the packet.
struct WatchMark {
  std::uint64_t id;            // see watch_id()
  std::uint32_t peer;          // slot; 0xffffffff: not known
  std::uint32_t session;       // our receiver index; 0: not known
  std::uint16_t inner_offset;  // of the inner packet from the buffer's begin; 0: not known
  std::uint16_t inner_length;  // of kIp: the packet's; of kEthernet: with padding
  std::uint16_t where;         // kEthernet: the port; kIp: the interface
  WatchLink link;              // what the packet is at present
  std::uint8_t chosen;         // bit i: watch i has chosen it
};
static_assert(sizeof(WatchMark) == 24);

// Which watching it belongs to, who named it, and which packet it is. `generation` tells apart marks that an
// earlier watching left in a buffer.
[[nodiscard]] constexpr std::uint64_t watch_id(std::uint16_t generation, std::uint16_t worker,
                                               std::uint64_t number) noexcept {
  constexpr unsigned kNumberBits = 36, kWorkerBits = 12;
  return std::uint64_t{generation} << (kNumberBits + kWorkerBits) |
         (std::uint64_t{worker} & ((1u << kWorkerBits) - 1)) << kNumberBits |
         (number & ((std::uint64_t{1} << kNumberBits) - 1));
}
[[nodiscard]] constexpr std::uint16_t watch_generation(std::uint64_t id) noexcept {
  return static_cast<std::uint16_t>(id >> 48);
}

}  // namespace wg::dataplane
