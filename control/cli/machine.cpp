#include "control/cli/machine.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if_arp.h>
#include <sys/utsname.h>

#include <bit>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>

#include "config/lint.h"
#include "control/api/members.h"

namespace wg::control::cli {
namespace {

namespace fs = std::filesystem;

std::string first_word(const std::string& path) {
  std::ifstream file(path);
  std::string word;
  file >> word;
  return word;
}

unsigned number_in(const std::string& path) {
  const std::string word = first_word(path);
  return static_cast<unsigned>(std::strtoul(word.c_str(), nullptr, 10));
}

std::uint64_t available_mb(const std::string& root) {
  std::ifstream file(root + "/proc/meminfo");
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string name;
    std::uint64_t kilobytes = 0;
    if (words >> name >> kilobytes && name == "MemAvailable:") return kilobytes / 1024;
  }
  return 0;
}

// The names in a folder, none when there is no such folder.
std::vector<std::string> names_in(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error))
    names.push_back(entry.path().filename().string());
  return names;
}

void read_pci(const std::string& root, Machine& machine) {
  const std::string folder = root + "/sys/bus/pci/devices/";
  for (const auto& address : names_in(folder)) {
    std::error_code error;
    const auto driver = fs::read_symlink(folder + address + "/driver", error);
    machine.drivers[address] = error ? "" : driver.filename().string();
  }
}

void read_wires(const std::string& root, Machine& machine) {
  const std::string folder = root + "/sys/class/net/";
  for (const auto& name : names_in(folder)) {
    Wire& wire = machine.wires[name];
    wire.mtu = number_in(folder + name + "/mtu");
    wire.up = first_word(folder + name + "/operstate") != "down";
    wire.ethernet = number_in(folder + name + "/type") == ARPHRD_ETHER;
    std::error_code error;
    wire.physical = fs::exists(folder + name + "/device", error);
  }
}

unsigned length_of(const sockaddr* netmask) {
  if (netmask == nullptr) return 0;
  const bool v4 = netmask->sa_family == AF_INET;
  const auto* bytes =
      v4 ? reinterpret_cast<const unsigned char*>(&reinterpret_cast<const sockaddr_in*>(netmask)->sin_addr)
         : reinterpret_cast<const sockaddr_in6*>(netmask)->sin6_addr.s6_addr;
  unsigned length = 0;
  for (unsigned i = 0; i < (v4 ? 4U : 16U); ++i) length += static_cast<unsigned>(std::popcount(bytes[i]));
  return length;
}

// The gateway of the default route in /proc/net/route: hexadecimal, in the byte order of the machine.
void read_default_gateway(const std::string& root, Machine& machine) {
  std::ifstream file(root + "/proc/net/route");
  std::string line;
  std::getline(file, line);  // the titles
  while (std::getline(file, line)) {
    std::istringstream words(line);
    std::string wire, destination, gateway;
    if (!(words >> wire >> destination >> gateway) || destination != "00000000" || gateway == "00000000")
      continue;
    in_addr address{};
    address.s_addr = static_cast<in_addr_t>(std::strtoul(gateway.c_str(), nullptr, 16));
    char text[INET_ADDRSTRLEN] = "";
    machine.default_gateway = inet_ntop(AF_INET, &address, text, sizeof text);
    machine.default_wire = wire;
    return;
  }
}

void read_addresses(Machine& machine) {
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return;
  const std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> owner(list, freeifaddrs);
  for (const ifaddrs* at = list; at != nullptr; at = at->ifa_next) {
    const auto wire = machine.wires.find(at->ifa_name);
    if (at->ifa_addr == nullptr || wire == machine.wires.end()) continue;
    char text[INET6_ADDRSTRLEN] = "";
    const int family = at->ifa_addr->sa_family;
    if (family == AF_INET)
      inet_ntop(family, &reinterpret_cast<const sockaddr_in*>(at->ifa_addr)->sin_addr, text, sizeof text);
    if (family == AF_INET6)
      inet_ntop(family, &reinterpret_cast<const sockaddr_in6*>(at->ifa_addr)->sin6_addr, text, sizeof text);
    const std::string address = text;
    if (address.empty() || address.starts_with("fe80:")) continue;
    wire->second.addresses.push_back(address);
    wire->second.subnets.push_back(address + "/" + std::to_string(length_of(at->ifa_netmask)));
  }
}

void read_sysctls(const std::string& root, Machine& machine) {
  for (const char* name : {"net/ipv4/conf/all/rp_filter"})
    machine.sysctls[name] = first_word(root + "/proc/sys/" + name);
}

void read_firewall(const std::string& root, Machine& machine) {
  for (const char* tables : {"/proc/net/ip_tables_names", "/proc/net/ip6_tables_names"})
    machine.iptables = machine.iptables || !first_word(root + tables).empty();
  const std::unique_ptr<FILE, int (*)(FILE*)> nft(popen("nft -j list chains 2>/dev/null", "r"), pclose);
  if (!nft) return;
  std::string text;
  char buffer[4096];
  while (const std::size_t got = fread(buffer, 1, sizeof buffer, nft.get())) text.append(buffer, got);
  machine.firewall = parse_chains(text);
}

}  // namespace

std::optional<std::vector<FirewallChain>> parse_chains(const std::string& nft_json) {
  const Json answer = Json::parse(nft_json, nullptr, false);
  if (!answer.is_object()) return std::nullopt;
  std::vector<FirewallChain> chains;
  for (const Json& entry : members::list(answer, "nftables")) {
    if (!entry.is_object() || !entry.contains("chain")) continue;
    const Json& chain = entry["chain"];
    FirewallChain found;
    found.hook = members::text(chain, "hook", "");
    found.nat = members::text(chain, "type") == "nat";
    found.drops = members::text(chain, "policy") == "drop";
    found.name = members::text(chain, "family") + " " + members::text(chain, "table") + " " +
                 members::text(chain, "name");
    const bool routed = found.hook == "forward" || found.hook == "prerouting" || found.hook == "postrouting";
    if (routed) chains.push_back(std::move(found));
  }
  return chains;
}

Machine read_machine(const std::string& root, const std::vector<std::string>& files) {
  Machine machine;
  utsname names{};
  if (uname(&names) == 0) machine.kernel = names.release;
  const std::string pages = root + "/sys/kernel/mm/hugepages/hugepages-2048kB/";
  machine.hugepages = number_in(pages + "nr_hugepages");
  machine.hugepages_free = number_in(pages + "free_hugepages");
  machine.memory_mb = available_mb(root);
  machine.iommu = !names_in(root + "/sys/kernel/iommu_groups").empty();
  const config::Environment environment = config::system_environment();
  machine.cpus = environment.cpus().value_or(std::vector<unsigned>{});
  machine.clock_synchronised = environment.clock_synchronised();
  read_pci(root, machine);
  read_wires(root, machine);
  read_addresses(machine);
  read_default_gateway(root, machine);
  read_sysctls(root, machine);
  read_firewall(root, machine);
  for (const auto& file : files)
    if (const auto mode = environment.file_mode(file)) machine.modes[file] = *mode;
  return machine;
}

}  // namespace wg::control::cli
