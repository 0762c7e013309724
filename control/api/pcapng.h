// Blocks of a pcapng file (draft-ietf-opsawg-pcapng), in the byte order of this machine. Only what captures
// need.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "dataplane/base/clocks.h"

namespace wg::control::pcapng {

inline constexpr std::uint32_t kSectionHeader = 0x0a0d0d0a, kInterface = 1, kStatistics = 5, kPacket = 6,
                               kSecrets = 10;
inline constexpr std::uint16_t kLinkEthernet = 1, kLinkRawIp = 101;
inline constexpr std::uint16_t kOptionComment = 1;

// `comment`: of the whole file.
std::string section_header(std::string_view application, std::string_view comment);
std::string interface_block(std::uint16_t link, std::string_view name, std::string_view description);

struct PacketBlock {
  std::uint32_t interface = 0;  // index of its interface block in the section
  WallTime at{};
  std::uint32_t length = 0;  // of the packet; `bytes` may be fewer
  std::span<const std::uint8_t> bytes;
  bool leaving = false;  // the direction: out of this machine
  std::uint64_t id = 0;  // equal for what is the same packet at different places
  std::string comment;   // empty: none
};
std::string packet_block(const PacketBlock& packet);
// `lines`: a key log as Wireshark's dissector of WireGuard reads it.
std::string wireguard_secrets_block(std::string_view lines);
// `lost`: packets that were not recorded because the ring was full.
std::string statistics_block(std::uint32_t interface, WallTime at, std::uint64_t captured,
                             std::uint64_t lost);

// The first block of `text`: its type and length in bytes. nullopt: it is not complete.
struct BlockHead {
  std::uint32_t type = 0;
  std::size_t length = 0;
};
std::optional<BlockHead> first_block(std::string_view text);
// The comment of a packet block of ours; empty: none.
std::string_view comment_of(std::string_view packet_block);
// The content of a statistics block that we wrote.
struct Statistics {
  std::uint64_t captured = 0, lost = 0;
};
Statistics statistics_of(std::string_view statistics_block);

}  // namespace wg::control::pcapng
