// What stages hand to each other: bursts as structures of arrays, values without a policy. Letters beside a
// field say behind which stage it is valid.
#pragma once

#include <array>
#include <bit>
#include <cassert>
#include <cstddef>
#include <cstdint>

#include "dataplane/base/ids.h"
#include "dataplane/core/burst_size.h"
#include "dataplane/crypto/aead.h"
#include "dataplane/packet/headers.h"

struct rte_mbuf;

namespace wg::dataplane {

struct Keypair;
struct Path;
struct Peer;

// Where an inner packet came from; decides TTL, ICMP and the way to the kernel.
enum class From : std::uint16_t { kTunnel, kPort, kKernel };
struct PacketOrigin {
  From from;
  std::uint16_t id;          // see port() and interface()
  InterfaceId interface_id;  // the WireGuard interface that sends
  std::uint16_t l2_length;   // From::kPort: bytes of the Ethernet header still in front of the packet

  [[nodiscard]] static PacketOrigin at_port(PortIndex port, std::uint16_t l2_length) noexcept {
    return {From::kPort, number_of(port), {}, l2_length};
  }
  // What left a tunnel, or what Linux sends into it.
  [[nodiscard]] static PacketOrigin at_interface(From from, InterfaceId id) noexcept {
    return {from, number_of(id), id, 0};
  }
  [[nodiscard]] PortIndex port() const noexcept { return PortIndex{id}; }           // From::kPort
  [[nodiscard]] InterfaceId interface() const noexcept { return InterfaceId{id}; }  // otherwise
  // In one piece: neighbours in a burst are compared and copied often.
  [[nodiscard]] friend bool operator==(const PacketOrigin& a, const PacketOrigin& b) noexcept {
    return std::bit_cast<std::uint64_t>(a) == std::bit_cast<std::uint64_t>(b);
  }
};
static_assert(sizeof(PacketOrigin) == sizeof(std::uint64_t));

// Transport data of one poll. Letters: C after classify, S after sessions, O after open.
struct DataBurst {
  std::size_t n = 0;
  std::array<rte_mbuf*, kBurst> packet;              // C: starts at Ethernet; O: starts at the plaintext
  std::array<const std::uint8_t*, kBurst> l3;        // C: outer IP header
  std::array<std::uint8_t*, kBurst> message;         // C: WireGuard header
  std::array<std::uint32_t, kBurst> message_length;  // C: with header and tag
  std::array<InterfaceId, kBurst> interface_id;      // C
  std::array<std::uint8_t, kBurst> outer_tos;        // C
  std::array<Keypair*, kBurst> keypair;              // S
  std::array<bool, kBurst> moved;                    // S: outer addresses differ from the peer's path
  std::array<crypto::AeadOp, kBurst> op;             // S; authentic: O

  [[nodiscard]] const TransportDataHeader& header(std::size_t i) const noexcept {
    return *header_at<TransportDataHeader>(message[i]);
  }
  [[nodiscard]] bool same_session(std::size_t a, std::size_t b) const noexcept {
    return keypair[a] == keypair[b] && interface_id[a] == interface_id[b] &&
           header(a).receiver.value() == header(b).receiver.value();
  }
  // Closes gaps that refused packets leave. Nearly always there are none.
  void move(std::size_t from, std::size_t to) noexcept {
    if (from == to) return;
    packet[to] = packet[from];
    l3[to] = l3[from];
    message[to] = message[from];
    message_length[to] = message_length[from];
    interface_id[to] = interface_id[from];
    outer_tos[to] = outer_tos[from];
    keypair[to] = keypair[from];
  }
  // Takes over `other`'s packets and what S says of them.
  void take(DataBurst& other) noexcept;
};

// Decrypted packets between open and the source check.
struct PlainBurst {
  std::size_t n = 0;
  std::array<rte_mbuf*, kBurst> packet;  // starts at the inner IP header, trimmed
  std::array<Peer*, kBurst> peer;
  std::array<InterfaceId, kBurst> interface_id;
  std::array<std::uint8_t*, kBurst> l3;      // the inner IP header
  std::array<std::uint16_t, kBurst> length;  // IP bytes
  std::array<const std::uint8_t*, kBurst> source;
  std::array<bool, kBurst> v6;
  std::array<std::uint32_t, kBurst> message_length;  // on the wire, for the peer's byte counter
};

// IP packets that want a route.
struct InnerBurst {
  std::size_t n = 0;
  std::size_t n6 = 0;  // of them IPv6
  std::array<rte_mbuf*, kBurst> packet;
  std::array<std::uint8_t*, kBurst> l3;            // the IP header
  std::array<std::uint16_t, kBurst> length;        // IP bytes
  std::array<PacketOrigin, kBurst> origin;         // its interface is not known yet
  std::array<std::uint32_t, kBurst> destination4;  // host order; IPv4 only
  std::array<bool, kBurst> v6;

  void push(rte_mbuf* ip_packet, std::uint8_t* ip, std::uint16_t ip_length, const PacketOrigin& from,
            bool is_v6) noexcept {
    const std::size_t i = n++;
    packet[i] = ip_packet;
    l3[i] = ip;
    length[i] = ip_length;
    origin[i] = from;
    destination4[i] = header_at<Be32>(header_at<Ipv4Header>(ip)->destination.data())->value();
    v6[i] = is_v6;
    n6 += is_v6 ? 1 : 0;
  }
  void move(std::size_t from, std::size_t to) noexcept {
    if (from == to) return;
    packet[to] = packet[from];
    l3[to] = l3[from];
    length[to] = length[from];
    origin[to] = origin[from];
    destination4[to] = destination4[from];
    v6[to] = v6[from];
  }
  void clear() noexcept { n = n6 = 0; }
};

// IP packets that a WireGuard interface will send.
struct SendBurst {
  std::size_t n = 0;
  std::size_t n6 = 0;                              // of them IPv6
  bool mixed = false;                              // several interfaces, or packets whose peer is given
  std::array<rte_mbuf*, kBurst> packet;            // starts at the inner IP header; null: refused
  std::array<std::uint8_t*, kBurst> l3;            // the inner IP header
  std::array<std::uint16_t, kBurst> length;        // IP bytes, 0: keepalive
  std::array<std::uint32_t, kBurst> destination4;  // host order; IPv4 only
  std::array<bool, kBurst> v6;
  std::array<PacketOrigin, kBurst> origin;
  std::array<Peer*, kBurst> peer;  // after cryptokey routing (or given: staged, keepalive)
  std::array<Keypair*, kBurst> keypair;
  std::array<const Path*, kBurst> path;
  // Ready to leave:
  std::array<std::uint16_t, kBurst> padded;  // IP bytes with padding
  std::array<std::uint64_t, kBurst> counter;
  std::array<std::uint8_t, kBurst> tos;
  std::array<crypto::AeadOp, kBurst> op;

  // `peer`: null when cryptokey routing decides.
  void push(rte_mbuf* ip_packet, std::uint8_t* ip, std::uint16_t ip_length, bool is_v6,
            std::uint32_t destination, const PacketOrigin& from, Peer* to) noexcept {
    assert(n < kBurst);  // a poll's packets and the answers they cause always fit
    const std::size_t i = n++;
    packet[i] = ip_packet;
    l3[i] = ip;
    length[i] = ip_length;
    v6[i] = is_v6;
    n6 += is_v6 ? 1 : 0;
    destination4[i] = destination;
    origin[i] = from;
    peer[i] = to;
    mixed = mixed || to != nullptr || from.interface_id != origin[0].interface_id;
  }
  // The same for a packet that starts at its IP header, or is empty (a keepalive).
  void push(rte_mbuf* ip_packet, const PacketOrigin& from, Peer* to = nullptr) noexcept;
  void move(std::size_t from, std::size_t to) noexcept {
    if (from == to) return;
    packet[to] = packet[from];
    l3[to] = l3[from];
    length[to] = length[from];
    v6[to] = v6[from];
    padded[to] = padded[from];
    peer[to] = peer[from];
    keypair[to] = keypair[from];
    path[to] = path[from];
  }
  void clear() noexcept {
    n = n6 = 0;
    mixed = false;
  }
  // Takes over `other`'s encapsulated packets.
  void take(SendBurst& other) noexcept;
};

struct OutQueue {
  std::size_t n = 0;
  std::array<rte_mbuf*, kBurst> packet;
};

// Traffic of a run of packets of one peer, so that its shared counters are touched once per run.
struct Tally {
  Peer* peer = nullptr;
  std::uint64_t bytes = 0, packets = 0;
  bool data = false;          // not keepalives alone
  std::uint8_t tos_mask = 0;  // sending: of the inner TOS, what the outer one copies
};

}  // namespace wg::dataplane
