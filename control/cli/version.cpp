// version: the versions of this program and of the running gateway.
#include <memory>
#include <optional>
#include <ostream>

#include "control/cli/build_facts.h"
#include "control/cli/call.h"

namespace wg::control::cli {
namespace {

std::optional<Json> running(const std::string& socket) {
  try {
    return RpcClient(socket, Access::kAny).call("show.gateway");
  } catch (const CommandFailed&) {
    return std::nullopt;
  }
}

void print(const BuildFacts& facts, const std::optional<Json>& gateway, std::ostream& out) {
  out << "linegate " << facts.version << "\n"
      << facts.dpdk_version << "\nAEAD " << facts.aead << " (this machine runs";
  for (const auto& variant : facts.aead_variants) out << " " << variant;
  out << ")\n";
  if (!gateway) return;
  out << "running: linegate " << gateway->value("version", "?") << ", pid " << gateway->value("pid", 0)
      << ", AEAD " << gateway->value("aead", "?") << "\n";
}

}  // namespace

void add_version(CLI::App& app, Invocation& invocation) {
  const auto json = std::make_shared<bool>(false);
  auto* command = app.add_subcommand("version", "Print versions: linegate, DPDK, the AEAD variant in use");
  command->add_flag("--json", *json, "Print JSON");
  command->callback([json, &invocation] {
    const auto facts = build_facts();
    const auto gateway = running(invocation.socket);
    if (!*json) return print(facts, gateway, invocation.terminal.out);
    const Json object = {{"version", facts.version},
                         {"dpdk_version", facts.dpdk_version},
                         {"aead", facts.aead},
                         {"aead_variants", facts.aead_variants},
                         {"running", gateway ? *gateway : Json(nullptr)}};
    invocation.terminal.out << dump(object) << "\n";
  });
}

}  // namespace wg::control::cli
