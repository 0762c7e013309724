// The workers' records of a packet, in words. Pure: names come from the caller.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "dataplane/watch/record.h"

namespace wg::control {

struct WatchNames {
  std::function<std::string(std::uint16_t)> port, interface;  // by index and by id
  std::function<std::string(std::uint32_t)> peer;             // by slot; empty: not known
};

// "198.51.100.7:51820 > 203.0.113.10:51820, UDP, 1452 bytes". `bytes` may be fewer than `length`.
std::string summary_of(dataplane::WatchLink link, std::span<const std::uint8_t> bytes, std::size_t length);
// One step of a trace, without the name of its point.
std::string words_of(const dataplane::WatchRecord& record, std::span<const std::uint8_t> bytes,
                     const WatchNames& names);
// "disallowed_source: inner source belongs to …", of the list of drop reasons.
std::string words_of(dataplane::DropReason reason);
// For a packet of a capture: "alice, session 7f3a91c2, counter 88121". Empty: nothing is known.
std::string comment_of(const dataplane::WatchRecord& record, const WatchNames& names);
// Where a record's packet lies: a port's name, an interface's; "linux" for a frame of no port.
std::string place_of(const dataplane::WatchRecord& record, const WatchNames& names);

}  // namespace wg::control
