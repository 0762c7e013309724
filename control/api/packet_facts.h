// A packet that does not exist, and all that decides what would happen to it. Facts without a verdict:
// explain_packet.h draws the conclusion.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/address.h"
#include "control/api/status.h"

namespace wg::control {

inline constexpr const char* kFromLinux = "linux";  // PacketQuery::from, of a packet that this machine sends

struct PacketQuery {
  std::string from;  // a port; a WireGuard interface, of which a peer sent it; or kFromLinux
  std::string peer;  // who sent it, by name or key; empty: whose the source is
  config::Address source, destination;
  std::uint8_t protocol = 0;                                    // of the IP header; 0: not said
  UdpPort source_port = kAnyPort, destination_port = kAnyPort;  // kAnyPort: not said
  std::uint16_t size = 84;                                      // bytes, with the IP header; 84: a ping's
  std::uint8_t ttl = 64;
  std::optional<std::uint16_t> vlan;  // of the frame; nullopt: as the port's own addresses have
};

// A connection that the packet may belong to.
struct PacketConnection {
  std::string words;      // "tcp 10.10.0.2:40000 -> 203.0.113.7:443"
  std::string why_linux;  // empty: workers carry it
  std::string remedy;     // against that
};

struct PacketConnections {
  bool exact = false;  // the packet names one connection, which connection tracking was asked about
  std::vector<PacketConnection> named;  // some of them, those with Linux first
  std::size_t carried = 0, with_linux = 0;
  bool complete = true;  // all were looked at
};

// How an interface would send to the peer that has the destination in its allowed IPs.
struct PacketSending {
  std::string interface;
  bool program = false;     // its inner side is a program, so Linux has no business there
  bool host = false;        // the destination is an address of the program behind it
  std::string peer;         // label; empty: none has the destination
  std::string peer_prefix;  // the allowed IP
  bool active = false;      // there is a session to send with
  std::uint16_t mtu = 0;    // inner bytes that the peer takes, whatever the interface's MTU; 0: no limit
  std::string endpoint;     // empty: not known
  bool loop = false;        // the way to the endpoint leads into the very interface
  bool routed = true;       // there is a way to the endpoint
  std::string port;         // by which it leaves; empty: by the kernel's socket
  bool port_live = true;
  std::string why_socket;        // why by the kernel's socket; empty when by a port
  std::uint16_t path_mtu = 0;    // of the link, IP bytes; 0: only the kernel knows
  std::uint32_t outer_size = 0;  // of the sealed packet, with its IP header
};

// The decision of the workers' route stage.
enum class PacketWay : std::uint8_t { kInterface, kPort, kLinux, kHairpinOff, kBlackhole };

struct PacketFacts {
  enum class From : std::uint8_t { kPort, kInterface, kLinux };
  PacketQuery packet;
  From from = From::kPort;
  // ---- from a port
  bool port_up = true;
  std::string vlan_refused;  // why frames of this VLAN are Linux's; empty: they are not
  bool source_is_ours = false, destination_is_ours = false;
  std::string listener;  // the interface that listens on its UDP port; empty: none
  bool listener_up = true;
  std::string endpoint_of;  // label of the listener's peer that is reached at its source; empty: none
  // ---- from a peer
  bool interface_up = true;
  bool program = false;         // the inner side is a program
  bool host = false;            // the source is an address of the program behind it
  std::string sender;           // label; empty: no peer may send from that source
  bool sender_active = false;   // it has a session
  std::string source_owner;     // label; empty: none
  std::string source_prefix;    // the allowed IP that has the source
  bool martian_source = false;  // our own, loopback, a group
  // ---- the route, of packets from a port or a peer
  bool flows = false;             // `forwarding: flows` where it comes from
  PacketConnections connections;  // for `flows` alone
  std::string not_forwarded;      // why the workers route nothing that comes from there; empty: they do
  bool special = false;           // an address that no router forwards from or to
  PacketWay way = PacketWay::kLinux;
  std::string to;         // the port or interface
  std::string next_hop;   // MAC address; kPort
  std::uint16_t mtu = 0;  // the least on the way; 0: no limit
  std::string why_linux;  // kLinux; may be empty
  // ---- Linux, in case that it decides
  std::string linux_refuses;  // "net.ipv4.conf.lan0.forwarding is 0"; empty: it forwards
  RouteFacts linux_route;
  std::uint32_t linux_mtu = 0;  // of that route; 0: no limit
  bool linux_unsure = false;    // Linux decides by more than was looked at
  // ---- the way into a tunnel: of `to`, or of Linux's route
  std::optional<PacketSending> sending;
};

}  // namespace wg::control
