// The configuration of a gateway as a value: what the YAML says, with units, nothing of what runs.
//
// Every struct compares by value. Where the values stood in the files is carried beside them in the
// `where` members, which always compare equal: moving a line is not a change of configuration.
// Defaults written here are the documented defaults (docs/configuration.md). Secrets are in SecretKey.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "config/address.h"
#include "config/key.h"
#include "config/problem.h"

namespace wg::config {

/// A number of bytes.
struct Size {
  std::uint64_t bytes = 0;
  auto operator<=>(const Size&) const = default;
};

enum class Hugepages : std::uint8_t { kAuto, kRequire, kOff };
enum class IdleMode : std::uint8_t { kAdaptive, kSpin };
enum class Forwarding : std::uint8_t { kShortCut, kKernel };
enum class Routes : std::uint8_t { kAuto, kOff };
enum class Dscp : std::uint8_t { kZero, kCopy };
enum class LogLevel : std::uint8_t { kOff, kError, kWarn, kInfo, kDebug, kTrace };
enum class LogFormat : std::uint8_t { kText, kJson };

// ---------------------------------------------------------------- dpdk

/// Polling lcores: named by number, or only counted (the first `count` cores the process may use
/// after the control thread's). `lcores` empty means counted.
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

struct DpdkMarks {
  Position self, workers, memory, hugepages, eal, idle_mode, idle_max_sleep;
  bool operator==(const DpdkMarks&) const { return true; }
};

struct Dpdk {
  Workers workers;
  Size memory{512ULL << 20};
  Hugepages hugepages = Hugepages::kAuto;
  std::vector<std::string> eal;  ///< further EAL arguments, verbatim
  bool spread = true;            ///< workers with time seal and open for busy ones
  Idle idle;
  DpdkMarks where;
  bool operator==(const Dpdk&) const = default;
};

// ---------------------------------------------------------------- ports

enum class DeviceKind : std::uint8_t { kPci, kVdev, kTap };

/// What a port is made of. `text` is the PCI address (DDDD:BB:DD.F, with domain), the DPDK vdev
/// string, or the word tap.
struct Device {
  DeviceKind kind = DeviceKind::kTap;
  std::string text;
  bool operator==(const Device&) const = default;
};

struct PortMarks {
  Position self, device, queues, mtu, vlan, mac, forwarding;
  std::vector<Position> addresses, gateways;  ///< parallel to the values
  bool operator==(const PortMarks&) const { return true; }
};

struct Port {
  Device device;
  std::vector<InterfaceAddress> addresses;
  std::vector<Address> gateways;   ///< at most one per family; key `gateway`
  std::optional<unsigned> queues;  ///< nullopt: auto, one receive queue per worker
  std::uint16_t mtu = 1500;
  std::optional<std::uint16_t> vlan;
  std::optional<MacAddress> mac;  ///< nullopt: the device's own
  Forwarding forwarding = Forwarding::kShortCut;
  PortMarks where;
  bool operator==(const Port&) const = default;
};

// ---------------------------------------------------------------- interfaces

struct PeerMarks {
  Position self, name, public_key, preshared_key, endpoint, persistent_keepalive, mtu, enabled;
  Position allowed_ips_key;           ///< the list as a whole
  std::vector<Position> allowed_ips;  ///< parallel to the values
  bool operator==(const PeerMarks&) const { return true; }
};

struct Peer {
  std::string name;  ///< may be empty; unique within the interface otherwise
  Key public_key;
  std::optional<SecretKey> preshared_key;  ///< whether from the file or from the YAML itself
  std::string preshared_key_file;          ///< as written, empty when inline or absent
  std::optional<Endpoint> endpoint;
  std::vector<Prefix> allowed_ips;
  std::chrono::seconds persistent_keepalive{0};  ///< 0: off
  std::optional<std::uint16_t> mtu;              ///< nullopt: the interface's
  bool enabled = true;                           ///< false: as if absent, but kept in the file
  PeerMarks where;
  bool operator==(const Peer&) const = default;
};

struct MssClamp {
  enum class Mode : std::uint8_t { kOff, kAuto, kFixed };
  Mode mode = Mode::kAuto;
  std::uint16_t value = 0;  ///< bytes of TCP payload, kFixed only
  bool operator==(const MssClamp&) const = default;
};

struct InterfaceMarks {
  Position self, private_key, listen_port, fwmark, mtu, routes, table, enabled, forwarding, hairpin, dscp,
      udp_checksum4, mss_clamp, log_level, peers;
  std::vector<Position> addresses, peer_files;  ///< parallel to the values
  bool operator==(const InterfaceMarks&) const { return true; }
};

struct Interface {
  std::optional<SecretKey> private_key;  ///< nullopt: none (legal, as in wg(8): no handshake works)
  std::string private_key_file;          ///< as written, empty when inline or absent
  std::uint16_t listen_port = 0;         ///< 0: any free port
  std::uint32_t fwmark = 0;              ///< 0: off
  std::vector<InterfaceAddress> addresses;
  std::optional<std::uint16_t> mtu;  ///< nullopt: auto, the smallest port's MTU less the outer headers
  Routes routes = Routes::kAuto;
  std::optional<std::uint32_t> table;   ///< routing table of the routes; nullopt: main
  std::vector<Peer> peers;              ///< those of the file first, then those of peer_files
  std::vector<std::string> peer_files;  ///< patterns as written, relative to the file
  bool enabled = true;                  ///< administrative state: false wipes session keys
  Forwarding forwarding = Forwarding::kShortCut;
  bool hairpin = true;  ///< may traffic go from peer to peer
  Dscp dscp = Dscp::kZero;
  bool udp_checksum4 = true;  ///< of outer packets over IPv4; IPv6 always has one
  MssClamp mss_clamp;
  std::optional<LogLevel> log_level;  ///< nullopt: control.log.level
  InterfaceMarks where;
  bool operator==(const Interface&) const = default;
};

// ---------------------------------------------------------------- control

struct MetricsListen {
  Address address;
  std::uint16_t port = 0;
  bool operator==(const MetricsListen&) const = default;
};

struct Log {
  LogLevel level = LogLevel::kInfo;
  LogFormat format = LogFormat::kText;
  bool operator==(const Log&) const = default;
};

struct ControlMarks {
  Position self, socket, admin_group, read_group, metrics, metrics_per_peer, log_level, log_format,
      state_directory, user, reload_on_change;
  bool operator==(const ControlMarks&) const { return true; }
};

struct Control {
  std::string socket = "/run/linegate/control.sock";
  std::string admin_group;               ///< empty: root alone
  std::string read_group;                ///< empty: nobody beyond the admin group
  std::optional<MetricsListen> metrics;  ///< nullopt: off
  bool metrics_per_peer = true;
  Log log;
  std::string state_directory = "/var/lib/linegate";
  std::string user;  ///< empty: stay the user that started it
  bool reload_on_change = false;
  ControlMarks where;
  bool operator==(const Control&) const = default;
};

// ---------------------------------------------------------------- the whole

/// Names of the files read; Position::file is an index. Not part of the value.
struct Sources {
  std::vector<std::string> files;
  bool operator==(const Sources&) const { return true; }
};

struct Gateway {
  Dpdk dpdk;
  std::map<std::string, Port> ports;
  std::map<std::string, Interface> interfaces;
  Control control;
  Sources sources;
  bool operator==(const Gateway&) const = default;
};

/// "file:line:column", or the empty string when the position is not from a file.
std::string cite(const Gateway& gateway, const Position& at);

/// 1 to 15 of [a-zA-Z0-9_=+.-], not "." or "..": what Linux (IFNAMSIZ) and wg-quick both accept.
bool is_interface_name(std::string_view name);

/// How a peer is named to people: its name, or its public key.
std::string label_of(const Peer& peer);

std::string_view to_string(Hugepages value);
std::string_view to_string(IdleMode value);
std::string_view to_string(Forwarding value);
std::string_view to_string(Routes value);
std::string_view to_string(Dscp value);
std::string_view to_string(LogLevel value);
std::string_view to_string(LogFormat value);
std::string to_string(const MssClamp& value);
std::string to_string(const MetricsListen& value);
/// Largest exact unit: 512M, 1G, 100K.
std::string to_string(const Size& value);

}  // namespace wg::config
