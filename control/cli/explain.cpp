// explain peer: why a peer is up or not.
#include <memory>
#include <ostream>

#include "control/api/explain.h"
#include "control/cli/call.h"

namespace wg::control::cli {
namespace {

std::vector<std::string> read_lines(const Json& result, const char* name) {
  return result.value(name, std::vector<std::string>{});
}

std::string render_explanation(const Json& result) {
  Explanation explanation;
  explanation.verdict = result.value("verdict", "");
  explanation.reasons = read_lines(result, "reasons");
  explanation.advice = read_lines(result, "advice");
  explanation.history = read_lines(result, "history");
  return to_text(explanation);
}

}  // namespace

void add_explain(CLI::App& app, Invocation& invocation) {
  struct Options {
    std::string peer, interface;
    bool json = false;
  };
  const auto options = std::make_shared<Options>();
  auto* command = app.add_subcommand("explain", "Explain the state of a peer");
  command->require_subcommand(1);
  auto* peer = command->add_subcommand("peer", "Explain why a peer is up or not, and what to do");
  peer->add_option("name", options->peer, "Name or public key")->required();
  peer->add_option("--interface", options->interface, "Only on this interface");
  peer->add_flag("--json", options->json, "Print JSON");
  peer->callback([options, &invocation] {
    RpcClient gateway(invocation.socket, Access::kAny);
    const auto result =
        gateway.call("explain.peer", {{"interface", options->interface}, {"peer", options->peer}});
    invocation.terminal.out << (options->json ? dump(result) + "\n" : render_explanation(result));
  });
}

}  // namespace wg::control::cli
