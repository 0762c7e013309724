// peer add, remove, disable, enable, list: edits the configuration file and keeps its comments.
#include <algorithm>
#include <filesystem>
#include <memory>
#include <ostream>

#include "config/client_file.h"
#include "config/free_address.h"
#include "config/save.h"
#include "config/validate.h"
#include "control/cli/call.h"
#include "control/cli/new_key.h"
#include "control/cli/options.h"
#include "control/cli/qr.h"
#include "control/cli/render.h"
#include "control/cli/suggestion.h"

namespace wg::control::cli {
namespace {

struct PeerOptions {
  std::string config = kDefaultConfig;
  std::string name, interface, address = "auto", public_key, endpoint, client_file;
  std::vector<std::string> allowed_ips, client_allowed_ips, dns;
  unsigned keepalive = 25;
  bool no_preshared_key = false, qr = false, reload = false, json = false;
};

// ---------------------------------------------------------------- the file

config::Gateway read_config(const std::string& path, Terminal& terminal,
                            const char* outcome = "nothing was changed") {
  auto parsed = config::parse_file(path);
  if (parsed) return *std::move(parsed);
  terminal.err << config::to_string(parsed.error());
  throw CommandFailed(kBadUsage, path + ": " + outcome);
}

std::vector<std::string> names_of(const std::map<std::string, config::Interface>& interfaces) {
  std::vector<std::string> names;
  for (const auto& [name, interface] : interfaces) names.push_back(name);
  return names;
}

using NamedInterface = std::pair<const std::string, config::Interface>;

NamedInterface& interface_of(config::Gateway& gateway, const std::string& name) {
  auto& all = gateway.interfaces;
  if (name.empty()) {
    if (all.size() == 1) return *all.begin();
    throw CommandFailed(kBadUsage, all.empty() ? "the file has no interface"
                                               : "the file has several interfaces: use --interface");
  }
  const auto found = all.find(name);
  if (found == all.end())
    throw CommandFailed(kFailed, "no interface " + name + suggestion(name, names_of(all)));
  return *found;
}

struct FoundPeer {
  config::Interface* interface;
  std::size_t index;
};

// Finds a peer by name or public key, on the interface that is named or on any.
FoundPeer find_peer(config::Gateway& gateway, const PeerOptions& options) {
  if (!options.interface.empty()) interface_of(gateway, options.interface);
  const auto key = config::parse_key(options.name);
  std::vector<FoundPeer> found;
  std::vector<std::string> names;
  for (auto& [name, interface] : gateway.interfaces) {
    if (!options.interface.empty() && name != options.interface) continue;
    for (std::size_t i = 0; i < interface.peers.size(); ++i) {
      names.push_back(interface.peers[i].name);
      if (names.back() == options.name || (key && interface.peers[i].public_key == *key))
        found.push_back({&interface, i});
    }
  }
  if (found.empty())
    throw CommandFailed(kFailed, "no peer " + options.name + suggestion(options.name, names));
  if (found.size() > 1)
    throw CommandFailed(kBadUsage, "peer " + options.name + " is on several interfaces: use --interface");
  return found.front();
}

// The differences as new texts of the files. Fails when the result would not be valid or not read as
// `wanted`.
config::Saved prepare(const PeerOptions& options, const config::Gateway& wanted, Terminal& terminal) {
  config::SaveOptions how;
  how.keep_disabled_peers = false;
  config::Problems problems = config::validate(wanted);
  if (problems.empty()) {
    auto saved = config::save(options.config, wanted, how);
    if (saved) return *std::move(saved);
    problems = std::move(saved.error());
  }
  terminal.err << config::to_string(problems);
  throw CommandFailed(kBadUsage, options.config + ": nothing was changed");
}

void write(config::Saved saved, Terminal& terminal) {
  const auto written = config::write(saved);
  for (auto& file : saved.files) config::wipe(file.text);
  if (!written) throw CommandFailed(kFailed, written.error().text);
  for (const auto& remark : saved.remarks) terminal.err << remark << "\n";
}

void apply_or_say_how(const PeerOptions& options, Invocation& invocation) {
  std::ostream& err = invocation.terminal.err;  // standard output may be the peer's file
  if (!options.reload) {
    err << "written to " << options.config << "; apply it: linegate reload\n";
    return;
  }
  const auto plan = RpcClient(invocation.socket, Access::kAdmin).call("reload", {{"dry_run", false}});
  render_plan(plan, err, err);
  if (!plan.value("ok", false))
    throw CommandFailed(kBadUsage, options.config + ": is written, but not applied");
}

// ---------------------------------------------------------------- add

[[noreturn]] void refuse(const std::string& option, const std::string& word, const std::string& allowed) {
  throw CommandFailed(kBadUsage, option + ": " + word + " is not " + allowed);
}

config::Prefix wanted_address(const config::Gateway& gateway, const config::Interface& interface,
                              const std::string& wanted) {
  const auto address = config::parse_address(wanted);
  if (!address) refuse("--address", wanted, "an IP address or auto");
  if (const auto reason = config::why_not_free(gateway, interface, *address))
    throw CommandFailed(kBadUsage, "--address: " + wanted + " " + *reason);
  return config::prefix_of(*address, address->bits());
}

// One single-address prefix for each subnet of the interface, or the one that was asked for.
std::vector<config::Prefix> addresses_for(const config::Gateway& gateway, const config::Interface& interface,
                                          const std::string& wanted) {
  if (wanted != "auto") return {wanted_address(gateway, interface, wanted)};
  std::vector<config::Prefix> addresses;
  for (const auto& own : interface.addresses) {
    const auto address = config::free_address(interface, own);
    if (!address) throw CommandFailed(kFailed, "no address is free in " + config::to_string(own));
    addresses.push_back(config::prefix_of(*address, address->bits()));
  }
  if (addresses.empty()) throw CommandFailed(kBadUsage, "the interface has no address: use --address");
  return addresses;
}

std::vector<config::Prefix> prefixes_of(const std::string& option, const std::vector<std::string>& words) {
  std::vector<config::Prefix> prefixes;
  for (const auto& word : words) {
    const auto prefix = config::parse_prefix(word);
    if (!prefix) refuse(option, word, "ADDRESS/LENGTH");
    if (config::parse_interface_address(word)->address != prefix->address)
      throw CommandFailed(kBadUsage, option + ": " + word + " has bits beyond its length; the network is " +
                                         config::to_string(*prefix));
    prefixes.push_back(*prefix);
  }
  return prefixes;
}

// Where the peer reaches us: as given, or the first address of the port that leads to the internet.
config::Endpoint endpoint_for(const config::Gateway& gateway, const config::Interface& interface,
                              const std::string& wanted) {
  if (!wanted.empty()) {
    const bool has_port = config::parse_endpoint(wanted).has_value();
    const auto parsed = config::parse_endpoint(
        has_port ? wanted : wanted + ":" + std::to_string(number_of(interface.listen_port)));
    if (!parsed) refuse("--endpoint", wanted, "HOST or HOST:PORT");
    return *parsed;
  }
  for (const auto& [name, port] : gateway.ports)
    if (!port.gateways.empty() && !port.addresses.empty())
      return {port.addresses.front().address, "", interface.listen_port};
  throw CommandFailed(kBadUsage,
                      "no port has a gateway, so our address is not known: use --endpoint HOST[:PORT]");
}

struct NewPeer {
  config::Peer peer;
  config::ClientFile client;
};

NewPeer make_peer(const config::Gateway& gateway, const config::Interface& interface,
                  const PeerOptions& options) {
  if (!interface.private_key) throw CommandFailed(kBadUsage, "the interface has no private key");
  if (interface.listen_port == config::kAnyPort)
    throw CommandFailed(kBadUsage, "the interface has no listen_port: a peer could not find us");
  NewPeer made;
  made.peer.name = options.name;
  made.peer.allowed_ips = addresses_for(gateway, interface, options.address);
  for (const auto& prefix : made.peer.allowed_ips)
    made.client.addresses.push_back({prefix.address, prefix.length});
  for (const auto& prefix : prefixes_of("--allowed-ips", options.allowed_ips))
    made.peer.allowed_ips.push_back(prefix);
  if (options.public_key.empty()) {
    made.client.private_key = new_private_key();
    made.peer.public_key = config::public_key_of(*made.client.private_key);
  } else if (const auto key = config::parse_key(options.public_key)) {
    made.peer.public_key = *key;
  } else {
    refuse("--public-key", options.public_key, "32 bytes in base64");
  }
  if (!options.no_preshared_key) made.peer.preshared_key = made.client.preshared_key = new_random_key();
  made.client.gateway_key = config::public_key_of(*interface.private_key);
  made.client.endpoint = endpoint_for(gateway, interface, options.endpoint);
  made.client.allowed_ips = prefixes_of("--client-allowed-ips", options.client_allowed_ips);
  if (made.client.allowed_ips.empty()) made.client.allowed_ips = config::networks_behind(gateway, interface);
  for (const auto& word : options.dns) {
    const auto address = config::parse_address(word);
    if (!address) refuse("--dns", word, "an IP address");
    made.client.dns.push_back(*address);
  }
  made.client.mtu = interface.mtu;
  made.client.persistent_keepalive = std::chrono::seconds{options.keepalive};
  return made;
}

// The file holds a key, and a name that is taken may be that of a key of ours, of the configuration or of a
// device.
void refuse_existing_file(const std::string& path) {
  std::error_code ignored;
  if (std::filesystem::exists(std::filesystem::symlink_status(path, ignored)))
    throw CommandFailed(kFailed, "--client-config: " + path + " exists already; nothing was changed");
}

void write_client_file(const std::string& path, const config::ClientFile& client) {
  auto text = config::to_wg_quick(client);
  const auto written = config::replace_file(path, text, 0600, 0700);
  config::wipe(text);
  if (!written) throw CommandFailed(kFailed, written.error().about(path).text);
}

// The peer's file as a QR code, or on standard output when it went into no file.
void print_client(const PeerOptions& options, const config::ClientFile& client, Terminal& terminal) {
  auto text = config::to_wg_quick(client);
  if (options.qr) {
    auto code = qr_code(text, terminal.layout.colour);
    terminal.out << code;
    config::wipe(code);
  } else if (options.client_file.empty()) {
    guard_secret_output(terminal);
    terminal.out << text;
  }
  config::wipe(text);
  if (!terminal.out.flush())
    throw CommandFailed(kFailed, "the peer's file cannot be printed; the configuration was not changed");
}

void add_peer(const PeerOptions& options, Invocation& invocation) {
  Terminal& terminal = invocation.terminal;
  if (options.qr && !options.public_key.empty())
    throw CommandFailed(kBadUsage,
                        "--qr needs the peer's private key, which --public-key leaves with the peer");
  if (!options.client_file.empty()) refuse_existing_file(options.client_file);
  if (!config::is_peer_name(options.name))
    throw CommandFailed(kBadUsage,
                        "NAME: '" + options.name + "' is not " + std::string(config::kAllowedPeerNames));
  auto gateway = read_config(options.config, terminal);
  auto& [interface_name, interface] = interface_of(gateway, options.interface);
  for (const auto& peer : interface.peers)
    if (peer.name == options.name)
      throw CommandFailed(kFailed, "peer " + options.name + " exists on " + interface_name);
  const NewPeer made = make_peer(gateway, interface, options);
  interface.peers.push_back(made.peer);
  auto saved = prepare(options, gateway, terminal);
  // Written before the configuration: a peer whose private key is lost would be of no use.
  if (!options.client_file.empty()) write_client_file(options.client_file, made.client);
  print_client(options, made.client, terminal);
  write(std::move(saved), terminal);
  terminal.err << "peer " << options.name << " of " << interface_name << ": "
               << config::to_string(made.peer.allowed_ips.front()) << "\n";
  apply_or_say_how(options, invocation);
}

// ---------------------------------------------------------------- remove, disable, enable, list

void remove_peer(const PeerOptions& options, Invocation& invocation) {
  auto gateway = read_config(options.config, invocation.terminal);
  const auto [interface, index] = find_peer(gateway, options);
  interface->peers.erase(interface->peers.begin() + static_cast<std::ptrdiff_t>(index));
  write(prepare(options, gateway, invocation.terminal), invocation.terminal);
  apply_or_say_how(options, invocation);
}

void enable_peer(const PeerOptions& options, bool enabled, Invocation& invocation) {
  auto gateway = read_config(options.config, invocation.terminal);
  const auto [interface, index] = find_peer(gateway, options);
  config::Peer& peer = interface->peers[index];
  if (peer.enabled == enabled) {
    invocation.terminal.err << "peer " << options.name << " is " << (enabled ? "enabled" : "disabled")
                            << " already\n";
    return;
  }
  peer.enabled = enabled;
  write(prepare(options, gateway, invocation.terminal), invocation.terminal);
  apply_or_say_how(options, invocation);
}

Json to_json(const std::string& interface, const config::Peer& peer) {
  Json allowed = Json::array();
  for (const auto& prefix : peer.allowed_ips) allowed.push_back(config::to_string(prefix));
  return {{"interface", interface},
          {"name", peer.name},
          {"public_key", config::to_string(peer.public_key)},
          {"enabled", peer.enabled},
          {"endpoint", peer.endpoint ? Json(config::to_string(*peer.endpoint)) : Json(nullptr)},
          {"allowed_ips", std::move(allowed)}};
}

void list_peers(const PeerOptions& options, Invocation& invocation) {
  auto gateway = read_config(options.config, invocation.terminal, "cannot be listed");
  if (!options.interface.empty()) interface_of(gateway, options.interface);
  Json rows = Json::array();
  for (const auto& [name, interface] : gateway.interfaces)
    for (const auto& peer : interface.peers)
      if (options.interface.empty() || options.interface == name) rows.push_back(to_json(name, peer));
  Terminal& terminal = invocation.terminal;
  if (options.json) {
    terminal.out << dump({{"peers", std::move(rows)}}) << "\n";
    return;
  }
  render_section(configured_peers_section(), {{"peers", std::move(rows)}}, {{}, terminal.layout},
                 terminal.out);
}

// ---------------------------------------------------------------- options

using Shared = std::shared_ptr<PeerOptions>;

void add_common(CLI::App& command, const Shared& options) {
  command.add_option("-c,--config", options->config, "Configuration file (YAML)")
      ->type_name("FILE")
      ->capture_default_str();
  command.add_option("--interface", options->interface, "The interface (default: the only one of the file)")
      ->type_name("INTERFACE");
}

void add_change(CLI::App& command, const Shared& options, bool exists) {
  command.add_option("name", options->name, exists ? "Name or public key" : "A name for people")
      ->required()
      ->type_name(exists ? "PEER" : "NAME");
  add_common(command, options);
  command.add_flag("--reload", options->reload, "Apply the file at once");
}

void add_add(CLI::App& parent, Invocation& invocation) {
  const auto options = std::make_shared<PeerOptions>();
  auto* command = parent.add_subcommand("add", "Add a peer to the file and print the file that it reads");
  add_change(*command, options, false);
  command
      ->add_option("--address", options->address, "Its address in the tunnel; auto: the lowest that is free")
      ->type_name("ADDRESS")
      ->capture_default_str();
  command->add_option("--allowed-ips", options->allowed_ips, "Networks behind the peer")
      ->type_name("PREFIX")
      ->allow_extra_args(false)
      ->delimiter(',');
  command->add_option("--public-key", options->public_key, "The peer has made its own key")->type_name("KEY");
  command->add_flag("--no-preshared-key", options->no_preshared_key, "Without a preshared key");
  command
      ->add_option("--endpoint", options->endpoint,
                   "Where the peer reaches us (default: address of the port with a gateway)")
      ->type_name("HOST");
  command
      ->add_option("--client-allowed-ips", options->client_allowed_ips,
                   "What the peer sends to us (default: the networks of the interface and of inner ports)")
      ->type_name("PREFIX")
      ->allow_extra_args(false)
      ->delimiter(',');
  command->add_option("--dns", options->dns, "Name servers of the peer")
      ->type_name("ADDRESS")
      ->allow_extra_args(false)
      ->delimiter(',');
  command->add_option("--keepalive", options->keepalive, "Persistent keepalive of the peer, 0: off")
      ->check(whole_number(0, 65535))
      ->type_name("SECONDS")
      ->capture_default_str();
  command
      ->add_option("--client-config", options->client_file,
                   "Write the peer's file here (mode 0600); -: standard output")
      ->type_name("FILE");
  command->add_flag("--qr", options->qr, "Draw the peer's file as a QR code, for a phone");
  command->callback([options, &invocation] {
    if (options->client_file == "-" && options->qr)
      throw CommandFailed(kBadUsage, "--client-config - and --qr both use standard output: choose one");
    if (options->client_file == "-") options->client_file.clear();
    add_peer(*options, invocation);
  });
}

}  // namespace

void add_peer_commands(CLI::App& app, Invocation& invocation) {
  auto* peer = app.add_subcommand("peer", "Add, remove and list the peers of the file");
  peer->require_subcommand(1);
  add_add(*peer, invocation);
  const auto change = [&](const char* name, const char* help, auto act) {
    const auto options = std::make_shared<PeerOptions>();
    auto* command = peer->add_subcommand(name, help);
    add_change(*command, options, true);
    command->callback([options, act, &invocation] { act(*options, invocation); });
  };
  change("remove", "Remove a peer from the file", remove_peer);
  change("disable", "Keep a peer in the file, but do not run it",
         [](const PeerOptions& options, Invocation& at) { enable_peer(options, false, at); });
  change("enable", "Run a peer again that was disabled",
         [](const PeerOptions& options, Invocation& at) { enable_peer(options, true, at); });
  const auto options = std::make_shared<PeerOptions>();
  auto* list = peer->add_subcommand("list", "List the peers of the file, those that are disabled too");
  add_common(*list, options);
  list->add_flag("--json", options->json, "Print JSON");
  list->callback([options, &invocation] { list_peers(*options, invocation); });
}

}  // namespace wg::control::cli
