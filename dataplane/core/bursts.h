// The bursts that stages hand to each other: structures of arrays, values without a policy. Letters beside a
// field say behind which stage it is valid.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "dataplane/base/ids.h"
#include "dataplane/core/burst_size.h"
#include "dataplane/crypto/aead.h"
#include "dataplane/packet/checksum_burst.h"
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
  // Inner packets: out of a tunnel, or from Linux into it.
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
// In one store: gcc would copy it field by field, packet by packet, and not find it in one piece behind them.
inline void store_origin(PacketOrigin* to, const PacketOrigin& origin) noexcept {
  const auto whole = std::bit_cast<std::uint64_t>(origin);
  std::memcpy(to, &whole, sizeof whole);
}

// The VLAN in which a packet came in by a port; its tag lies in front of the IP header. 0: none, or a
// priority alone (802.1Q).
inline std::uint16_t vlan_of(const PacketOrigin& origin, const std::uint8_t* l3) noexcept {
  const bool tagged = origin.l2_length == kEthernetHeaderSize + kVlanTagSize;
  return tagged ? header_at<VlanTag>(l3 - kVlanTagSize)->id() : 0;
}

// Transport data of one poll. Letters: C after classify, S after sessions, O after open.
struct DataBurst {
  std::size_t n = 0;
  std::array<rte_mbuf*, kBurst> packet;              // starts at Ethernet
  std::array<const std::uint8_t*, kBurst> l3;        // C: outer IP header
  std::array<std::uint8_t*, kBurst> message;         // C: WireGuard header
  std::array<std::uint32_t, kBurst> message_length;  // C: with header and tag
  std::array<InterfaceId, kBurst> interface_id;      // C
  std::array<std::uint8_t, kBurst> outer_tos;        // C
  std::array<Keypair*, kBurst> keypair;              // S
  std::array<bool, kBurst> moved;                    // S: outer addresses differ from the peer's path
  std::array<crypto::AeadOp, kBurst> op;             // S; authentic: O

  // C, of a message of an interface.
  void push(rte_mbuf* frame, const std::uint8_t* outer_ip, std::uint8_t* wireguard, std::uint32_t size,
            InterfaceId to_interface, std::uint8_t tos) noexcept {
    const std::size_t i = n++;
    packet[i] = frame;
    l3[i] = outer_ip;
    message[i] = wireguard;
    message_length[i] = size;
    interface_id[i] = to_interface;
    outer_tos[i] = tos;
  }
  [[nodiscard]] const TransportDataHeader& header(std::size_t i) const noexcept {
    return *header_at<TransportDataHeader>(message[i]);
  }
  // Packets [begin, end) are of one keypair.
  [[nodiscard]] std::size_t end_of_run(std::size_t begin) const noexcept {
    std::size_t end = begin + 1;
    while (end < n && keypair[end] == keypair[begin]) ++end;
    return end;
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

// IP packets that need a route. l3 and length say where they lie; the buffer of one out of a tunnel does not
// yet (extent.h).
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
    put(n++, ip_packet, ip, ip_length, from, is_v6);
    n6 += is_v6 ? 1 : 0;
  }
  // The same at a place of the caller's, who counts.
  void put(std::size_t i, rte_mbuf* ip_packet, std::uint8_t* ip, std::uint16_t ip_length,
           const PacketOrigin& from, bool is_v6) noexcept {
    packet[i] = ip_packet;
    l3[i] = ip;
    length[i] = ip_length;
    store_origin(&origin[i], from);
    destination4[i] = header_at<Be32>(header_at<Ipv4Header>(ip)->destination.data())->value();
    v6[i] = is_v6;
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
  // Closes the gaps that refused packets (null) have left from `first` on.
  void close_gaps(std::size_t first) noexcept;
  void clear() noexcept { n = n6 = 0; }
};

// The inputs of the source check beside an InnerBurst's packets, at the same places.
struct PlainBurst {
  // Packets of one peer behind each other.
  struct Run {
    Peer* peer;
    std::size_t begin, end;
  };
  std::size_t runs = 0;
  std::array<Run, kBurst> run;
  std::array<std::uint32_t, kBurst> source4;         // host order; IPv4 only
  std::array<std::uint32_t, kBurst> message_length;  // on the wire, for the peer's byte counter
};

// UDP checksums that are computed behind the seal: what they cover, and where they go.
struct UdpChecksums {
  std::size_t n = 0;
  std::array<ChecksumPiece, kBurst> piece;
  std::array<Be16*, kBurst> field;
};

// IP packets that a WireGuard interface will send. l3 and length say where they lie (extent.h).
struct SendBurst {
  // Packets behind each other of one peer: they leave with the same session by the same path.
  struct Run {
    Peer* peer;
    const Path* path;
    Keypair* keypair;
    std::uint64_t counter;  // of the first; the others follow
    std::uint32_t end;      // of its packets
    std::uint32_t bytes;    // inner, with padding
  };
  std::size_t n = 0;
  std::size_t n6 = 0;                              // of them IPv6
  bool mixed = false;                              // several interfaces, or packets whose peer is given
  std::array<rte_mbuf*, kBurst> packet;            // null: refused
  std::array<std::uint8_t*, kBurst> l3;            // the inner IP header
  std::array<std::uint16_t, kBurst> length;        // IP bytes, 0: keepalive
  std::array<std::uint32_t, kBurst> destination4;  // host order; IPv4 only
  std::array<bool, kBurst> v6;
  std::array<PacketOrigin, kBurst> origin;
  std::array<Peer*, kBurst> peer;            // after cryptokey routing (or given: staged, keepalive)
  std::array<std::uint16_t, kBurst> padded;  // IP bytes with padding, of packets that can leave
  std::size_t runs = 0;
  std::array<Run, kBurst> run;  // all packets, in order
  // Ready to leave:
  std::array<std::uint8_t, kBurst> tos;
  std::array<crypto::AeadOp, kBurst> op;
  UdpChecksums checksums;

  // `to`: null when cryptokey routing decides.
  void push(rte_mbuf* ip_packet, std::uint8_t* ip, std::uint16_t ip_length, bool is_v6,
            std::uint32_t destination, const PacketOrigin& from, Peer* to) noexcept {
    note_interface(from.interface_id);
    mixed = mixed || to != nullptr;
    put(ip_packet, ip, ip_length, is_v6, destination, from);
    peer[n - 1] = to;
  }
  // Before the first packet that is put with this interface.
  void note_interface(InterfaceId id) noexcept { mixed = mixed || (n != 0 && id != origin[0].interface_id); }
  void put(rte_mbuf* ip_packet, std::uint8_t* ip, std::uint16_t ip_length, bool is_v6,
           std::uint32_t destination, const PacketOrigin& from) noexcept {
    assert(n < kBurst);  // a poll's packets and the answers they cause always fit
    const std::size_t i = n++;
    packet[i] = ip_packet;
    l3[i] = ip;
    length[i] = ip_length;
    v6[i] = is_v6;
    n6 += is_v6 ? 1 : 0;
    destination4[i] = destination;
    store_origin(&origin[i], from);
    peer[i] = nullptr;
  }
  // Packets [begin, end) of another burst.
  void put_run(const InnerBurst& from, std::size_t begin, std::size_t end, const PacketOrigin& as) noexcept {
    assert(n + (end - begin) <= kBurst);
    const std::size_t to = n, size = end - begin;
    std::copy_n(from.packet.data() + begin, size, packet.data() + to);
    std::copy_n(from.l3.data() + begin, size, l3.data() + to);
    std::copy_n(from.length.data() + begin, size, length.data() + to);
    std::copy_n(from.destination4.data() + begin, size, destination4.data() + to);
    std::copy_n(from.v6.data() + begin, size, v6.data() + to);
    std::fill_n(peer.data() + to, size, nullptr);
    for (std::size_t i = to; i < to + size; ++i) store_origin(&origin[i], as);
    if (from.n6 != 0) n6 += static_cast<std::size_t>(std::count(v6.data() + to, v6.data() + to + size, true));
    n = to + size;
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
    store_origin(&origin[to], origin[from]);
  }
  // Closes the gaps that refused packets (null) have left.
  void close_gaps() noexcept;
  void clear() noexcept {
    n = n6 = runs = checksums.n = 0;
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
