// interface create, up, down, delete.
#include <fstream>
#include <memory>

#include "config/key.h"
#include "control/cli/call.h"

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
  if (!config::parse_secret_key(text)) throw CommandFailed(kBadUsage, path + " holds no key");
  return text;
}

void create(const CreateOptions& options, Invocation& invocation) {
  Json params = {{"name", options.name}, {"addresses", options.addresses}, {"up", !options.down}};
  if (options.listen_port != 0) params["listen_port"] = options.listen_port;
  if (options.mtu != 0) params["mtu"] = options.mtu;
  if (!options.private_key_file.empty()) params["private_key"] = key_from(options.private_key_file);
  Gateway(invocation.socket, Access::kAdmin).call("interface.create", params);
}

void add_create(CLI::App& interface, Invocation& invocation) {
  const auto options = std::make_shared<CreateOptions>();
  auto* command =
      interface.add_subcommand("create", "Create a WireGuard interface (gone after a restart until saved)");
  command->add_option("name", options->name, "1 to 15 of [a-zA-Z0-9_=+.-]")->required();
  command->add_option("--private-key-file", options->private_key_file, "File with the private key");
  command->add_option("--listen-port", options->listen_port, "UDP port; without: any free one");
  command->add_option("--address", options->addresses, "ADDRESS/LENGTH, repeatable");
  command->add_option("--mtu", options->mtu, "Bytes; without: from the ports");
  command->add_flag("--down", options->down, "Leave it down");
  command->callback([options, &invocation] { create(*options, invocation); });
}

void add_verb(CLI::App& interface, Invocation& invocation, const std::string& verb, const std::string& help) {
  const auto name = std::make_shared<std::string>();
  auto* command = interface.add_subcommand(verb, help);
  command->add_option("name", *name, "The interface")->required();
  command->callback([=, &invocation] {
    Gateway(invocation.socket, Access::kAdmin).call("interface." + verb, {{"name", *name}});
  });
}

}  // namespace

void add_interface(CLI::App& app, Invocation& invocation) {
  auto* interface = app.add_subcommand("interface", "Create, switch and delete WireGuard interfaces");
  interface->require_subcommand(1);
  add_create(*interface, invocation);
  add_verb(*interface, invocation, "up", "Bring it up");
  add_verb(*interface, invocation, "down", "Take it down: session keys are wiped, nothing is answered");
  add_verb(*interface, invocation, "delete", "Delete it with its peers");
}

}  // namespace wg::control::cli
