// init: writes a first configuration and its key. Asks on a terminal, and takes every answer as an option.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <istream>
#include <memory>
#include <ostream>

#include "config/import_wg_quick.h"
#include "config/parse.h"
#include "config/scalars.h"
#include "control/cli/cli.h"
#include "control/cli/machine.h"
#include "control/cli/new_key.h"
#include "control/cli/suggestion.h"

namespace wg::control::cli {
namespace {

constexpr const char* kKeyFile = "wg0.key";

struct InitOptions {
  std::string config = kDefaultConfig;
  std::string wan, wan_address, gateway, lan, lan_address, tunnel;
  std::string listen_port;
  bool force = false, yes = false;
};

// Asks for what was not given; without a terminal, or with --yes, the proposal is the answer.
class Questions {
 public:
  Questions(Terminal& terminal, bool ask) : terminal_(terminal), ask_(ask) {}

  // `proposal` may be empty: then an empty answer is none.
  void answer(std::string& value, const std::string& question, const std::string& proposal) {
    if (!value.empty()) return;
    if (ask_) {
      terminal_.out << question << (proposal.empty() ? "" : " [" + proposal + "]") << ": " << std::flush;
      std::getline(terminal_.in, value);
    }
    if (value.empty()) value = proposal;
  }

 private:
  Terminal& terminal_;
  bool ask_;
};

// Candidates for a port, the likeliest first: cards that vfio-pci holds, the interface of the default route,
// other cards, then interfaces made by software (veth) that are up.
std::vector<std::string> possible_ports(const Machine& machine) {
  std::vector<std::string> ports;
  for (const auto& [address, driver] : machine.drivers)
    if (driver == "vfio-pci") ports.push_back(address);
  const auto add_wires = [&](auto fits) {
    for (const auto& [name, wire] : machine.wires)
      if (wire.ethernet && fits(name, wire) && std::find(ports.begin(), ports.end(), name) == ports.end())
        ports.push_back(name);
  };
  add_wires([&](const auto& name, const Wire&) { return name == machine.default_wire; });
  add_wires([](const auto&, const Wire& wire) { return wire.physical; });
  add_wires([](const auto&, const Wire& wire) { return wire.up; });
  return ports;
}

std::string device_of(const std::string& port) {
  if (port.find(':') != std::string::npos || port.find(',') != std::string::npos || port == "tap")
    return port;
  return std::string(config::kLinuxDevice) + port;
}

std::string first_address(const Machine& machine, const std::string& wire, const std::string& otherwise) {
  const auto found = machine.wires.find(wire);
  return found == machine.wires.end() || found->second.subnets.empty() ? otherwise
                                                                       : found->second.subnets.front();
}

void ask_all(InitOptions& options, const Machine& machine, Questions& questions) {
  const auto ports = possible_ports(machine);
  std::string list;
  for (const auto& port : ports) list += (list.empty() ? "" : " ") + port;
  const std::string found = list.empty() ? "" : " (found: " + list + ")";
  questions.answer(options.wan, "Port towards the internet: interface or PCI address" + found,
                   ports.empty() ? "" : ports[0]);
  questions.answer(options.wan_address, "Its address with length", first_address(machine, options.wan, ""));
  questions.answer(options.gateway, "Its gateway", machine.default_gateway);
  questions.answer(options.lan, "Port towards the LAN, none for no such port",
                   ports.size() > 1 ? ports[1] : "none");
  if (options.lan != "none")
    questions.answer(options.lan_address, "Its address with length",
                     first_address(machine, options.lan, "192.168.1.1/24"));
  questions.answer(options.tunnel, "Address of this gateway in the tunnel, with length", "10.10.0.1/24");
  questions.answer(options.listen_port, "UDP port for WireGuard", "51820");
}

void require(const std::string& value, const char* option) {
  if (value.empty())
    throw CommandFailed(kBadUsage, std::string(option) + " is needed: it cannot be found out here");
}

std::string port_lines(const std::string& name, const std::string& device, const std::string& address,
                       const std::string& gateway) {
  return "  " + name + ":\n    device: \"" + device + "\"\n    addresses: [\"" + address + "\"]\n" +
         (gateway.empty() ? "" : "    gateway: \"" + gateway + "\"\n");
}

std::string yaml_of(const InitOptions& options, std::size_t cores) {
  std::string text =
      "# Written by `linegate init`. docs/configuration.md has every key.\n\ndpdk:\n  workers: " +
      std::to_string(std::max<std::size_t>(cores, 2) - 1) + "\n\nports:\n";
  text += port_lines("wan0", device_of(options.wan), options.wan_address,
                     options.gateway == "none" ? "" : options.gateway);
  if (options.lan != "none") text += port_lines("lan0", device_of(options.lan), options.lan_address, "");
  return text + "\ninterfaces:\n  wg0:\n    private_key_file: " + kKeyFile +
         "\n    listen_port: " + options.listen_port + "\n    addresses: [\"" + options.tunnel +
         "\"]\n    # peers: linegate peer add NAME\n";
}

[[noreturn]] void refuse(const char* option, const std::string& word, const std::string& reason) {
  throw CommandFailed(kBadUsage, std::string(option) + ": " + word + " " + reason);
}

void check_port(const char* option, const std::string& port, const Machine& machine) {
  const auto device = device_of(port);
  if (!device.starts_with(config::kLinuxDevice) || machine.wires.contains(port)) return;
  std::vector<std::string> names;
  for (const auto& [name, wire] : machine.wires) names.push_back(name);
  refuse(option, port, "is no network interface of this machine" + suggestion(port, names));
}

void check_subnet(const char* option, const std::string& word) {
  if (!config::parse_interface_address(word)) refuse(option, word, "is not ADDRESS/LENGTH");
}

// Each answer by itself, so that an error names the option and not a file that is not there yet.
void check_answers(const InitOptions& options, const Machine& machine) {
  check_port("--wan", options.wan, machine);
  check_subnet("--wan-address", options.wan_address);
  if (!options.gateway.empty() && options.gateway != "none" && !config::parse_address(options.gateway))
    refuse("--gateway", options.gateway, "is not an IP address");
  if (options.lan != "none") {
    check_port("--lan", options.lan, machine);
    check_subnet("--lan-address", options.lan_address);
  }
  check_subnet("--tunnel", options.tunnel);
  const auto port = config::parse_number(options.listen_port);
  if (!port || *port == 0 || *port > 65535) refuse("--listen-port", options.listen_port, "is not a UDP port");
}

// The text must pass every check before anything is written.
void check_text(const std::string& text, const std::string& path) {
  config::ParseOptions without_files;
  without_files.open_files = false;
  const auto parsed = config::parse_text(text, path, without_files);
  if (!parsed) throw CommandFailed(kBadUsage, config::to_string(parsed.error()) + "nothing was written");
}

// A key that is there is used and never replaced: peers know the gateway by it. True: a new one was made.
bool make_key(const std::string& config_path) {
  const std::string path = config::relative_to_file(config_path, kKeyFile);
  std::ifstream file(path);
  if (std::string text; file >> text) {
    const bool usable = config::parse_secret_key(text).has_value();
    config::wipe(text);
    if (usable) return false;
    throw CommandFailed(kFailed, path + " exists and is no key: move it away; nothing was written");
  }
  if (std::filesystem::exists(path))
    throw CommandFailed(kFailed, path + " exists and cannot be read: move it away; nothing was written");
  if (const auto done = config::write_key_file(path, new_private_key()); !done)
    throw CommandFailed(kFailed, done.error().about(path).text);
  return true;
}

// True: a new key was made.
bool write_files(const InitOptions& options, const std::string& text) {
  namespace fs = std::filesystem;
  std::error_code error;
  if (fs::is_directory(options.config, error))
    throw CommandFailed(kBadUsage, options.config + " is a directory: -c takes the name of a file");
  if (!options.force && fs::exists(options.config))
    throw CommandFailed(kFailed, options.config + " exists: use --force to replace it");
  const auto folder = fs::path(options.config).parent_path();
  if (!folder.empty()) fs::create_directories(folder, error);
  const bool new_key = make_key(options.config);
  if (const auto done = config::replace_file(options.config, text, 0600); !done)
    throw CommandFailed(kFailed, done.error().about(options.config).text);
  return new_key;
}

void print_next_steps(const InitOptions& options, bool new_key, const Machine& machine, std::ostream& out) {
  if (new_key)
    out << "written: " << options.config << " and " << kKeyFile << " beside it (both mode 0600)\n\nNext:\n";
  else
    out << "written: " << options.config << " (mode 0600); " << kKeyFile
        << " beside it was there and is used\n\nNext:\n";
  const std::string file = options.config == kDefaultConfig ? "" : " -c " + options.config;
  for (const auto& wire : {options.wan, options.lan})
    if (const auto found = machine.wires.find(wire);
        found != machine.wires.end() && !found->second.addresses.empty())
      out << "  ip addr flush dev " << wire << "    # its address belongs to the gateway now\n";
  out << "  linegate doctor" << file << "\n  linegate peer add NAME --qr" << file << "\n  linegate run"
      << file << (file.empty() ? "    # or: systemctl enable --now linegate\n" : "\n");
}

void init(InitOptions options, Invocation& invocation) {
  Terminal& terminal = invocation.terminal;
  const Machine machine = read_machine("", {});
  Questions questions(terminal, terminal.layout.terminal && !options.yes);
  ask_all(options, machine, questions);
  require(options.wan, "--wan");
  require(options.wan_address, "--wan-address");
  check_answers(options, machine);
  const auto text = yaml_of(options, machine.cpus.size());
  check_text(text, options.config);
  const bool new_key = write_files(options, text);
  print_next_steps(options, new_key, machine, terminal.out);
}

}  // namespace

void add_init(CLI::App& app, Invocation& invocation) {
  const auto options = std::make_shared<InitOptions>();
  auto* command =
      app.add_subcommand("init", "Write a first configuration and its key; prompts on a terminal");
  command->add_option("-c,--config", options->config, "Configuration file to write")
      ->type_name("FILE")
      ->capture_default_str();
  command
      ->add_option("--wan", options->wan, "Port towards the internet: interface, PCI address or DPDK device")
      ->type_name("PORT");
  command->add_option("--wan-address", options->wan_address, "Its address (default: what the interface has)")
      ->type_name("ADDRESS/LENGTH");
  command
      ->add_option("--gateway", options->gateway, "Its gateway, or none (default: that of the default route)")
      ->type_name("ADDRESS");
  command->add_option("--lan", options->lan, "Port towards the LAN, or none")->type_name("PORT");
  command->add_option("--lan-address", options->lan_address, "Its address")->type_name("ADDRESS/LENGTH");
  command->add_option("--tunnel", options->tunnel, "Address in the tunnel (default: 10.10.0.1/24)")
      ->type_name("ADDRESS/LENGTH");
  command->add_option("--listen-port", options->listen_port, "UDP port (default: 51820)")->type_name("PORT");
  command->add_flag("--force", options->force, "Replace the configuration that exists; its key stays");
  command->add_flag("-y,--yes", options->yes, "Ask nothing; use the values that were detected");
  command->callback([options, &invocation] { init(*options, invocation); });
}

}  // namespace wg::control::cli
