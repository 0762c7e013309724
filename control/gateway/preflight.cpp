#include "control/gateway/preflight.h"

#include <cstdint>
#include <set>
#include <string>
#include <variant>

#include "control/kernel/udp_socket.h"

namespace wg::control {

namespace {

// Visits a plan twice: what leaves frees its name for what comes.
class Preflight {
 public:
  Preflight(NetlinkConfigure& netlink, const Objects& objects, PlanOutcome& outcome)
      : netlink_(netlink), outcome_(outcome) {
    for (const auto& [name, interface] : objects.interfaces()) ours_.insert(interface->listen_port());
  }

  void note_leaving(const config::Action& action) {
    if (const auto* interface = std::get_if<config::RemoveInterface>(&action))
      leaving_.insert(interface->interface);
    if (const auto* port = std::get_if<config::RemovePort>(&action)) leaving_.insert(port->port);
  }

  void operator()(const config::AddPort& action) { check_name(action.port); }
  void operator()(const config::AddInterface& action) {
    check_name(action.interface);
    if (action.value.enabled) check_listen_port(action.interface, action.value.listen_port);
  }
  void operator()(const config::SetListenPort& action) { check_listen_port(action.interface, action.port); }
  template <class Other>
  void operator()(const Other&) {}

 private:
  void check_name(const std::string& name) {
    if (leaving_.contains(name) || !netlink_.find_link(name)) return;
    outcome_.errors.push_back(name + ": a network interface of that name exists already");
  }

  void check_listen_port(const std::string& name, std::uint16_t port) {
    if (port == 0 || ours_.contains(port)) return;
    UdpSocket probe;
    const KernelResult opened = probe.open({.port = port});
    if (opened.ok()) return;
    if (outcome_.error == 0) outcome_.error = opened.error;
    outcome_.errors.push_back(name + ": " + opened.text);
  }

  NetlinkConfigure& netlink_;
  PlanOutcome& outcome_;
  std::set<std::uint16_t> ours_;
  std::set<std::string> leaving_;
};

}  // namespace

bool preflight(const config::Plan& plan, NetlinkConfigure& netlink, const Objects& objects,
               PlanOutcome& outcome) {
  Preflight check(netlink, objects, outcome);
  for (const config::Action& action : plan.actions) check.note_leaving(action);
  for (const config::Action& action : plan.actions) std::visit(check, action);
  return outcome.errors.empty();
}

}  // namespace wg::control
