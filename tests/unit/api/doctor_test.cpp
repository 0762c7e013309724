// What `linegate doctor` finds: a machine in good health, and one thing wrong at a time.
#include "control/cli/doctor.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "config/parse.h"
#include "tests/unit/api/fake_gateway.h"

namespace wg::control::cli::doctor_test {
namespace {

constexpr const char* kConfig =
    "dpdk: { workers: 2, memory: 512M }\n"
    "ports:\n"
    "  wan0: { device: \"0000:03:00.0\", addresses: [203.0.113.2/24], gateway: 203.0.113.1 }\n"
    "  lan0: { device: \"linux:eth1\", addresses: [192.168.1.1/24] }\n"
    "interfaces:\n"
    "  wg0: { private_key: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=, listen_port: 51820 }\n";

Patient healthy() {
  Patient patient;
  patient.config_path = "/etc/linegate/linegate.yaml";
  auto parsed = config::parse_text(kConfig, patient.config_path);
  EXPECT_TRUE(parsed) << config::to_string(parsed.error());
  patient.config = *std::move(parsed);
  patient.build = {"0.1.0", "DPDK 22.11.9", "avx2", {"portable", "avx2"}};
  patient.running = Json{{"version", "0.1.0"}, {"pid", 4711}, {"warnings", Json::array()}};
  Machine& machine = patient.machine;
  machine.kernel = "6.1.0";
  machine.hugepages = machine.hugepages_free = 384;
  machine.memory_mb = 2048;
  machine.iommu = true;
  machine.cpus = {0, 1, 2, 3};
  machine.clock_synchronised = true;
  machine.wires["eth1"].up = true;
  machine.wires["eth1"].mtu = 1500;
  machine.drivers["0000:03:00.0"] = "vfio-pci";
  machine.sysctls["net/ipv4/conf/all/rp_filter"] = "0";
  machine.modes = {
      {"/etc/linegate/linegate.yaml", 0640}, {"/etc/linegate/wg0.key", 0600}, {"/var/lib/linegate", 0700}};
  machine.firewall.emplace();
  return patient;
}

std::string worst(const Patient& patient) {
  std::string text;
  Verdict verdict = Verdict::kOk;
  for (const auto& finding : examine(patient)) {
    if (finding.verdict <= verdict) continue;
    verdict = finding.verdict;
    text = finding.check + ": " + finding.text + (finding.remedy.empty() ? "" : "; do: " + finding.remedy);
  }
  const char* names[] = {"ok", "note ", "warning ", "fault "};
  return names[static_cast<std::size_t>(verdict)] + text;
}

TEST(Doctor, AHealthyMachineHasNoComplaint) {
  EXPECT_EQ(worst(healthy()), "ok");
  std::string checks;
  for (const auto& finding : examine(healthy()))
    if (checks.find(finding.check) == std::string::npos) checks += finding.check + " ";
  EXPECT_EQ(checks,
            "versions configuration gateway cores hugepages memory ports sysctls firewall clock file modes ");
}

struct Row {
  void (*harm)(Patient& patient);
  const char* expected;
};

const Row kRows[] = {
    {[](Patient& p) { (*p.running)["version"] = "0.0.9"; },
     "warning versions: linegate 0.1.0, DPDK 22.11.9, AEAD avx2, Linux 6.1.0; the running gateway is "
     "linegate 0.0.9; "
     "do: restart it: systemctl restart linegate"},
    {[](Patient& p) { p.running.reset(); },
     "warning gateway: it does not run; do: start it: systemctl start linegate"},
    {[](Patient& p) { (*p.running)["warnings"].push_back("port wan0: its wire is gone"); },
     "warning gateway: port wan0: its wire is gone"},
    {[](Patient& p) {
       p.config.reset();
       p.problems = {{"a.yaml", {0, 3, 5}, "x", "is wrong", config::Severity::kError}};
     },
     "fault configuration: a.yaml:3:5: x: is wrong"},
    {[](Patient& p) {
       p.problems = {{"a.yaml", {0, 3, 5}, "x", "is odd", config::Severity::kWarning}};
     },
     "warning configuration: a.yaml:3:5: warning: x: is odd"},
    {[](Patient& p) { p.machine.cpus = {0}; }, "fault cores: 1 cores, 2 for workers; do: lower dpdk.workers"},
    {[](Patient& p) {
       p.machine.cpus = {0, 1};
     },
     "warning cores: 2 cores, 2 for workers: none is left for handshakes and Linux; do: leave one core: "
     "lower "
     "dpdk.workers"},
    {[](Patient& p) { p.machine.hugepages = 0; },
     "warning hugepages: none is reserved; do: /usr/share/linegate/scripts/setup-hugepages.sh MB, and "
     "vm.nr_hugepages "
     "in /etc/sysctl.d"},
    {[](Patient& p) {
       p.machine.hugepages = 0;
       p.config->dpdk.hugepages = config::Hugepages::kRequire;
     },
     "fault hugepages: none is reserved; do: /usr/share/linegate/scripts/setup-hugepages.sh MB, and "
     "vm.nr_hugepages "
     "in /etc/sysctl.d"},
    {[](Patient& p) { p.config->dpdk.hugepages = config::Hugepages::kOff; },
     "note hugepages: dpdk.hugepages is off: ordinary memory is used, which is slower"},
    {[](Patient& p) { p.machine.hugepages = 100; },
     "warning hugepages: 200 MB reserved, dpdk.memory asks for 512 MB; do: "
     "/usr/share/linegate/scripts/setup-hugepages.sh MB, and vm.nr_hugepages in /etc/sysctl.d"},
    {[](Patient& p) { p.machine.memory_mb = 100; },
     "warning memory: 100 MB available; do: lower dpdk.memory, or give the machine more"},
    {[](Patient& p) { p.machine.clock_synchronised = false; },
     "warning clock: not synchronised: peers refuse a gateway whose clock went back, until it has caught up; "
     "do: run an "
     "NTP client: apt install chrony"},
    {[](Patient& p) { p.machine.sysctls["net/ipv4/conf/all/rp_filter"] = "1"; },
     "warning sysctls: net.ipv4.conf.all.rp_filter is 1: Linux drops packets that arrive by another "
     "interface "
     "than the reply would use; "
     "do: sysctl -w net.ipv4.conf.all.rp_filter=0"},
    {[](Patient& p) { p.machine.wires["eth1"].addresses = {"192.168.1.1"}; },
     "fault ports: lan0: eth1 keeps the address 192.168.1.1: Linux sends by it and not by lan0; do: ip addr "
     "flush dev "
     "eth1; the address belongs to ports.lan0.addresses"},
    {[](Patient& p) { p.machine.wires["eth1"].up = false; },
     "warning ports: lan0: eth1 is down; do: ip link set eth1 up; look at the cable"},
    {[](Patient& p) { p.machine.wires["eth1"].mtu = 1400; },
     "fault ports: lan0: eth1 has MTU 1400, less than the 1500 of the port: larger packets are lost; do: ip "
     "link set "
     "eth1 mtu 1500, or lower ports.lan0.mtu"},
    {[](Patient& p) { p.machine.wires.clear(); },
     "fault ports: lan0: this machine has no network interface eth1; do: ip link; correct ports.lan0.device"},
    {[](Patient& p) { p.machine.drivers.clear(); },
     "fault ports: wan0: this machine has no PCI device 0000:03:00.0; do: dpdk-devbind.py --status lists "
     "them"},
    {[](Patient& p) { p.machine.drivers["0000:03:00.0"] = "ixgbe"; },
     "fault ports: wan0: 0000:03:00.0 is bound to ixgbe; do: /usr/share/linegate/scripts/bind-port.sh "
     "0000:03:00.0"},
    {[](Patient& p) { p.machine.iommu = false; },
     "warning ports: wan0: there is no IOMMU, so the card may write to any memory; do: enable VT-d or AMD-Vi "
     "in the "
     "firmware, and boot with intel_iommu=on or amd_iommu=on"},
    {[](Patient& p) {
       p.machine.firewall = {{"inet fw forward", "forward", true, false}};
     },
     "warning firewall: there are rules for forwarded packets (inet fw forward), and packets of the short "
     "cut may pass "
     "them by; do: forwarding: kernel, for the interfaces or ports whose packets they are for"},
    {[](Patient& p) { p.machine.iptables = true; },
     "warning firewall: there are rules for forwarded packets (iptables), and packets of the short cut may "
     "pass them "
     "by; do: forwarding: kernel, for the interfaces or ports whose packets they are for"},
    {[](Patient& p) {
       p.machine.iptables = true;
       p.config->interfaces["wg0"].forwarding = config::Forwarding::kKernel;
     },
     "ok"},
    {[](Patient& p) {
       p.machine.iptables = true;
       p.config->interfaces["wg0"].forwarding = config::Forwarding::kKernel;
       for (auto& [name, port] : p.config->ports) port.port_to_port = true;
     },
     "warning firewall: there are rules for forwarded packets (iptables), and packets of the short cut may "
     "pass them by; do: forwarding: kernel, for the interfaces or ports whose packets they are for"},
    {[](Patient& p) { p.machine.firewall.reset(); },
     "note firewall: cannot be read: nft is missing, or root is needed"},
    {[](Patient& p) { p.machine.modes["/etc/linegate/wg0.key"] = 0644; },
     "warning file modes: /etc/linegate/wg0.key may be read by others; do: chmod 0600 /etc/linegate/wg0.key"},
    {[](Patient& p) { p.machine.modes["/var/lib/linegate"] = 0777; },
     "warning file modes: /var/lib/linegate may be written by others; do: chmod go-w /var/lib/linegate"},
};

TEST(Doctor, FindsEachFaultWithItsRemedy) {
  for (const Row& row : kRows) {
    Patient patient = healthy();
    row.harm(patient);
    EXPECT_EQ(worst(patient), row.expected);
  }
}

TEST(Doctor, ReadsTheMachine) {
  const auto root = std::filesystem::temp_directory_path() / ("linegate-doctor-" + std::to_string(getpid()));
  const auto write = [&](const std::string& path, const std::string& text) {
    std::filesystem::create_directories((root / path).parent_path());
    std::ofstream(root / path) << text;
  };
  write("sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "384\n");
  write("sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "12\n");
  write("proc/meminfo", "MemTotal: 9 kB\nMemAvailable:    2097152 kB\n");
  write("sys/kernel/iommu_groups/0/type", "DMA\n");
  write("sys/class/net/eth7/mtu", "9000\n");
  write("sys/class/net/eth7/operstate", "down\n");
  write("sys/class/net/eth7/type", "1\n");
  write("sys/class/net/lo/mtu", "65536\n");
  write("proc/net/route",
        "Iface\tDestination\tGateway\neth7\t0001A8C0\t00000000\neth7\t00000000\t0171CBCB\n");
  write("sys/bus/pci/drivers/vfio-pci/bind", "");
  write("sys/bus/pci/devices/0000:03:00.1/vendor", "0x8086\n");
  std::filesystem::create_directory_symlink(root / "sys/bus/pci/drivers/vfio-pci",
                                            root / "sys/bus/pci/devices/0000:03:00.1/driver");
  write("proc/sys/net/ipv4/conf/all/rp_filter", "1\n");
  write("proc/net/ip_tables_names", "filter\n");
  write("key", "x");
  std::filesystem::permissions(root / "key", std::filesystem::perms{0640});
  const Machine machine = read_machine(root.string(), {(root / "key").string(), (root / "none").string()});
  EXPECT_EQ(machine.hugepages, 384U);
  EXPECT_EQ(machine.hugepages_free, 12U);
  EXPECT_EQ(machine.memory_mb, 2048U);
  EXPECT_TRUE(machine.iommu);
  EXPECT_EQ(machine.wires.at("eth7").mtu, 9000U);
  EXPECT_FALSE(machine.wires.at("eth7").up);
  EXPECT_TRUE(machine.wires.at("eth7").ethernet);
  EXPECT_EQ(machine.default_gateway, "203.203.113.1");
  EXPECT_EQ(machine.wires.at("lo").subnets.at(0), "127.0.0.1/8");
  EXPECT_EQ(machine.drivers.at("0000:03:00.1"), "vfio-pci");
  EXPECT_EQ(machine.sysctls.at("net/ipv4/conf/all/rp_filter"), "1");
  EXPECT_TRUE(machine.iptables);
  EXPECT_EQ(machine.modes.size(), 1U);
  EXPECT_EQ(machine.modes.begin()->second, 0640U);
  EXPECT_FALSE(machine.cpus.empty());
  EXPECT_FALSE(machine.kernel.empty());
  std::filesystem::remove_all(root);
}

TEST(Doctor, ReadsWhatNftPrints) {
  const auto chains = parse_chains(
      R"({"nftables": [{"metainfo": {"version": "1.0.6"}},
          {"chain": {"family": "inet", "table": "fw", "name": "fwd", "handle": 1, "type": "filter", "hook": "forward", "prio": 0, "policy": "drop"}},
          {"chain": {"family": "ip", "table": "nat", "name": "post", "handle": 2, "type": "nat", "hook": "postrouting", "prio": 100, "policy": "accept"}},
          {"chain": {"family": "inet", "table": "fw", "name": "in", "handle": 3, "type": "filter", "hook": "input", "prio": 0, "policy": "drop"}},
          {"chain": {"family": "inet", "table": "fw", "name": "helper", "handle": 4}}]})");
  ASSERT_TRUE(chains);
  ASSERT_EQ(chains->size(), 2U);
  EXPECT_EQ((*chains)[0].name, "inet fw fwd");
  EXPECT_TRUE((*chains)[0].drops);
  EXPECT_EQ((*chains)[1].hook, "postrouting");
  EXPECT_TRUE((*chains)[1].nat);
  EXPECT_FALSE(parse_chains("nft: command not found"));
}

}  // namespace
}  // namespace wg::control::cli::doctor_test
