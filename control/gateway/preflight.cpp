#include "control/gateway/preflight.h"

#include <cerrno>
#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <variant>

#include "control/kernel/udp_socket.h"

namespace wg::control {

namespace {

// Visits a plan twice: what leaves frees its name for what comes.
class Preflight {
 public:
  Preflight(NetlinkConfigure& netlink, const Objects& objects) : netlink_(netlink) {
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

  std::vector<Refusal> take_refusals() { return std::move(refusals_); }

 private:
  void check_name(const std::string& name) {
    if (leaving_.contains(name) || !netlink_.find_link(name)) return;
    refusals_.push_back({EEXIST, name + ": a network interface of that name exists already"});
  }

  void check_listen_port(const std::string& name, UdpPort port) {
    if (port == kAnyPort || ours_.contains(port)) return;
    UdpSocket probe;
    if (const Expected<> opened = probe.open({.port = port}); !opened)
      refusals_.push_back(opened.error().about(name));
  }

  NetlinkConfigure& netlink_;
  std::vector<Refusal> refusals_;
  std::set<UdpPort> ours_;
  std::set<std::string> leaving_;
};

}  // namespace

bool may_be_refused(const config::Action& action) {
  return std::holds_alternative<config::AddPort>(action) ||
         std::holds_alternative<config::RemovePort>(action) ||
         std::holds_alternative<config::AddInterface>(action) ||
         std::holds_alternative<config::RemoveInterface>(action) ||
         std::holds_alternative<config::SetListenPort>(action);
}

std::vector<Refusal> preflight(const config::Plan& plan, const std::vector<std::size_t>& to_try,
                               NetlinkConfigure& netlink, const Objects& objects) {
  Preflight check(netlink, objects);
  for (const std::size_t i : to_try) check.note_leaving(plan.actions[i]);
  for (const std::size_t i : to_try) std::visit(check, plan.actions[i]);
  return check.take_refusals();
}

}  // namespace wg::control
