// explain peer, route, drops: why something is as it is, and what to do.
#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <ostream>
#include <sstream>
#include <thread>

#include "control/api/explain.h"
#include "control/api/format.h"
#include "control/api/members.h"
#include "control/cli/call.h"
#include "control/cli/options.h"
#include "control/cli/table.h"

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

// Each line within the terminal; what continues is indented two cells more.
std::string fitted(const std::string& text, const Layout& layout) {
  std::string out;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);)
    out += wrapped(line, std::min(line.find_first_not_of(' '), line.size()) + 2, layout) + "\n";
  return out;
}

// Prints the answer; the exit code says whether the member `good` of it is true.
void print(const Json& result, bool json, const char* good, Invocation& invocation) {
  const Terminal& terminal = invocation.terminal;
  terminal.out << (json ? dump(result) + "\n" : fitted(render_explanation(result), terminal.layout));
  invocation.exit_code = result.value(good, false) ? kDone : kNotAsItShould;
}

void add_peer(CLI::App& parent, Invocation& invocation) {
  struct Options {
    std::string peer, interface;
    bool json = false;
  };
  const auto options = std::make_shared<Options>();
  auto* peer = parent.add_subcommand("peer", "Explain why a peer is up or not, and what to do");
  peer->add_option("name", options->peer, "Name or public key")->required()->type_name("PEER");
  peer->add_option("--interface", options->interface, "Only on this interface")->type_name("INTERFACE");
  peer->add_flag("--json", options->json, "Print JSON");
  peer->callback([options, &invocation] {
    RpcClient gateway(invocation.socket, Access::kAny);
    print(gateway.call("explain.peer", {{"interface", options->interface}, {"peer", options->peer}}),
          options->json, "up", invocation);
  });
}

void add_route(CLI::App& parent, Invocation& invocation) {
  struct Options {
    std::string address;
    bool json = false;
  };
  const auto options = std::make_shared<Options>();
  auto* route = parent.add_subcommand("route", "Explain where packets to an address go: peer, port or Linux");
  route->add_option("address", options->address, "IP address")->required()->type_name("ADDRESS");
  route->add_flag("--json", options->json, "Print JSON");
  route->callback([options, &invocation] {
    RpcClient gateway(invocation.socket, Access::kAny);
    print(gateway.call("explain.route", {{"address", options->address}}), options->json, "ok", invocation);
  });
}

// ---------------------------------------------------------------- drops

std::map<std::string, std::uint64_t> counts_of(const Json& result) {
  std::map<std::string, std::uint64_t> counts;
  for (const auto& drop : members::list(result, "drops"))
    counts[members::text(drop, "name")] = members::number(drop, "count");
  return counts;
}

// Adds to each reason what it grew by, per second, and leaves out those that never occurred.
Json with_rates(const Json& before, const Json& after, double seconds) {
  auto known = counts_of(before);
  Json drops = Json::array();
  for (Json drop : members::list(after, "drops")) {
    const std::uint64_t count = members::number(drop, "count");
    if (count == 0) continue;
    drop["per_second"] = static_cast<double>(count - known[members::text(drop, "name")]) / seconds;
    drops.push_back(std::move(drop));
  }
  std::stable_sort(drops.begin(), drops.end(), [](const Json& a, const Json& b) {
    return members::real(a, "per_second") > members::real(b, "per_second");
  });
  return drops;
}

std::string text_of_drop(const Json& drop) {
  const double rate = members::real(drop, "per_second");
  std::ostringstream out;
  out << members::text(drop, "name") << ": " << members::text(drop, "text") << "\n  "
      << members::digits(drop, "count") << " packets, "
      << (rate > 0 ? members::one_decimal(rate) + " a second now" : std::string("none at the moment"))
      << "\n  " << members::text(drop, "advice") << "\n";
  return out.str();
}

void explain_drops(double seconds, bool json, Invocation& invocation) {
  using Clock = std::chrono::steady_clock;
  RpcClient gateway(invocation.socket, Access::kAny);
  const auto started = members::time(gateway.call("show.gateway"), "started");
  const Json before = gateway.call("show.drops");
  const auto from = Clock::now();
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  const Json after = gateway.call("show.drops");
  const Json drops = with_rates(before, after, std::chrono::duration<double>(Clock::now() - from).count());
  std::ostream& out = invocation.terminal.out;
  if (json) {
    out << dump({{"drops", drops}}) << "\n";
    return;
  }
  const auto age = format_ago(started, std::chrono::system_clock::now());
  out << (drops.empty() ? "no packet was dropped" : "dropped packets") << " since the start, " << age << "\n";
  for (const auto& drop : drops) {
    out << "\n" << fitted(text_of_drop(drop), invocation.terminal.layout);
  }
}

void add_drops(CLI::App& parent, Invocation& invocation) {
  struct Options {
    double seconds = 1;
    bool json = false;
  };
  const auto options = std::make_shared<Options>();
  auto* drops =
      parent.add_subcommand("drops", "Explain the dropped packets: which, how many now, what to do");
  drops->add_option("--seconds", options->seconds, "How long to look for the rate")
      ->check(seconds_between(0.1, 3600))
      ->type_name("SECONDS")
      ->default_str("1");
  drops->add_flag("--json", options->json, "Print JSON");
  drops->callback([options, &invocation] { explain_drops(options->seconds, options->json, invocation); });
}

}  // namespace

void add_explain(CLI::App& app, Invocation& invocation) {
  auto* command = app.add_subcommand("explain", "Explain a peer, a route, or the dropped packets");
  command->require_subcommand(1);
  add_peer(*command, invocation);
  add_route(*command, invocation);
  add_drops(*command, invocation);
}

}  // namespace wg::control::cli
