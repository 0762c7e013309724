// The workers' view of the world: immutable once published, replaced whole, retired through quiescence.
//
// Tables that would be too large to copy per change (longest-prefix matches, keypair table, peer table)
// are referenced: they have lock-free readers and one writer, the control thread.
#pragma once

#include <algorithm>
#include <array>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "dataplane/base/ids.h"
#include "dataplane/flow/flow_table.h"
#include "dataplane/lpm/lpm.h"
#include "dataplane/next_hop.h"
#include "dataplane/packet/address.h"
#include "dataplane/session/keypair_table.h"
#include "dataplane/session/peer_table.h"

namespace wg::dataplane {

class Port;
class TunDevice;
class TapDevice;
class ProgramRing;
struct WatchSet;

// An interface's settings of the configuration; control/view.cpp is the only translation.
struct InterfaceSettings {
  bool short_cut = true;  // false: every inner packet takes the kernel's way (forwarding: kernel)
  bool flows = false;     // but for connections in Snapshot::flows (forwarding: flows; not short_cut)
  bool hairpin = true;    // peer to peer inside this interface
  bool copy_dscp = false;
  bool udp_checksum4 = true;    // false: outer IPv4 datagrams say "none" (RFC 768)
  std::uint16_t mtu = 1420;     // inner bytes
  std::uint16_t mss_clamp = 0;  // largest TCP MSS for IPv4 (IPv6: 20 less), 0: off
  bool operator==(const InterfaceSettings&) const = default;
};

struct InterfaceView : InterfaceSettings {
  InterfaceId id = kNoInterface;
  bool present = false;  // slots of deleted interfaces stay empty until reused
  bool up = false;
  std::array<bool, 2> linux_forwards{true, true};  // [IPv4, IPv6] what comes out of the tunnel
  UdpPort listen_port = kAnyPort;
  const lpm::Lpm4* allowed4 = nullptr;
  const lpm::Lpm6* allowed6 = nullptr;
  IpAddress icmp_source4;  // zero: none known, no ICMP error is generated
  IpAddress icmp_source6;
  TunDevice* tun = nullptr;     // one queue per worker
  ProgramRing* ring = nullptr;  // in place of the TUN: a program is the inner side; see Snapshot::rings
  bool report_strays = false;   // is transport data that no session opens worth an event?

  // Would Linux forward what came out of the tunnel? `ip_version`: 4 or 6.
  [[nodiscard]] bool is_forwarded(std::uint16_t ip_version) const noexcept {
    return linux_forwards[ip_version == 6 ? 1 : 0];
  }
};

// VLAN ids of a port, as Linux has devices for them.
struct VlanIds {
  using Ids = std::bitset<4096>;
  Ids up;                             // the device is up, tagged by 802.1Q, and in no bridge
  std::array<Ids, 2> linux_forwards;  // [IPv4, IPv6] what comes in by it
};

// A port's settings of the configuration; control/view.cpp is the only translation.
struct PortSettings {
  bool short_cut = true;      // false: only transport data is taken from this port
  bool flows = false;         // and packets of connections in Snapshot::flows (not short_cut)
  bool port_to_port = false;  // packets between two such ports are routed here (short_cut alone)
  std::uint16_t mtu = 1500;
  bool operator==(const PortSettings&) const = default;
};

struct PortView : PortSettings {
  Port* port = nullptr;      // null: slot of a removed port
  TapDevice* tap = nullptr;  // null: no exception path
  bool up = true;            // IFF_UP of the TAP; false: nothing is taken from the port or sent to it
  bool untagged = true;      // false: Linux judges untagged frames (the port's own VLAN has the addresses)
  std::array<bool, 2> linux_forwards{true, true};  // [IPv4, IPv6] what comes in untagged
  std::shared_ptr<const VlanIds> vlans;            // null: none
  bool has_own_vlan = false;                       // the configuration's `vlan`
  std::array<std::uint8_t, 6> mac{};               // the TAP's own
  // The others that Linux listens to on the TAP (macvlan, VRRP, a VLAN device with its own); null: none.
  std::shared_ptr<const std::vector<std::array<std::uint8_t, 6>>> other_macs;
  bool all_macs = false;  // Linux listens to every address: a bridge, a packet socket
  bool udp_checksum_offload = false;
  IpAddress icmp_source4;
  IpAddress icmp_source6;

  // May a frame with this id, at most 4095, take the short cut? 0: untagged, or a priority alone (802.1Q).
  [[nodiscard]] bool accepts_vlan(std::uint16_t id) const noexcept {
    return id == 0 ? untagged : vlans != nullptr && vlans->up[id];
  }
  // Does Linux take frames to this address, which is not `mac` and no group?
  [[nodiscard]] bool linux_listens_to(const std::array<std::uint8_t, 6>& address) const noexcept {
    if (all_macs || other_macs == nullptr) return all_macs;
    return std::find(other_macs->begin(), other_macs->end(), address) != other_macs->end();
  }
  // May an IP packet in such a frame be routed without Linux?
  [[nodiscard]] bool forwards(std::uint16_t id, bool v6) const noexcept {
    const std::size_t family = v6 ? 1 : 0;
    return (short_cut || flows) && (id == 0 ? linux_forwards[family] : vlans->linux_forwards[family][id]);
  }
};

// The box's own addresses: open addressing, at most half full.
class LocalAddresses {
 public:
  LocalAddresses() : slots_(8), slots4_(8) {}
  explicit LocalAddresses(const std::vector<IpAddress>& addresses);
  [[nodiscard]] bool contains_v4(const std::uint8_t* network_order) const noexcept {
    std::uint32_t word;
    std::memcpy(&word, network_order, sizeof word);
    return may_contain_v4(word) && contains_v4(word);
  }
  // Nearly always the whole answer: false is certain. `word`: an address as it lies in a packet.
  [[nodiscard]] bool may_contain_v4(std::uint32_t word) const noexcept {
    return (filter4_ >> filter_bit(word) & 1) != 0;
  }
  [[nodiscard]] bool contains_v4(std::uint32_t word) const noexcept {
    const std::size_t mask = slots4_.size() - 1;
    for (std::size_t i = hash_v4(word) & mask; slots4_[i] != 0; i = (i + 1) & mask) {
      if (slots4_[i] == word) return true;
    }
    return false;
  }
  [[nodiscard]] bool contains_v6(const std::uint8_t* network_order) const noexcept;

 private:
  struct Slot {
    IpAddress address;
    bool used = false;
  };
  [[nodiscard]] bool contains(const IpAddress& address) const noexcept;
  void add_v4(const IpAddress& address);
  static std::size_t hash_v4(std::uint32_t address) noexcept { return address * 0x9e3779b1u >> 16; }
  static std::uint32_t filter_bit(std::uint32_t address) noexcept { return address * 0x9e3779b1u >> 26; }
  std::uint64_t filter4_ = 0;          // has bit filter_bit(a) of each address a in slots4_
  std::vector<Slot> slots_;            // IPv6
  std::vector<std::uint32_t> slots4_;  // IPv4 as it lies in packets; 0: free (0.0.0.0 is no host's address)
};

// UDP destination port -> interface id, kNoInterface where none listens. Shared between snapshots.
using ListenPorts = std::array<InterfaceId, 65536>;

struct Snapshot {
  std::uint64_t generation = 0;
  std::shared_ptr<const ListenPorts> listen_ports;
  LocalAddresses local_addresses;
  ById<InterfaceId, InterfaceView> interfaces;
  ById<PortIndex, PortView> ports;
  std::vector<InterfaceId> rings;  // interfaces with a ring
  std::vector<NextHop> next_hops;
  const lpm::Lpm4* routes4 = nullptr;  // value: index into next_hops; no match: the kernel decides
  const lpm::Lpm6* routes6 = nullptr;
  const FlowTable* flows = nullptr;         // null: no port or interface has `flows`
  std::shared_ptr<const WatchSet> watches;  // null: no watch runs
  const KeypairTable* keypairs = nullptr;
  const PeerTable* peers = nullptr;
};

}  // namespace wg::dataplane
