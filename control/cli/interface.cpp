// interface create, up, down, delete.
#include <fstream>
#include <memory>

#include "config/key.h"
#include "control/cli/call.h"
#include "control/cli/options.h"

namespace wg::control::cli {
namespace {

struct CreateOptions {
  std::string name, private_key_file;
  std::vector<std::string> addresses;
  std::uint16_t listen_port = 0, mtu = 0;
  bool down = false;
};

std::string key_from(const std::string& path) {
  std::ifstream file(path);
  std::string text;
  file >> text;
  if (!file && text.empty()) throw CommandFailed(kFailed, "cannot read " + path);
  if (!config::parse_secret_key(text)) throw CommandFailed(kBadUsage, path + " does not contain a key");
  return text;
}

void create(const CreateOptions& options, Invocation& invocation) {
  Json params = {{"name", options.name}, {"addresses", options.addresses}, {"up", !options.down}};
  if (options.listen_port != 0) params["listen_port"] = options.listen_port;
  if (options.mtu != 0) params["mtu"] = options.mtu;
  if (!options.private_key_file.empty()) params["private_key"] = key_from(options.private_key_file);
  RpcClient(invocation.socket, Access::kAdmin).call("interface.create", params);
}

void add_create(CLI::App& interface, Invocation& invocation) {
  const auto options = std::make_shared<CreateOptions>();
  auto* command =
      interface.add_subcommand("create", "Create a WireGuard interface (lost on restart unless saved)");
  command->add_option("name", options->name, "Interface name: 1 to 15 characters of [a-zA-Z0-9_=+.-]")
      ->required()
      ->type_name("NAME");
  command->add_option("--private-key-file", options->private_key_file, "File with the private key")
      ->type_name("FILE");
  command->add_option("--listen-port", options->listen_port, "UDP port (default: any free port)")
      ->check(whole_number(0, 65535))
      ->type_name("PORT");
  command->add_option("--address", options->addresses, "ADDRESS/LENGTH, repeatable")->type_name("ADDRESS");
  command->add_option("--mtu", options->mtu, "MTU in bytes (default: derived from the ports)")
      ->check(whole_number(config::kLeastMtu, config::kGreatestMtu))
      ->type_name("BYTES");
  command->add_flag("--down", options->down, "Do not bring it up");
  command->callback([options, &invocation] { create(*options, invocation); });
}

void add_verb(CLI::App& interface, Invocation& invocation, const std::string& verb, const std::string& help) {
  const auto name = std::make_shared<std::string>();
  auto* command = interface.add_subcommand(verb, help);
  command->add_option("name", *name, "The interface")->required()->type_name("INTERFACE");
  command->callback([=, &invocation] {
    RpcClient(invocation.socket, Access::kAdmin).call("interface." + verb, {{"name", *name}});
  });
}

}  // namespace

void add_interface(CLI::App& app, Invocation& invocation) {
  auto* interface =
      app.add_subcommand("interface", "Create and delete WireGuard interfaces, bring them up or down");
  interface->require_subcommand(1);
  add_create(*interface, invocation);
  add_verb(*interface, invocation, "up", "Bring an interface up");
  add_verb(*interface, invocation, "down", "Take an interface down: wipes its session keys, answers no peer");
  add_verb(*interface, invocation, "delete", "Delete an interface and its peers");
}

}  // namespace wg::control::cli
