// explain peer, route, packet, drops: why something is as it is, and what to do.
#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <ostream>
#include <sstream>
#include <thread>

#include "config/scalars.h"
#include "control/api/explain.h"
#include "control/api/format.h"
#include "control/api/members.h"
#include "control/cli/call.h"
#include "control/cli/mtu_probe.h"
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

// ---------------------------------------------------------------- peer

struct PeerOptions {
  std::string peer, interface, address;
  bool probe = false, json = false;
};

// The first of the peer's allowed IPs that is one address.
std::optional<config::Address> host_of(const Json& peer) {
  for (const Json& text : members::list(peer, "allowed_ips")) {
    const auto prefix = config::parse_prefix(text.is_string() ? text.get<std::string>() : "");
    if (prefix && prefix->length == prefix->address.bits()) return prefix->address;
  }
  return std::nullopt;
}

config::Address address_to_probe(const PeerOptions& options, const Json& peer) {
  const auto address = options.address.empty() ? host_of(peer) : config::parse_address(options.address);
  if (address) return *address;
  throw CommandFailed(kBadUsage, "no allowed IP of " + options.peer +
                                     " is a single address: name one that answers pings with --address");
}

Json probe(const PeerOptions& options, const Json& peer) {
  constexpr std::chrono::milliseconds kPatienceOfEcho{700};
  constexpr int kTries = 2;  // one may be lost by chance
  const config::Address address = address_to_probe(options, peer);
  auto echo = EchoSocket::open(address);
  if (!echo) throw CommandFailed(kFailed, echo.error().text);
  const auto answered = [&](std::size_t size) {
    for (int i = 0; i < kTries; ++i)
      if (echo->answered(size, kPatienceOfEcho)) return true;
    return false;
  };
  const MtuProbe found = probe_mtu(echo->least(), members::number(peer, "mtu"), answered);
  return {{"address", config::to_string(address)},
          {"answers", found.answers},
          {"largest", found.largest},
          {"mtu", found.wanted},
          {"ok", found.good()}};
}

std::string text_of_probe(const Json& probe) {
  const std::string address = members::text(probe, "address");
  if (!members::truth(probe, "answers"))
    return address +
           " answers no pings, so nothing is known about sizes: name another address of the peer "
           "with --address\n";
  const std::string sizes =
      "pings of up to " + members::digits(probe, "largest") + " bytes are answered by " + address;
  if (members::truth(probe, "ok")) return sizes + ": the MTU gets through, both ways\n";
  return sizes + ", larger ones are not, and the MTU is " + members::digits(probe, "mtu") +
         ": lower the `mtu` of the peer to " + members::digits(probe, "largest") +
         ", or find what drops fragments of UDP on the way, in either direction\n";
}

void explain_peer(const PeerOptions& options, Invocation& invocation) {
  Json result;
  {
    RpcClient gateway(invocation.socket, Access::kAny);
    result = gateway.call("explain.peer", {{"interface", options.interface}, {"peer", options.peer}});
  }
  const bool probed = options.probe && members::truth(result, "up");
  if (probed) result["probe"] = probe(options, members::map(result, "peer"));
  print(result, options.json, "up", invocation);
  if (!probed) return;
  const Json& sizes = members::map(result, "probe");
  if (members::truth(sizes, "answers") && !members::truth(sizes, "ok")) invocation.exit_code = kNotAsItShould;
  const Terminal& terminal = invocation.terminal;
  if (!options.json) terminal.out << "\nsizes:\n" << fitted("  " + text_of_probe(sizes), terminal.layout);
}

void add_peer(CLI::App& parent, Invocation& invocation) {
  const auto options = std::make_shared<PeerOptions>();
  auto* peer = parent.add_subcommand("peer", "Explain why a peer is up or not, and what to do");
  peer->add_option("name", options->peer, "Name or public key")->required()->type_name("PEER");
  peer->add_option("--interface", options->interface, "Only on this interface")->type_name("INTERFACE");
  peer->add_flag("--probe-mtu", options->probe, "Search the largest packet that gets to the peer and back");
  peer->add_option("--address", options->address,
                   "The address to probe (default: its first single allowed IP)")
      ->check(ip_address())
      ->type_name("ADDRESS");
  peer->add_flag("--json", options->json, "Print JSON");
  peer->callback([options, &invocation] { explain_peer(*options, invocation); });
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

// ---------------------------------------------------------------- packet

struct PacketOptions {
  std::string from, source, destination, protocol, peer;
  unsigned port = 0, source_port = 0, size = 84, ttl = 64;
  std::optional<unsigned> vlan;
  bool json = false;
};

CLI::Validator protocol_name() {
  return CLI::Validator(
      [](std::string& text) {
        const bool named = text == "tcp" || text == "udp" || text == "icmp";
        const auto number = config::parse_number(text);
        if (named || (number && *number <= 255)) return std::string();
        return "'" + text + "' is not tcp, udp, icmp or a number from 0 to 255";
      },
      "");
}

Json params_of(const PacketOptions& options) {
  Json params = {{"from", options.from},
                 {"source", options.source},
                 {"destination", options.destination},
                 {"peer", options.peer},
                 {"source_port", options.source_port},
                 {"destination_port", options.port},
                 {"size", options.size},
                 {"ttl", options.ttl}};
  const auto number = config::parse_number(options.protocol);
  if (number) {
    params["protocol"] = *number;
  } else if (!options.protocol.empty()) {
    params["protocol"] = options.protocol;
  }
  if (options.vlan) params["vlan"] = *options.vlan;
  return params;
}

// The steps as `trace` prints them, then the verdict and what to do.
std::string render_packet(const Json& result, const Layout& layout) {
  constexpr std::size_t kStage = 16;
  std::string out;
  for (const Json& step : members::list(result, "steps")) {
    std::string stage = members::text(step, "stage");
    stage.resize(std::max(stage.size(), kStage), ' ');
    out += wrapped("  " + stage + "  " + members::text(step, "words"), kStage + 4, layout) + "\n";
  }
  return out + "\n" + fitted(render_explanation(result), layout);
}

void explain_packet(const PacketOptions& options, Invocation& invocation) {
  RpcClient gateway(invocation.socket, Access::kAny);
  const Json result = gateway.call("explain.packet", params_of(options));
  const Terminal& terminal = invocation.terminal;
  terminal.out << (options.json ? dump(result) + "\n" : render_packet(result, terminal.layout));
  invocation.exit_code = members::truth(result, "ok") ? kDone : kNotAsItShould;
}

void add_packet(CLI::App& parent, Invocation& invocation) {
  const auto options = std::make_shared<PacketOptions>();
  auto* packet =
      parent.add_subcommand("packet", "Explain what would happen to a packet, stage by stage; none is sent");
  packet
      ->add_option("from", options->from,
                   "A port, a WireGuard interface (from one of its peers), or linux (from this machine)")
      ->required()
      ->type_name("FROM");
  packet->add_option("source", options->source, "Source address")
      ->required()
      ->check(ip_address())
      ->type_name("SOURCE");
  packet->add_option("destination", options->destination, "Destination address")
      ->required()
      ->check(ip_address())
      ->type_name("DESTINATION");
  packet->add_option("protocol", options->protocol, "tcp, udp, icmp or a number")
      ->check(protocol_name())
      ->type_name("PROTOCOL");
  packet->add_option("port", options->port, "Destination port")
      ->check(whole_number(0, 65535))
      ->type_name("PORT-NUMBER");
  packet->add_option("--source-port", options->source_port, "Source port")
      ->check(whole_number(0, 65535))
      ->type_name("N");
  packet->add_option("--peer", options->peer, "The peer that sends it (default: whose the source is)")
      ->type_name("PEER");
  packet->add_option("--size", options->size, "Bytes, with the IP header")
      ->check(whole_number(20, 65535))
      ->type_name("BYTES")
      ->default_str("84");
  packet->add_option("--ttl", options->ttl, "TTL or hop limit")
      ->check(whole_number(1, 255))
      ->type_name("N")
      ->default_str("64");
  packet->add_option("--vlan", options->vlan, "VLAN of the frame; 0: no tag (default: as the port has it)")
      ->check(whole_number(0, 4094))
      ->type_name("ID");
  packet->add_flag("--json", options->json, "Print JSON");
  packet->callback([options, &invocation] { explain_packet(*options, invocation); });
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

// "first 2h5m ago, again since 4m10s, last 3s ago", as far as they differ. Empty: too new to be known.
std::string times_of_drop(const Json& drop, WallTime now) {
  const auto first = members::time(drop, "first"), spell = members::time(drop, "spell"),
             last = members::time(drop, "last");
  if (!last) return {};
  if (first == last) return "all of them " + format_ago(last, now);
  std::string text = "first " + format_ago(first, now);
  if (spell != first && spell != last) text += ", again since " + format_age(*spell, now);
  return text + ", last " + format_ago(last, now);
}

std::string text_of_drop(const Json& drop, WallTime now) {
  const double rate = members::real(drop, "per_second");
  std::ostringstream out;
  out << members::text(drop, "name") << ": " << members::text(drop, "text") << "\n  "
      << members::digits(drop, "count") << " packets, "
      << (rate > 0 ? members::one_decimal(rate) + " a second now" : std::string("none at the moment"));
  if (const std::string times = times_of_drop(drop, now); !times.empty()) out << "\n  " << times;
  out << "\n  " << members::text(drop, "advice") << "\n";
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
    out << "\n" << fitted(text_of_drop(drop, std::chrono::system_clock::now()), invocation.terminal.layout);
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
  auto* command = app.add_subcommand("explain", "Explain a peer, a route, a packet, or the dropped packets");
  command->require_subcommand(1);
  add_peer(*command, invocation);
  add_route(*command, invocation);
  add_packet(*command, invocation);
  add_drops(*command, invocation);
}

}  // namespace wg::control::cli
