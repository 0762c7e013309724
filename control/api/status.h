// The state of the gateway: plain values the daemon fills and the APIs render.
//
// Units: bytes and packets are totals since the object came to be (they survive a reload); wall times
// are system_clock, nullopt means never; shares are 0..1; latencies are microseconds. Nothing here is
// secret except WgDevice (its SecretKeys wipe themselves): the status structs only say whether a key is
// set, so that whatever is made of them may go to the read-only socket.
// Ownership: values; whoever asked owns the copy.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/address.h"
#include "config/key.h"
#include "control/api/control_counters.h"
#include "control/noise/peer_event_kinds.h"
#include "dataplane/base/clocks.h"
#include "dataplane/base/ids.h"
#include "dataplane/counters.h"

namespace wg::control {

using dataplane::kAnyPort;
using dataplane::UdpPort;

struct Latency {
  double p50_us = 0;
  double p90_us = 0;
  double p99_us = 0;
  double p999_us = 0;
};

struct GatewayStatus {
  std::string version;       // of Linegate
  std::string dpdk_version;  // rte_version()
  std::string aead;          // variant in use: portable, avx2, avx512
  std::int64_t pid = 0;
  WallTime started;
  std::string config_path;
  std::uint64_t config_generation = 0;  // applied changes of configuration, from any side
  std::optional<WallTime> last_reload;
  std::string last_reload_result;     // empty: never tried; "applied", or the first error
  std::vector<std::string> drift;     // where Linux is not as the file says; `linegate reload` puts it back
  std::vector<std::string> warnings;  // what an operator should know now (clock behind, drift, no hugepages)
  std::vector<std::string> interfaces;
  std::uint64_t peers = 0;
  std::uint64_t peers_active = 0;  // with a session younger than REJECT_AFTER_TIME
  bool hugepages = false;
  std::optional<Latency> round;     // of the control thread, from the end of its wait to the next
  double longest_round_us = 0;      // since the start
  ControlCounterValues counters{};  // parallel to kControlCounterFacts
};

// A program at an interface, by a ring.
struct ProgramStatus {
  std::int64_t pid = 0;  // 0: not known
  std::uint64_t queues = 0;
  std::uint32_t slots = 0;  // of each ring
  bool routed = false;      // a host behind the interface, beside its peers; else its inner side
  bool offloads = false;    // it takes and sends super-packets
  bool join_udp = false;    // it takes those of UDP as well
};

struct InterfaceStatus {
  std::string name;
  std::string public_key;  // base64; empty without a private key
  UdpPort listen_port = kAnyPort;
  std::uint32_t fwmark = 0;
  bool up = false;            // administrative
  std::uint32_t ifindex = 0;  // of the TUN netdev; 0: it is gone
  std::uint16_t mtu = 0;
  bool under_load = false;
  std::string log_level;
  std::optional<ProgramStatus> program;
  std::vector<std::string> addresses;
  std::uint64_t peers = 0;
  std::uint64_t peers_active = 0;
  std::uint64_t rx_bytes = 0;
  std::uint64_t tx_bytes = 0;
  std::uint64_t rx_packets = 0;
  std::uint64_t tx_packets = 0;
  // Handshakes by outcome, e.g. {"completed_as_initiator", 12}, {"bad_mac1", 3}.
  std::vector<std::pair<std::string, std::uint64_t>> handshakes;
};

// The part that needs no walk over the peers.
struct InterfaceIdentity {
  std::string name;
  std::string id, type;           // empty: none
  bool bound = false;             // goes with a connection of the control socket
  bool up = false;                // administrative
  std::uint32_t ifindex = 0;      // in the network namespace below
  std::uint64_t netns_inode = 0;  // of /proc/PID/ns/net
  std::uint16_t mtu = 0;
  UdpPort listen_port = kAnyPort;
};

struct NamedCount {
  std::string name;
  std::uint64_t count = 0;
};

struct DropStatus {
  std::string name;                       // the identifier in the list of reasons
  std::string text;                       // its sentence
  std::uint64_t count = 0;                // over all workers and the control thread
  std::vector<std::uint64_t> per_worker;  // parallel to the worker list
  std::uint64_t control = 0;              // of the control thread
  // To the second, as the control thread saw the count move. A spell begins after a minute without drops.
  std::optional<WallTime> first, spell, last;
};

struct FlowQuery {
  // The connections with the most bytes come first, up to this many. A longer list has no order.
  static constexpr std::size_t kMostSorted = 65'536;

  std::string address;    // empty: all; else one that a tuple of the connection has
  std::size_t limit = 0;  // 0: all
};

// A connection with the mark of `forwarding: flows`. Ends are address:port.
struct FlowStatus {
  std::string protocol;     // tcp, udp
  std::string source;       // of the packet that opened it, as it came
  std::string destination;  // likewise
  std::string leaves_from;  // its source behind the gateway
  std::string leaves_to;
  bool carried = false;  // by workers; the rest is for these alone
  std::string reason;    // why it is Linux's: the identifier, and its sentence
  std::string reason_text;
  std::chrono::seconds age{0};                      // since workers carry it
  std::chrono::seconds idle{0};                     // since the last packet
  std::pair<std::uint64_t, std::uint64_t> packets;  // from the source, to the source
  std::pair<std::uint64_t, std::uint64_t> bytes;    // of IP
};

struct FlowsStatus {
  bool on = false;  // a port or interface has `forwarding: flows`, and the kernel plays along
  std::uint32_t mark = 0;
  std::uint64_t max = 0;
  std::uint64_t carried = 0;
  std::uint64_t with_linux = 0;     // with the mark, and not carried
  std::uint64_t tracked = 0;        // entries of connection tracking, of all kinds
  std::vector<NamedCount> reasons;  // of those with Linux; every reason, zeros included
};

struct PeerStatus {
  std::string interface;
  std::string name;  // may be empty: then people see the public key
  config::Key public_key;
  bool has_preshared_key = false;
  std::optional<config::Endpoint> endpoint;  // where packets go now (roaming included)
  std::string configured_endpoint;           // as written (may be a host name); empty: none
  std::vector<config::Prefix> allowed_ips;
  std::optional<WallTime> last_handshake;
  std::optional<std::chrono::seconds> session_age;  // of the current keypair; nullopt: no session
  std::optional<WallTime> last_received;            // any authenticated packet
  std::uint64_t rx_bytes = 0;
  std::uint64_t tx_bytes = 0;
  std::uint64_t rx_packets = 0;
  std::uint64_t tx_packets = 0;
  std::uint64_t lost_estimate = 0;       // gaps in received counters that never filled
  std::uint64_t reordered_estimate = 0;  // packets that filled a gap late
  std::vector<NamedCount> drops;         // only those that are not zero
  std::chrono::seconds keepalive{0};     // 0: off
  std::uint16_t mtu = 0;
  std::uint32_t staged_packets = 0;

  // A usable session, in the sense of `--active`, the metrics and `show`.
  bool active() const { return session_age.has_value(); }
};

struct PortStatus {
  std::string name;
  std::string device;  // PCI address or vdev string
  std::string driver;
  std::string mac;
  bool link_up = false;
  std::uint32_t speed_mbps = 0;  // 0: unknown
  std::uint16_t mtu = 0;
  std::uint16_t rx_queues = 0;
  std::uint16_t tx_queues = 0;
  std::string netdev;  // the kernel's view: TAP or the port's own
  std::uint64_t rx_packets = 0;
  std::uint64_t rx_bytes = 0;
  std::uint64_t tx_packets = 0;
  std::uint64_t tx_bytes = 0;
  std::uint64_t rx_missed = 0;  // dropped by the device: no free buffer, or too slow
  std::uint64_t rx_errors = 0;
  std::uint64_t rx_no_mbuf = 0;  // times the packet buffer pool was empty
  std::uint64_t tx_errors = 0;
};

struct StageCycles {
  std::string stage;  // as worker.cpp names it
  double cycles_per_packet = 0;
  double share = 0;  // of the clocks that all stages of the worker have taken
};

struct QueueDepth {
  std::string queue;  // e.g. "handshake", "staged", "punt"
  std::uint64_t depth = 0;
  std::uint64_t capacity = 0;
};

struct WorkerStatus {
  unsigned index = 0;
  unsigned lcore = 0;
  unsigned socket = 0;        // NUMA
  double busy_share = 0;      // of the last second
  double sleep_share = 0;     // of the last second, asleep between polls
  std::uint64_t packets = 0;  // taken in, from ports and from the kernel
  double packets_per_burst = 0;
  dataplane::CounterValues counters{};  // parallel to dataplane::kWorkerCounterFacts
  std::vector<StageCycles> stages;
  std::vector<QueueDepth> queues;
  std::optional<Latency> latency;  // burst in to burst out; nullopt: not measured
};

// ---------------------------------------------------------------- explain

// Events of a peer outside the engine, messages that the engine refuses without knowing whose they
// are, and, from kNoAnswer on, what explain() concludes from several events: X(kind, stable name for JSON,
// words). The engine's own events come from noise/peer_event_kinds.h.
#define WG_CONTROL_PEER_EVENTS(X)                                                                    \
  X(kCookieSent, "cookie_sent", "we were under load and sent a cookie instead of an answer")         \
  X(kRateLimited, "rate_limited", "handshake refused under load: source exceeds 20 per second")      \
  X(kQueueFull, "queue_full", "handshake dropped: our queue was full")                               \
  X(kBadMac1, "bad_mac1", "handshake with a wrong mac1: its sender has another public key for us")   \
  X(kBadInitiation, "bad_initiation", "initiation does not authenticate")                            \
  X(kUnknownKey, "unknown_key", "initiation with a public key that is not configured")               \
  X(kBadHandshake, "bad_handshake", "handshake message refused")                                     \
  X(kNameUnresolved, "name_unresolved", "the endpoint's name does not resolve")                      \
  X(kNextHopUnresolved, "next_hop_unresolved", "the next hop towards the endpoint does not resolve") \
  X(kInterfaceDown, "interface_down", "the interface is down")                                       \
  X(kDisallowedSource, "disallowed_source", "packet refused: its inner source is not allowed")       \
  X(kBadTag, "bad_tag", "data packet does not authenticate")                                         \
  X(kReplayed, "replayed", "data packet refused: its counter was seen before or is too old")         \
  X(kNoAnswer, "no_answer", "no answer to our initiations")                                          \
  X(kUnusedResponses, "unused_responses", "our responses lead to no session")                        \
  X(kWayBlocked, "way_blocked", "the peer reaches us, but our packets do not reach it")              \
  X(kTwoDevices, "two_devices", "two devices use this key at the same time")                         \
  X(kIcmpUnreachable, "icmp_unreachable", "ICMP says host unreachable for our packets")              \
  X(kIcmpPortUnreachable, "icmp_port_unreachable", "ICMP says port unreachable for our packets")     \
  X(kIcmpProhibited, "icmp_prohibited", "ICMP says prohibited for our packets")                      \
  X(kIcmpTooBig, "icmp_too_big", "ICMP says too big for our packets")

// The engine's kinds first, with the engine's values.
enum class PeerEventKind : std::uint8_t {
#define X(kind, name, words, detail) kind,
  WG_PEER_EVENTS(X)
#undef X
#define X(kind, name, words) kind,
      WG_CONTROL_PEER_EVENTS(X)
#undef X
};

struct PeerEvent {
  WallTime at;  // of the last repetition
  PeerEventKind kind = PeerEventKind::kInitiationSent;
  std::uint32_t count = 1;         // equal events in a row are one entry
  std::string from;                // outer address with port, where from or to; empty: none
  std::string source;              // inner source address (kDisallowedSource)
  std::string owner;               // label of the peer that source belongs to; empty: no peer
  std::string claimed_key;         // base64, kUnknownKey: the key that was presented
  std::chrono::nanoseconds by{0};  // by how much a check failed (timestamps, clock)
  std::uint64_t number = 0;        // attempts (kInitiationSent, kGaveUp)
  std::string detail;              // further words, e.g. why a response was refused
};

// Everything `explain` needs: facts, no verdict. explain.h draws the conclusion.
struct PeerFacts {
  PeerStatus peer;
  bool interface_up = true;
  bool interface_has_private_key = true;
  UdpPort listen_port = kAnyPort;
  bool clock_synchronised = true;
  bool next_hop_resolved = true;        // of the current endpoint; true when there is no endpoint
  std::string next_hop;                 // "10.0.0.1 via wan0", empty: no route
  std::vector<PeerEvent> events;        // oldest first: this peer's ring
  std::vector<PeerEvent> unattributed;  // the interface's ring: messages no peer could be named for
};

// Where a packet to `address` goes, by the kernel's routing table and the allowed IPs of the peers.
struct RouteFacts {
  std::string address;
  bool routed = false;        // false: the kernel has no route, or one that refuses
  bool local = false;         // an address of this machine
  std::string prefix;         // of the route that matches; empty: none
  std::string refusal;        // "unreachable", "blackhole", "prohibit": the route's type; empty: none of them
  std::string link;           // the Linux interface it leaves by
  std::string gateway;        // empty: on-link
  bool port = false;          // `link` is a port of ours
  bool interface = false;     // `link` is a WireGuard interface of ours
  bool interface_up = false;  // when it is one
  std::string peer;           // label of the peer whose allowed IPs contain it; empty: no peer
  std::string peer_prefix;    // the longest of its allowed IPs that contains it
  std::string peer_interface;
  bool peer_active = false;
};

// ---------------------------------------------------------------- wg(8)

struct WgPeer {
  config::Key public_key;
  config::SecretKey preshared_key;           // zero: none
  std::optional<config::Endpoint> endpoint;  // always an address
  std::optional<WallTime> last_handshake;
  std::uint64_t tx_bytes = 0;
  std::uint64_t rx_bytes = 0;
  std::chrono::seconds keepalive{0};
  std::vector<config::Prefix> allowed_ips;
};

// A consistent copy of one interface, secrets included, as `get=1` returns it.
struct WgDevice {
  std::optional<config::SecretKey> private_key;
  std::optional<config::Key> own_public_key;  // wg(8) works it out by itself; for programs that do not
  UdpPort listen_port = kAnyPort;
  std::uint32_t fwmark = 0;
  std::vector<WgPeer> peers;
};

// ---------------------------------------------------------------- events

// The kinds of the event stream: X(kind, stable name for JSON). A test compares docs/control-socket.md.
#define WG_GATEWAY_EVENTS(X)                \
  X(kPeerUp, "peer_up")                     \
  X(kPeerRoamed, "peer_roamed")             \
  X(kPeerRekeyed, "peer_rekeyed")           \
  X(kPeerIdle, "peer_idle")                 \
  X(kPeerAdded, "peer_added")               \
  X(kPeerRemoved, "peer_removed")           \
  X(kConfigApplied, "config_applied")       \
  X(kConfigRefused, "config_refused")       \
  X(kInterfaceUp, "interface_up")           \
  X(kInterfaceDown, "interface_down")       \
  X(kInterfaceCreated, "interface_created") \
  X(kInterfaceDeleted, "interface_deleted") \
  X(kCarrierLost, "carrier_lost")           \
  X(kCarrierBack, "carrier_back")           \
  X(kPortRestarted, "port_restarted")       \
  X(kPortLost, "port_lost")                 \
  X(kDriftFound, "drift_found")             \
  X(kPutBack, "put_back")                   \
  X(kRingOpened, "ring_opened")             \
  X(kRingClosed, "ring_closed")             \
  X(kFlowsFull, "flows_full")               \
  X(kFlowsRoom, "flows_room")               \
  X(kFlowsReturned, "flows_returned")       \
  X(kFlowsLost, "flows_lost")               \
  X(kFlowsRelearnt, "flows_relearnt")

enum class GatewayEventKind : std::uint8_t {
#define X(kind, name) kind,
  WG_GATEWAY_EVENTS(X)
#undef X
};
inline constexpr std::string_view kGatewayEventNames[] = {
#define X(kind, name) name,
    WG_GATEWAY_EVENTS(X)
#undef X
};
[[nodiscard]] constexpr std::string_view name_of(GatewayEventKind kind) {
  return kGatewayEventNames[static_cast<std::size_t>(kind)];
}

// One entry of the event stream.
struct GatewayEvent {
  WallTime at;
  GatewayEventKind kind{};
  std::string interface;   // empty: the gateway
  std::string peer;        // label; empty: none
  std::string public_key;  // base64; empty: none
  std::string endpoint;    // empty: none
  std::string detail;
  std::uint64_t rx_bytes = 0;  // of the peer at that moment, for audit
  std::uint64_t tx_bytes = 0;
};

}  // namespace wg::control
