#include "control/api/pcapng.h"

#include <bit>
#include <cstring>

namespace wg::control::pcapng {
namespace {

// Options of each kind of block.
constexpr std::uint16_t kEnd = 0, kApplication = 4;                    // of a section, shb_userappl
constexpr std::uint16_t kName = 2, kDescription = 3, kResolution = 9;  // if_name, if_description, if_tsresol
constexpr std::uint16_t kFlags = 2, kPacketId = 5;                     // epb_flags, epb_packetid
constexpr std::uint16_t kReceivedCount = 4, kDropCount = 5;            // isb_ifrecv, isb_ifdrop
constexpr std::uint32_t kInbound = 1, kOutbound = 2;
constexpr std::uint32_t kByteOrder = 0x1a2b3c4d;
constexpr char kNanoseconds = 9;  // ten to the power of minus
constexpr std::size_t kHead = 8, kTail = 4, kOptionHead = 4, kPacketHead = 28, kStatisticsHead = 20;

std::size_t padded(std::size_t size) {
  return (size + 3) & ~std::size_t{3};
}

template <typename Value>
void put(std::string& to, Value value) {
  to.append(reinterpret_cast<const char*>(&value), sizeof value);
}

template <typename Value>
Value get(std::string_view text, std::size_t at) {
  Value value{};
  if (at + sizeof value <= text.size()) std::memcpy(&value, text.data() + at, sizeof value);
  return value;
}

void put_padded(std::string& to, std::string_view bytes) {
  to += bytes;
  to.append(padded(bytes.size()) - bytes.size(), '\0');
}

void option(std::string& to, std::uint16_t code, std::string_view value) {
  constexpr std::size_t kLongest = 65535;
  value = value.substr(0, kLongest);
  put(to, code);
  put(to, static_cast<std::uint16_t>(value.size()));
  put_padded(to, value);
}

template <typename Value>
void option_of(std::string& to, std::uint16_t code, Value value) {
  option(to, code, {reinterpret_cast<const char*>(&value), sizeof value});
}

void text_option(std::string& to, std::uint16_t code, std::string_view value) {
  if (!value.empty()) option(to, code, value);
}

void put_time(std::string& to, WallTime at) {
  const auto unix_ns = static_cast<std::uint64_t>(at.time_since_epoch().count());
  put(to, static_cast<std::uint32_t>(unix_ns >> 32));
  put(to, static_cast<std::uint32_t>(unix_ns));
}

std::string block(std::uint32_t type, const std::string& body) {
  const auto length = static_cast<std::uint32_t>(kHead + body.size() + kTail);
  std::string out;
  out.reserve(length);
  put(out, type);
  put(out, length);
  out += body;
  put(out, length);
  return out;
}

// The value of an option; `at`: where the options of a block begin.
std::string_view find_option(std::string_view block, std::size_t at, std::uint16_t wanted) {
  while (at + kOptionHead + kTail <= block.size()) {
    const auto code = get<std::uint16_t>(block, at);
    const std::size_t size = get<std::uint16_t>(block, at + 2);
    if (code == kEnd || at + kOptionHead + size + kTail > block.size()) break;
    if (code == wanted) return block.substr(at + kOptionHead, size);
    at += kOptionHead + padded(size);
  }
  return {};
}

}  // namespace

std::string section_header(std::string_view application, std::string_view comment) {
  std::string body;
  put(body, kByteOrder);
  put(body, std::uint16_t{1});  // version 1.0
  put(body, std::uint16_t{0});
  put(body, ~std::uint64_t{0});  // the section's length is not known
  text_option(body, kOptionComment, comment);
  text_option(body, kApplication, application);
  option(body, kEnd, {});
  return block(kSectionHeader, body);
}

std::string interface_block(std::uint16_t link, std::string_view name, std::string_view description) {
  std::string body;
  put(body, link);
  put(body, std::uint16_t{0});
  put(body, std::uint32_t{0});  // no limit on a packet's bytes
  text_option(body, kName, name);
  text_option(body, kDescription, description);
  option_of(body, kResolution, kNanoseconds);
  option(body, kEnd, {});
  return block(kInterface, body);
}

std::string packet_block(const PacketBlock& packet) {
  std::string body;
  put(body, packet.interface);
  put_time(body, packet.at);
  put(body, static_cast<std::uint32_t>(packet.bytes.size()));
  put(body, packet.length);
  put_padded(body, {reinterpret_cast<const char*>(packet.bytes.data()), packet.bytes.size()});
  text_option(body, kOptionComment, packet.comment);
  option_of(body, kFlags, packet.leaving ? kOutbound : kInbound);
  option_of(body, kPacketId, packet.id);
  option(body, kEnd, {});
  return block(kPacket, body);
}

std::string wireguard_secrets_block(std::string_view lines) {
  constexpr std::uint32_t kWireGuardKeyLog = 0x57474b4c;  // "WGKL"
  std::string body;
  put(body, kWireGuardKeyLog);
  put(body, static_cast<std::uint32_t>(lines.size()));
  put_padded(body, lines);
  return block(kSecrets, body);
}

std::string statistics_block(std::uint32_t interface, WallTime at, std::uint64_t captured,
                             std::uint64_t lost) {
  std::string body;
  put(body, interface);
  put_time(body, at);
  option_of(body, kReceivedCount, captured);
  option_of(body, kDropCount, lost);
  option(body, kEnd, {});
  return block(kStatistics, body);
}

std::optional<BlockHead> first_block(std::string_view text) {
  const BlockHead head{get<std::uint32_t>(text, 0), get<std::uint32_t>(text, 4)};
  if (head.length < kHead + kTail || head.length > text.size()) return std::nullopt;
  return head;
}

std::string_view comment_of(std::string_view packet_block) {
  const std::size_t captured = get<std::uint32_t>(packet_block, 20);
  return find_option(packet_block, kPacketHead + padded(captured), kOptionComment);
}

Statistics statistics_of(std::string_view statistics_block) {
  return {get<std::uint64_t>(find_option(statistics_block, kStatisticsHead, kReceivedCount), 0),
          get<std::uint64_t>(find_option(statistics_block, kStatisticsHead, kDropCount), 0)};
}

}  // namespace wg::control::pcapng
