// The configuration of a gateway as a value: what the YAML says, with units, nothing of what runs.
//
// Every struct compares by value. Where the values stood in the files is carried beside them in the
// `where` members, which always compare equal: moving a line is not a change of configuration.
// Defaults written here are the documented defaults (docs/configuration.md). Secrets are in SecretKey.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "config/address.h"
#include "config/key.h"
#include "config/problem.h"
#include "dataplane/base/ids.h"

namespace wg::config {

// A number of bytes.
struct Size {
  std::uint64_t bytes = 0;
  auto operator<=>(const Size&) const = default;
};

// The names of an enumeration's values in the file, in order; empty for one that has none.
template <class Enum>
inline constexpr std::array<std::string_view, 0> kNames{};

template <class Enum>
concept NamedEnum = std::is_enum_v<Enum> && !kNames<Enum>.empty();

template <NamedEnum Enum>
[[nodiscard]] constexpr std::string_view to_string(Enum value) {
  return kNames<Enum>.at(static_cast<std::size_t>(value));
}

enum class Hugepages : std::uint8_t { kAuto, kRequire, kOff };
template <>
inline constexpr std::array<std::string_view, 3> kNames<Hugepages>{"auto", "require", "off"};

enum class IdleMode : std::uint8_t { kAdaptive, kSpin };
template <>
inline constexpr std::array<std::string_view, 2> kNames<IdleMode>{"adaptive", "spin"};

enum class Forwarding : std::uint8_t { kShortCut, kKernel, kFlows };
template <>
inline constexpr std::array<std::string_view, 3> kNames<Forwarding>{"short_cut", "kernel", "flows"};

// The program at the other side of a port's shared memory.
enum class PortPeer : std::uint8_t { kUntrusted, kTrusted };
template <>
inline constexpr std::array<std::string_view, 2> kNames<PortPeer>{"untrusted", "trusted"};

inline constexpr std::uint16_t kLeastMtu = 576;  // of a port or an interface, in bytes
inline constexpr std::uint16_t kGreatestMtu = 9520;

enum class Routes : std::uint8_t { kAuto, kOff };
template <>
inline constexpr std::array<std::string_view, 2> kNames<Routes>{"auto", "off"};

// The route behind the routes of an interface: they may be lost, its traffic must not leave in clear.
enum class OnLoss : std::uint8_t { kUnreachable, kWithdraw };
template <>
inline constexpr std::array<std::string_view, 2> kNames<OnLoss>{"unreachable", "withdraw"};

enum class Dscp : std::uint8_t { kZero, kCopy };
template <>
inline constexpr std::array<std::string_view, 2> kNames<Dscp>{"zero", "copy"};

enum class LogLevel : std::uint8_t { kOff, kError, kWarn, kInfo, kDebug, kTrace };
template <>
inline constexpr std::array<std::string_view, 6> kNames<LogLevel>{"off",  "error", "warn",
                                                                  "info", "debug", "trace"};

enum class LogFormat : std::uint8_t { kText, kJson };
template <>
inline constexpr std::array<std::string_view, 2> kNames<LogFormat>{"text", "json"};

// Where the keys of one map stand in the files. Not part of the value: all Marks are equal.
class Marks {
 public:
  Position self;  // of the map
  // `key` is the name of a key in the reader's tables, which outlive everything.
  void set(std::string_view key, const Position& at) { keys_.emplace_back(key, at); }
  // An unknown position when the map does not have the key.
  [[nodiscard]] Position of(std::string_view key) const;
  bool operator==(const Marks&) const { return true; }

 private:
  std::vector<std::pair<std::string_view, Position>> keys_;
};

// ---------------------------------------------------------------- dpdk

// Polling lcores: named by number, or only counted (the first `count` cores the process may use
// after the control thread's). `lcores` empty means counted.
struct Workers {
  unsigned count = 1;
  std::vector<unsigned> lcores;
  bool operator==(const Workers&) const = default;
};

struct Idle {
  IdleMode mode = IdleMode::kAdaptive;
  std::chrono::microseconds max_sleep{500};
  bool operator==(const Idle&) const = default;
};

struct Dpdk {
  Workers workers;
  Size memory{512ULL << 20};
  Hugepages hugepages = Hugepages::kAuto;
  std::vector<std::string> eal;  // further EAL arguments, verbatim
  bool spread = true;            // workers with time seal and open for busy ones
  Idle idle;
  Marks where;
  bool operator==(const Dpdk&) const = default;
};

// ---------------------------------------------------------------- ports

enum class DeviceKind : std::uint8_t { kPci, kVdev, kTap, kLinux };

inline constexpr std::string_view kLinuxDevice = "linux:";

// The device of a port. `text` is the PCI address (DDDD:BB:DD.F, with domain), the DPDK vdev
// string, linux: and the name of a Linux interface, or the word tap.
struct Device {
  DeviceKind kind = DeviceKind::kTap;
  std::string text;
  bool operator==(const Device&) const = default;
};

// The interface that a device of kind kLinux names.
[[nodiscard]] inline std::string linux_interface(const Device& device) {
  return device.text.substr(kLinuxDevice.size());
}

// The Linux interface whose frames the device carries: of linux:NAME, and of DPDK's drivers of packet and
// XDP sockets ("net_af_packet0,iface=eth1"). Empty: none; net_tap and others create the one they name.
[[nodiscard]] std::string wire_of(const Device& device);

// Greater ones are those of the unreachable routes (docs/decisions/0041-no-clear-text.md).
inline constexpr std::uint32_t kGreatestMetric = 1'999'999'999;

// A default route by way of a port.
struct PortGateway {
  Address address;
  std::uint32_t metric = 0;  // 0: the kernel's own (0 for IPv4, 1024 for IPv6)
  auto operator<=>(const PortGateway&) const = default;
};

struct PortMarks : Marks {
  std::vector<Position> addresses;  // parallel to the values
};

struct Port {
  Device device;
  std::vector<InterfaceAddress> addresses;
  std::vector<PortGateway> gateways;  // at most one per family; key `gateway`
  std::optional<unsigned> queues;     // nullopt: auto, one receive queue per worker
  std::uint16_t mtu = 1500;
  std::optional<std::uint16_t> vlan;
  std::optional<MacAddress> mac;  // nullopt: the device's own
  Forwarding forwarding = Forwarding::kShortCut;
  bool port_to_port = false;             // plain packets to other ports with it do not pass Linux
  PortPeer peer = PortPeer::kUntrusted;  // no effect but on the warning about memif
  PortMarks where;
  bool operator==(const Port&) const = default;
};

// ---------------------------------------------------------------- interfaces

// Members instead of Marks: there may be 100 000 peers.
struct PeerMarks {
  Position self, name, public_key, preshared_key, endpoint, mtu;
  std::vector<Position> allowed_ips;  // parallel to the values
  bool operator==(const PeerMarks&) const { return true; }
};

struct Peer {
  std::string name;  // may be empty; unique within the interface otherwise
  Key public_key;
  std::optional<SecretKey> preshared_key;  // whether from the file or from the YAML itself
  std::string preshared_key_file;          // as written, empty when inline or absent
  std::optional<Endpoint> endpoint;
  std::vector<Prefix> allowed_ips;
  std::chrono::seconds persistent_keepalive{0};  // 0: off
  std::optional<std::uint16_t> mtu;              // nullopt: the interface's
  bool enabled = true;                           // false: as if absent, but kept in the file
  PeerMarks where;
  bool operator==(const Peer&) const = default;
};

struct MssClamp {
  enum class Mode : std::uint8_t { kOff, kAuto, kFixed };
  Mode mode = Mode::kAuto;
  std::uint16_t value = 0;  // bytes of TCP payload, kFixed only
  bool operator==(const MssClamp&) const = default;
};

struct InterfaceMarks : Marks {
  std::vector<Position> addresses;  // parallel to the values
};

struct Interface {
  std::optional<SecretKey> private_key;  // nullopt: none (legal, as in wg(8): no handshake works)
  std::string private_key_file;          // as written, empty when inline or absent
  UdpPort listen_port = kAnyPort;
  std::uint32_t fwmark = 0;  // 0: off
  std::vector<InterfaceAddress> addresses;
  std::optional<std::uint16_t> mtu;  // nullopt: auto, the smallest port's MTU less the outer headers
  Routes routes = Routes::kAuto;
  std::optional<std::uint32_t> table;   // routing table of the routes; nullopt: main
  std::vector<Peer> peers;              // those of the file first, then those of peer_files
  std::vector<std::string> peer_files;  // patterns as written, relative to the file
  bool enabled = true;                  // administrative state: false wipes session keys
  Forwarding forwarding = Forwarding::kShortCut;
  OnLoss on_loss = OnLoss::kUnreachable;
  // State, not a key of the file: prefixes of its peers that `wg` has taken from them since. Sorted.
  std::vector<Prefix> kept;
  bool hairpin = true;  // may traffic go from peer to peer
  Dscp dscp = Dscp::kZero;
  bool udp_checksum4 = true;  // of outer packets over IPv4; IPv6 always has one
  MssClamp mss_clamp;
  bool remember_endpoints = true;     // on disk, of peers heard of recently, for the next start
  std::optional<LogLevel> log_level;  // nullopt: control.log.level
  std::string id;                     // a UUID that decides the ifindex; empty: Linux numbers it
  std::string type;                   // of the program that made it, in its words; for people
  // State, not a key of the file: the connection of the control socket with which it ends. 0: it stays.
  std::uint64_t bound_to = 0;
  InterfaceMarks where;
  bool operator==(const Interface&) const = default;
};

// ---------------------------------------------------------------- flows

// Connections that workers carry, of the ports and interfaces with `forwarding: flows`.
struct Flows {
  std::uint32_t mark = 0x40000000;  // bits that the operator's rules set in connection tracking's mark
  std::uint32_t max = 262'144;      // connections that workers carry at a time
  Marks where;
  bool operator==(const Flows&) const = default;
};

// ---------------------------------------------------------------- control

struct MetricsListen {
  Address address;
  std::uint16_t port = 0;  // TCP
  bool operator==(const MetricsListen&) const = default;
};

struct Log {
  LogLevel level = LogLevel::kInfo;
  LogFormat format = LogFormat::kText;
  bool operator==(const Log&) const = default;
};

struct Control {
  std::string socket = "/run/linegate/control.sock";
  std::string admin_group;               // empty: root alone
  std::string read_group;                // empty: no group beyond the admin group
  std::optional<MetricsListen> metrics;  // nullopt: off
  bool metrics_per_peer = true;
  Log log;
  std::string state_directory = "/var/lib/linegate";
  std::string user;  // empty: stay the user that started it
  bool reload_on_change = false;
  bool sandbox = true;  // system calls that the process never makes are refused by the kernel
  Marks where;
  bool operator==(const Control&) const = default;
};

// ---------------------------------------------------------------- the whole

// Names of the files read; Position::file is an index. Not part of the value.
struct Sources {
  std::vector<std::string> files;
  bool operator==(const Sources&) const { return true; }
};

struct Gateway {
  Dpdk dpdk;
  std::map<std::string, Port> ports;
  std::map<std::string, Interface> interfaces;
  Flows flows;
  Control control;
  Sources sources;
  bool operator==(const Gateway&) const = default;
};

// "file:line:column", or the empty string when the position is not from a file.
[[nodiscard]] std::string cite(const Gateway& gateway, const Position& at);

// 1 to 15 of [a-zA-Z0-9_=+.-], not "." or "..": what Linux (IFNAMSIZ) and wg-quick both accept.
[[nodiscard]] bool is_interface_name(std::string_view name);

// 1 to 64 characters of UTF-8 without control characters.
[[nodiscard]] bool is_peer_name(std::string_view name);
inline constexpr std::string_view kAllowedPeerNames = "1 to 64 printable characters";

// How a peer is named to people: its name, or its public key.
[[nodiscard]] std::string label_of(const Peer& peer);

// Is there a port with `port_to_port`?
[[nodiscard]] bool uses_port_to_port(const Gateway& gateway);
// Do packets pass Linux by, so that its firewall does not see them?
[[nodiscard]] bool uses_short_cut(const Gateway& gateway);

// Those for which no enabled peer is left but which stay unreachable: of peers that are not enabled, and
// Interface::kept. Sorted.
[[nodiscard]] std::vector<Prefix> ownerless_prefixes(const Interface& interface);

// With its metric, if it has one: "192.0.2.1 metric 100".
[[nodiscard]] std::string to_string(const PortGateway& gateway);
[[nodiscard]] std::string to_string(const MssClamp& value);
[[nodiscard]] std::string to_string(const MetricsListen& value);
// Largest exact unit: 512M, 1G, 100K.
[[nodiscard]] std::string to_string(const Size& value);

}  // namespace wg::config
