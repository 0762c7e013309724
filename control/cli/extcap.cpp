// Linegate as a capture program of Wireshark's (extcap): its requests, in its words. A link to this program
// in Wireshark's folder of such programs is all that is needed; docs/seeing.md shows how.
#include <memory>
#include <ostream>

#include "control/api/members.h"
#include "control/cli/call.h"
#include "control/cli/capture.h"
#include "control/cli/packet_filter.h"
#include "control/version.h"

namespace wg::control::cli {
namespace {

constexpr const char* kAll = "linegate";
constexpr const char* kOne = "linegate-";  // and the name of a WireGuard interface

struct ExtcapOptions : CaptureOptions {
  bool interfaces = false, dlts = false, config = false, capture = false;
  std::string version, chosen, what = "both";
};

// Without a gateway that may be asked, the general one is there: the capture itself says what is wrong.
std::vector<std::string> interface_names(const Invocation& invocation) {
  std::vector<std::string> names;
  try {
    RpcClient gateway(invocation.socket, Access::kAny);
    const Json answer = gateway.call("show.interfaces");
    for (const Json& interface : members::list(answer, "interfaces"))
      names.push_back(members::text(interface, "name"));
  } catch (const CommandFailed&) {
    names.clear();
  }
  return names;
}

void print_interfaces(Invocation& invocation) {
  std::ostream& out = invocation.terminal.out;
  out << "extcap {version=" << kVersion << "}{display=Linegate}\n";
  out << "interface {value=" << kAll
      << "}{display=Linegate: packets of all interfaces, inner ones in clear}\n";
  for (const std::string& name : interface_names(invocation))
    out << "interface {value=" << kOne << name << "}{display=Linegate " << name
        << ": its packets, inner ones in clear}\n";
}

// The file is pcapng and says it of each interface itself; Wireshark expects one answer.
void print_dlts(std::ostream& out) {
  out << "dlt {number=1}{name=EN10MB}{display=Ethernet, and raw IP for inner packets}\n";
}

void print_config(std::ostream& out) {
  out << "arg {number=0}{call=--what}{display=Packets}{type=selector}"
         "{tooltip=Inner packets lie within the tunnel; frames are what ports receive and transmit}\n"
         "value {arg=0}{value=both}{display=inner packets and frames}{default=true}\n"
         "value {arg=0}{value=inner}{display=inner packets}\n"
         "value {arg=0}{value=outer}{display=frames of ports}\n"
         "value {arg=0}{value=drops}{display=dropped packets}\n"
         "arg {number=1}{call=--peer}{display=Peer}{type=string}"
         "{tooltip=Only packets of this peer: name or public key}\n"
         "arg {number=2}{call=--port}{display=Port}{type=string}"
         "{tooltip=Only packets that come or leave by this port}\n";
}

void run_capture(ExtcapOptions& options, Invocation& invocation) {
  if (options.file.empty()) throw CommandFailed(kBadUsage, "--capture needs --fifo");
  options.inner = options.what == "inner";
  options.outer = options.what == "outer";
  options.drops = options.what == "drops";
  if (options.chosen.starts_with(kOne)) options.interface = options.chosen.substr(std::string(kOne).size());
  capture(options, invocation);
}

void answer(ExtcapOptions& options, Invocation& invocation) {
  std::ostream& out = invocation.terminal.out;
  if (options.interfaces) return print_interfaces(invocation);
  if (options.chosen.empty()) throw CommandFailed(kBadUsage, "an --extcap-interface is missing");
  if (options.dlts) return print_dlts(out);
  if (options.config) return print_config(out);
  if (options.capture) return run_capture(options, invocation);
  // Wireshark asks whether the filter is one: silence means yes.
  Json params;
  add_filter(options.filter, params);
}

}  // namespace

void add_extcap(CLI::App& app, Invocation& invocation) {
  const auto options = std::make_shared<ExtcapOptions>();
  auto* command = app.add_subcommand("extcap", "Answer Wireshark: a capture program of its kind (extcap)");
  command->add_flag("--extcap-interfaces", options->interfaces, "List what can be captured");
  command->add_option("--extcap-version", options->version, "Version of the calling program")
      ->type_name("VERSION");
  command->add_option("--extcap-interface", options->chosen, "One of the list")->type_name("NAME");
  command->add_flag("--extcap-dlts", options->dlts, "Tell the link type");
  command->add_flag("--extcap-config", options->config, "Print the options");
  command->add_option("--extcap-capture-filter", options->filter, "Filter as for tcpdump")
      ->type_name("FILTER");
  command->add_flag("--capture", options->capture, "Capture until the reader ends it");
  command->add_option("--fifo", options->file, "Where the capture goes")->type_name("FILE");
  command->add_option("--what", options->what, "Which packets")
      ->check(CLI::IsMember({"both", "inner", "outer", "drops"}))
      ->capture_default_str();
  command->add_option("--peer", options->peer, "Only packets of this peer: name or public key")
      ->type_name("PEER");
  command->add_option("--port", options->port, "Only packets that come or leave by this port")
      ->type_name("PORT");
  command->callback([options, &invocation] { answer(*options, invocation); });
}

}  // namespace wg::control::cli
