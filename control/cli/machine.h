// The facts about this machine that `linegate doctor` reads, as plain values.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace wg::control::cli {

struct Wire {
  bool up = false;  // administrative state and carrier
  unsigned mtu = 0;
  bool ethernet = false;
  bool physical = false;               // backed by a device, not made by software
  std::vector<std::string> addresses;  // without those of the link itself (fe80::)
  std::vector<std::string> subnets;    // the same with their length
};

// A chain of nftables that the kernel calls for forwarded packets.
struct FirewallChain {
  std::string name;    // "inet fw forward"
  std::string hook;    // forward, prerouting, postrouting
  bool drops = false;  // its policy is drop
  bool nat = false;
};

struct Machine {
  std::string kernel;      // release
  unsigned hugepages = 0;  // of 2 MB, reserved
  unsigned hugepages_free = 0;
  std::uint64_t memory_mb = 0;  // available
  bool iommu = false;           // groups exist
  std::vector<unsigned> cpus;   // that this process may use
  std::optional<bool> clock_synchronised;
  std::map<std::string, Wire> wires;                   // Linux interfaces by name
  std::map<std::string, std::string> drivers;          // of PCI devices by address
  std::string default_gateway;                         // of IPv4; empty: none
  std::string default_wire;                            // the interface that leads to it
  std::map<std::string, std::string> sysctls;          // those that matter, as text
  std::map<std::string, unsigned> modes;               // permission bits of files that were asked about
  std::optional<std::vector<FirewallChain>> firewall;  // nullopt: nft is not installed, or needs root
  bool iptables = false;                               // legacy tables are loaded
};

// Reads `root`/proc and `root`/sys (root is "" but in tests) and asks the kernel. Files that are missing
// leave the value as it is.
Machine read_machine(const std::string& root, const std::vector<std::string>& files);

// The base chains of hooks forward, prerouting and postrouting in what `nft -j list chains` prints. nullopt:
// it is not JSON.
std::optional<std::vector<FirewallChain>> parse_chains(const std::string& nft_json);

}  // namespace wg::control::cli
