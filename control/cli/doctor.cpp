#include "control/cli/doctor.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <ostream>

#include "config/lint.h"
#include "config/parse.h"
#include "config/scalars.h"
#include "control/api/members.h"
#include "control/cli/call.h"

namespace wg::control::cli {
namespace {

using Findings = std::vector<Finding>;

bool is_error(const config::Problem& problem) {
  return problem.severity == config::Severity::kError;
}

// ---------------------------------------------------------------- the checks

void check_versions(const Patient& patient, Findings& out) {
  std::string text = "linegate " + patient.build.version + ", " + patient.build.dpdk_version + ", AEAD " +
                     patient.build.aead + ", Linux " + patient.machine.kernel;
  const std::string running =
      patient.running ? members::text(*patient.running, "version") : patient.build.version;
  if (running == patient.build.version) {
    out.push_back({"versions", Verdict::kOk, std::move(text), ""});
    return;
  }
  out.push_back({"versions", Verdict::kWarning, text + "; the running gateway is linegate " + running,
                 "restart it: systemctl restart linegate"});
}

// A problem without a position is about the file itself: it cannot be read.
std::string remedy_of(const config::Problem& problem, const Patient& patient) {
  if (patient.config || problem.at.known()) return {};
  if (access(patient.config_path.c_str(), F_OK) == 0) return "read it as root: sudo linegate doctor";
  return "linegate init -c " + patient.config_path + " writes a first one; -c FILE names another";
}

void check_config(const Patient& patient, Findings& out) {
  const auto errors = std::count_if(patient.problems.begin(), patient.problems.end(), is_error);
  for (const auto& problem : patient.problems)
    if (problem.severity != config::Severity::kNote)
      out.push_back({"configuration", is_error(problem) ? Verdict::kFault : Verdict::kWarning,
                     config::to_string(problem), remedy_of(problem, patient)});
  if (errors == 0 && patient.config)
    out.push_back({"configuration", Verdict::kOk, patient.config_path + " can be used", ""});
}

void check_running(const Patient& patient, Findings& out) {
  if (!patient.running) {
    if (patient.may_ask)
      out.push_back({"gateway", Verdict::kWarning, "it does not run", "start it: systemctl start linegate"});
    else
      out.push_back({"gateway", Verdict::kWarning, "it cannot be asked: no permission for its socket",
                     "run it as root: sudo linegate doctor"});
    return;
  }
  out.push_back({"gateway", Verdict::kOk, "it runs, pid " + members::digits(*patient.running, "pid"), ""});
  for (const Json& warning : members::list(*patient.running, "warnings"))
    if (warning.is_string()) out.push_back({"gateway", Verdict::kWarning, warning.get<std::string>(), ""});
}

void check_cores(const Patient& patient, Findings& out) {
  const std::size_t cores = patient.machine.cpus.size();
  std::size_t workers = 1;
  if (patient.config) {
    const auto& wanted = patient.config->dpdk.workers;
    workers = wanted.lcores.empty() ? wanted.count : wanted.lcores.size();
  }
  const std::string text = std::to_string(cores) + " cores, " + std::to_string(workers) + " for workers";
  if (workers > cores)
    out.push_back({"cores", Verdict::kFault, text, "lower dpdk.workers"});
  else if (workers == cores)
    out.push_back({"cores", Verdict::kWarning, text + ": none is left for handshakes and Linux",
                   "leave one core: lower dpdk.workers"});
  else
    out.push_back({"cores", Verdict::kOk, text, ""});
}

constexpr const char* kHugepagesRemedy =
    "/usr/share/linegate/scripts/setup-hugepages.sh MB, and vm.nr_hugepages in /etc/sysctl.d";

void check_hugepages(const Patient& patient, Findings& out) {
  const auto use = patient.config ? patient.config->dpdk.hugepages : config::Hugepages::kAuto;
  const unsigned mb = 2 * patient.machine.hugepages;
  if (use == config::Hugepages::kOff) {
    out.push_back(
        {"hugepages", Verdict::kNote, "dpdk.hugepages is off: ordinary memory is used, which is slower", ""});
    return;
  }
  if (mb == 0) {
    const bool needed = use == config::Hugepages::kRequire;
    out.push_back(
        {"hugepages", needed ? Verdict::kFault : Verdict::kWarning, "none is reserved", kHugepagesRemedy});
    return;
  }
  const std::uint64_t wanted = patient.config ? patient.config->dpdk.memory.bytes >> 20 : 512;
  const bool enough = mb >= wanted;
  out.push_back({"hugepages", enough ? Verdict::kOk : Verdict::kWarning,
                 std::to_string(mb) + " MB reserved, dpdk.memory asks for " + std::to_string(wanted) + " MB",
                 enough ? "" : kHugepagesRemedy});
}

void check_memory(const Patient& patient, Findings& out) {
  const std::uint64_t mb = patient.machine.memory_mb;
  const bool little = mb < 256;
  out.push_back({"memory", little ? Verdict::kWarning : Verdict::kOk, std::to_string(mb) + " MB available",
                 little ? "lower dpdk.memory, or give the machine more" : ""});
}

void check_clock(const Patient& patient, Findings& out) {
  if (patient.machine.clock_synchronised.value_or(true)) {
    out.push_back({"clock", Verdict::kOk, "synchronised", ""});
    return;
  }
  out.push_back({"clock", Verdict::kWarning,
                 "not synchronised: peers refuse a gateway whose clock went back, until it has caught up",
                 "run an NTP client: apt install chrony"});
}

void check_sysctls(const Patient& patient, Findings& out) {
  const auto value = [&](const char* name) {
    const auto found = patient.machine.sysctls.find(name);
    return found == patient.machine.sysctls.end() ? std::string() : found->second;
  };
  if (value("net/ipv4/conf/all/rp_filter") == "1")
    out.push_back({"sysctls", Verdict::kWarning,
                   "net.ipv4.conf.all.rp_filter is 1: Linux drops packets that arrive by another interface "
                   "than the reply would use",
                   "sysctl -w net.ipv4.conf.all.rp_filter=0"});
  else
    out.push_back({"sysctls", Verdict::kOk, "rp_filter leaves the choice to the gateway", ""});
}

void check_wire(const std::string& name, const config::Port& port, const Machine& machine, Findings& out) {
  const std::string wire = config::wire_of(port.device);
  const auto found = machine.wires.find(wire);
  if (found == machine.wires.end()) {
    out.push_back({"ports", Verdict::kFault, name + ": this machine has no network interface " + wire,
                   "ip link; correct ports." + name + ".device"});
    return;
  }
  const Wire& state = found->second;
  bool fine = true;
  const auto complain = [&](Verdict verdict, const std::string& text, const std::string& remedy) {
    fine = false;
    out.push_back({"ports", verdict, name + ": " + text, remedy});
  };
  if (!state.addresses.empty())
    complain(
        Verdict::kFault,
        wire + " keeps the address " + state.addresses.front() + ": Linux sends by it and not by " + name,
        "ip addr flush dev " + wire + "; the address belongs to ports." + name + ".addresses");
  if (!state.up)
    complain(Verdict::kWarning, wire + " is down", "ip link set " + wire + " up; look at the cable");
  if (state.mtu != 0 && state.mtu < port.mtu)
    complain(
        Verdict::kFault,
        wire + " has MTU " + std::to_string(state.mtu) + ", less than the " + std::to_string(port.mtu) +
            " of the port: larger packets are lost",
        "ip link set " + wire + " mtu " + std::to_string(port.mtu) + ", or lower ports." + name + ".mtu");
  if (fine)
    out.push_back({"ports", Verdict::kOk, name + ": " + wire + " is up, without an address of its own", ""});
}

void check_card(const std::string& name, const config::Port& port, const Machine& machine, Findings& out) {
  const auto found = machine.drivers.find(port.device.text);
  if (found == machine.drivers.end()) {
    out.push_back({"ports", Verdict::kFault, name + ": this machine has no PCI device " + port.device.text,
                   "dpdk-devbind.py --status lists them"});
    return;
  }
  const std::string driver = found->second.empty() ? "no driver" : found->second;
  const bool ready = driver == "vfio-pci" || driver.starts_with("mlx");
  out.push_back({"ports", ready ? Verdict::kOk : Verdict::kFault,
                 name + ": " + port.device.text + " is bound to " + driver,
                 ready ? "" : "/usr/share/linegate/scripts/bind-port.sh " + port.device.text});
  if (ready && driver == "vfio-pci" && !machine.iommu)
    out.push_back({"ports", Verdict::kWarning,
                   name + ": there is no IOMMU, so the card may write to any memory",
                   "enable VT-d or AMD-Vi in the firmware, and boot with intel_iommu=on or amd_iommu=on"});
}

void check_ports(const Patient& patient, Findings& out) {
  if (!patient.config) return;
  for (const auto& [name, port] : patient.config->ports) {
    if (port.device.kind == config::DeviceKind::kPci) check_card(name, port, patient.machine, out);
    if (!config::wire_of(port.device).empty()) check_wire(name, port, patient.machine, out);
  }
}

void check_firewall(const Patient& patient, Findings& out) {
  const Machine& machine = patient.machine;
  const bool short_cut = !patient.config || config::uses_short_cut(*patient.config);
  std::string names;
  for (const auto& chain : machine.firewall.value_or(std::vector<FirewallChain>{}))
    names += (names.empty() ? "" : ", ") + chain.name;
  if (machine.iptables) names += names.empty() ? "iptables" : ", iptables";
  if (names.empty()) {
    const bool known = machine.firewall.has_value();
    out.push_back(
        {"firewall", known ? Verdict::kOk : Verdict::kNote,
         known ? "no rules for forwarded packets" : "cannot be read: nft is missing, or root is needed", ""});
    return;
  }
  out.push_back(
      {"firewall", short_cut ? Verdict::kWarning : Verdict::kOk,
       short_cut ? "there are rules for forwarded packets (" + names +
                       "), and packets of the short cut may pass them by"
                 : "rules for forwarded packets (" + names + ") apply: forwarding is kernel",
       short_cut ? "forwarding: kernel, for the interfaces or ports whose packets they are for" : ""});
}

void check_modes(const Patient& patient, Findings& out) {
  if (patient.machine.modes.empty()) return;  // no file was found
  bool fine = true;
  for (const auto& [path, mode] : patient.machine.modes) {
    const bool is_key = path.ends_with(".key") || path.ends_with(".psk");
    const unsigned forbidden = is_key ? 077 : 022;
    if ((mode & forbidden) == 0) continue;
    fine = false;
    out.push_back({"file modes", Verdict::kWarning,
                   path + " may be " + (is_key ? "read" : "written") + " by others",
                   is_key ? "chmod 0600 " + path : "chmod go-w " + path});
  }
  if (fine)
    out.push_back({"file modes", Verdict::kOk,
                   patient.config
                       ? "no other user can read the keys or write the configuration"
                       : "no other user can write the configuration; which keys it names is not known",
                   ""});
}

constexpr void (*kChecks[])(const Patient&, Findings&) = {
    check_versions, check_config,  check_running,  check_cores, check_hugepages, check_memory,
    check_ports,    check_sysctls, check_firewall, check_clock, check_modes};

// ---------------------------------------------------------------- the command

constexpr const char* kVerdictNames[] = {"ok", "note", "warning", "fault"};
constexpr Tone kVerdictTones[] = {Tone::kGood, Tone::kPlain, Tone::kWarning, Tone::kBad};

std::vector<std::string> files_to_examine(const std::string& config_path,
                                          const std::optional<config::Gateway>& config) {
  std::vector<std::string> files{config_path};
  if (!config) return files;
  files.push_back(config->control.state_directory);
  for (const auto& [name, interface] : config->interfaces)
    if (!interface.private_key_file.empty())
      files.push_back(config::relative_to_file(config_path, interface.private_key_file));
  return files;
}

Patient admit(const std::string& config_path, const std::string& socket) {
  Patient patient;
  patient.config_path = config_path;
  patient.build = build_facts();
  auto parsed = config::parse_file(config_path);
  patient.problems = parsed ? config::lint(*parsed) : parsed.error();
  if (parsed) patient.config = *std::move(parsed);
  patient.machine = read_machine("", files_to_examine(config_path, patient.config));
  patient.may_ask = access(socket.c_str(), W_OK) == 0 || errno != EACCES;
  try {
    patient.running = RpcClient(socket, Access::kAny).call("show.gateway");
  } catch (const CommandFailed&) {
    patient.running.reset();
  }
  return patient;
}

void print(const Findings& findings, Terminal& terminal) {
  for (const auto& finding : findings) {
    const auto verdict = static_cast<std::size_t>(finding.verdict);
    const std::string word = kVerdictNames[verdict];
    const std::string text =
        wrapped(std::string(9, ' ') + finding.check + ": " + finding.text, 11, terminal.layout);
    terminal.out << painted(word, kVerdictTones[verdict], terminal.layout) << text.substr(word.size())
                 << "\n";
    if (!finding.remedy.empty())
      terminal.out << wrapped(std::string(11, ' ') + "do: " + finding.remedy, 15, terminal.layout) << "\n";
  }
}

Json to_json(const Findings& findings) {
  Json rows = Json::array();
  for (const auto& finding : findings)
    rows.push_back({{"check", finding.check},
                    {"verdict", kVerdictNames[static_cast<std::size_t>(finding.verdict)]},
                    {"text", finding.text},
                    {"remedy", finding.remedy.empty() ? Json(nullptr) : Json(finding.remedy)}});
  return {{"findings", std::move(rows)}};
}

}  // namespace

std::vector<Finding> examine(const Patient& patient) {
  Findings findings;
  for (const auto check : kChecks) check(patient, findings);
  return findings;
}

void add_doctor(CLI::App& app, Invocation& invocation) {
  struct Options {
    std::string config = kDefaultConfig;
    bool json = false;
  };
  const auto options = std::make_shared<Options>();
  auto* command =
      app.add_subcommand("doctor", "Examine this machine: what keeps a gateway from working well");
  command->add_option("-c,--config", options->config, "Configuration file (YAML)")
      ->type_name("FILE")
      ->capture_default_str();
  command->add_flag("--json", options->json, "Print JSON");
  command->callback([options, &invocation] {
    const auto findings = examine(admit(options->config, invocation.socket));
    if (options->json) {
      invocation.terminal.out << dump(to_json(findings)) << "\n";
    } else {
      print(findings, invocation.terminal);
    }
    const bool ill = std::any_of(findings.begin(), findings.end(),
                                 [](const Finding& finding) { return finding.verdict >= Verdict::kWarning; });
    invocation.exit_code = ill ? kNotAsItShould : kDone;
  });
}

}  // namespace wg::control::cli
