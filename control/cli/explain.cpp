// explain peer: why is this peer not up?
#include <memory>
#include <ostream>

#include "control/api/explain.h"
#include "control/cli/call.h"

namespace wg::control::cli {
namespace {

std::vector<std::string> lines_of(const Json& result, const char* name) {
  return result.value(name, std::vector<std::string>{});
}

std::string in_words(const Json& result) {
  Explanation explanation;
  explanation.verdict = result.value("verdict", "");
  explanation.reasons = lines_of(result, "reasons");
  explanation.advice = lines_of(result, "advice");
  explanation.history = lines_of(result, "history");
  return to_text(explanation);
}

}  // namespace

void add_explain(CLI::App& app, Invocation& invocation) {
  struct Options {
    std::string peer, interface;
    bool json = false;
  };
  const auto options = std::make_shared<Options>();
  auto* command = app.add_subcommand("explain", "Explain the state of something");
  command->require_subcommand(1);
  auto* peer = command->add_subcommand("peer", "Why is this peer (not) up?");
  peer->add_option("name", options->peer, "Name or public key")->required();
  peer->add_option("--interface", options->interface, "On this interface");
  peer->add_flag("--json", options->json, "As JSON");
  peer->callback([options, &invocation] {
    Gateway gateway(invocation.socket, Access::kAny);
    const auto result =
        gateway.call("explain.peer", {{"interface", options->interface}, {"peer", options->peer}});
    invocation.terminal.out << (options->json ? dump(result) + "\n" : in_words(result));
  });
}

}  // namespace wg::control::cli
