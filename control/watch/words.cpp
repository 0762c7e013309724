#include "control/watch/words.h"

#include <array>
#include <cstdio>

#include "dataplane/packet/address.h"
#include "dataplane/packet/headers.h"

namespace wg::control {

using dataplane::WatchLink;
using dataplane::WatchPoint;
using dataplane::WatchRecord;
using dataplane::WatchRoute;
using Packet = std::span<const std::uint8_t>;

namespace {

namespace headers = dataplane;

std::string hex(std::uint32_t value, const char* format) {
  std::array<char, 16> text;
  std::snprintf(text.data(), text.size(), format, value);
  return text.data();
}

const char* name_of_protocol(std::uint8_t protocol) {
  switch (protocol) {
    case headers::ip_protocol::kTcp:
      return "TCP";
    case headers::ip_protocol::kUdp:
      return "UDP";
    case headers::ip_protocol::kIcmp4:
      return "ICMP";
    case headers::ip_protocol::kIcmp6:
      return "ICMPv6";
    default:
      return nullptr;
  }
}

// An IP header as far as it was captured.
struct IpFacts {
  headers::IpAddress source, destination;
  std::uint8_t protocol = 0;
  bool fragment = false;  // not the first: no ports
  std::size_t header = 0;
};

IpFacts read_v4(Packet ip) {
  const auto& header = *headers::header_at<headers::Ipv4Header>(ip.data());
  return {headers::IpAddress::from_v4(header.source.data()),
          headers::IpAddress::from_v4(header.destination.data()), header.protocol,
          (header.fragment.value() & headers::Ipv4Header::kOffsetMask) != 0,
          std::size_t{4} * (header.version_ihl & 15)};
}

IpFacts read_v6(Packet ip) {
  const auto& header = *headers::header_at<headers::Ipv6Header>(ip.data());
  return {headers::IpAddress::from_v6(header.source.data()),
          headers::IpAddress::from_v6(header.destination.data()), header.next_header, false,
          headers::kIpv6HeaderSize};
}

std::string end_of(const headers::IpAddress& address, Packet ports, std::size_t at) {
  const std::string text = headers::to_string(address);
  if (ports.size() < at + 2) return text;
  const auto port = std::to_string(ports[at] << 8 | ports[at + 1]);
  return (address.v6 ? "[" + text + "]" : text) + ":" + port;
}

std::string summary_of_ip(Packet ip) {
  const unsigned version = ip.empty() ? 0 : ip[0] >> 4;
  const bool whole = (version == 4 && ip.size() >= headers::kIpv4HeaderSize) ||
                     (version == 6 && ip.size() >= headers::kIpv6HeaderSize);
  if (!whole) return ip.empty() ? "empty" : "not IP";
  const IpFacts facts = version == 4 ? read_v4(ip) : read_v6(ip);
  const bool has_ports = !facts.fragment && (facts.protocol == headers::ip_protocol::kTcp ||
                                             facts.protocol == headers::ip_protocol::kUdp);
  const Packet ports = has_ports && ip.size() > facts.header ? ip.subspan(facts.header) : Packet{};
  const char* name = name_of_protocol(facts.protocol);
  return end_of(facts.source, ports, 0) + " > " + end_of(facts.destination, ports, 2) + ", " +
         (name != nullptr ? name : "protocol " + std::to_string(facts.protocol));
}

std::string summary_of_frame(Packet frame) {
  constexpr std::uint16_t kVlan = 0x8100, kArp = 0x0806;
  std::size_t at = headers::kEthernetHeaderSize;
  if (frame.size() < at) return "shorter than an Ethernet header";
  auto type = static_cast<std::uint16_t>(frame[at - 2] << 8 | frame[at - 1]);
  std::string tag;
  if (type == kVlan && frame.size() >= at + headers::kVlanTagSize) {
    tag = "VLAN " + std::to_string((frame[at] << 8 | frame[at + 1]) & 0xfff) + ", ";
    at += headers::kVlanTagSize;
    type = static_cast<std::uint16_t>(frame[at - 2] << 8 | frame[at - 1]);
  }
  if (type == headers::ether_type::kIpv4 || type == headers::ether_type::kIpv6)
    return tag + summary_of_ip(frame.subspan(at));
  return tag + (type == kArp ? "ARP" : "Ethernet type " + hex(type, "0x%04x"));
}

std::string peer_or_unknown(const WatchRecord& record, const WatchNames& names) {
  const std::string peer = names.peer(record.peer);
  return peer.empty() ? "a peer that is gone" : peer;
}

std::string session_of(const WatchRecord& record, const WatchNames& names) {
  return peer_or_unknown(record, names) + ", session " + hex(record.session, "%08x") + ", " +
         std::to_string(record.age_ms / 1000) + " s old, counter " + std::to_string(record.counter);
}

std::string route_words(const WatchRecord& record, const WatchNames& names) {
  switch (record.route) {
    case WatchRoute::kInterface:
      return "to interface " + names.interface(record.to) + ", MTU " + std::to_string(record.mtu);
    case WatchRoute::kPort:
      return "to port " + names.port(record.to) + ", MTU " + std::to_string(record.mtu);
    case WatchRoute::kLinux:
      return "Linux decides: no short cut";
    case WatchRoute::kHairpinOff:
      return "back into " + names.interface(record.to) + ", where hairpin is off";
    case WatchRoute::kBlackhole:
      return "a blackhole route";
  }
  return {};
}

}  // namespace

std::string summary_of(WatchLink link, Packet bytes, std::size_t length) {
  const std::string what = link == WatchLink::kEthernet ? summary_of_frame(bytes) : summary_of_ip(bytes);
  return what + ", " + std::to_string(length) + " bytes";
}

std::string words_of(dataplane::DropReason reason) {
  const auto index = static_cast<std::size_t>(reason);
  return std::string(dataplane::kDropNames[index]) + ": " + dataplane::kDropTexts[index];
}

std::string place_of(const WatchRecord& record, const WatchNames& names) {
  if (record.where == dataplane::kNowhere) return "linux";
  return record.link == WatchLink::kEthernet ? names.port(record.where) : names.interface(record.where);
}

std::string words_of(const WatchRecord& record, Packet bytes, const WatchNames& names) {
  const auto packet = [&] { return summary_of(record.link, bytes, record.length); };
  switch (record.point) {
    case WatchPoint::received:
    case WatchPoint::from_linux:
    case WatchPoint::from_program:
    case WatchPoint::from_control:
    case WatchPoint::transmitted:
      return place_of(record, names) + ": " + packet();
    case WatchPoint::session:
      return session_of(record, names);
    case WatchPoint::opened:
      return place_of(record, names) + ": " + packet() + "; good";
    case WatchPoint::routed:
      return route_words(record, names);
    case WatchPoint::sending:
      return session_of(record, names) +
             (record.to == dataplane::kNowhere ? ", by Linux" : ", by " + names.port(record.to));
    case WatchPoint::dropped:
      return words_of(record.reason);
    default:
      return dataplane::kWatchPointWords[static_cast<std::size_t>(record.point)];
  }
}

std::string comment_of(const WatchRecord& record, const WatchNames& names) {
  std::string text = names.peer(record.peer);
  const auto add = [&text](const std::string& more) { text += (text.empty() ? "" : ", ") + more; };
  if (record.session != 0) add("session " + hex(record.session, "%08x"));
  if (record.point == WatchPoint::opened || record.point == WatchPoint::sending)
    add("counter " + std::to_string(record.counter));
  if (record.point == WatchPoint::dropped) add("dropped: " + words_of(record.reason));
  return text;
}

}  // namespace wg::control
