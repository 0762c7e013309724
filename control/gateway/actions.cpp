// Carrying out a plan: one function per kind of action.
#include <algorithm>
#include <set>

#include "config/validate.h"
#include "control/convert.h"
#include "control/gateway/gateway.h"

namespace wg::control {

namespace {

constexpr std::size_t kActionsPerCollection = 64;
constexpr std::uint16_t kOuterHeaders = 80;               // IPv6 40, UDP 8, message header and tag 32
constexpr auto kRenewalPause = std::chrono::seconds(10);  // after an attempt that failed

KernelResult done() {
  return KernelResult::done();
}

// Of what cannot fail: done.
template <class Use, class Subject>
KernelResult result_of(Use& use, Subject& subject) {
  if constexpr (std::is_void_v<decltype(use(subject))>) {
    use(subject);
    return done();
  } else {
    return use(subject);
  }
}

// What a plan does last, in all interfaces.
bool takes_prefixes(const config::Action& action) {
  return std::holds_alternative<config::RemoveAllowedIp>(action) ||
         std::holds_alternative<config::RemovePeer>(action);
}

// The way back is the plan back, as actions that were not reached change nothing when undone: setting what is
// set already does nothing. Not so these two: an endpoint would end roaming, listen port 0 would draw
// another. What such an action is about; empty: the action is of the other kind.
std::string not_idempotent(const config::Action& action) {
  if (const auto* a = std::get_if<config::SetPeerEndpoint>(&action))
    return "endpoint " + a->peer.interface + " " + config::to_string(a->peer.key);
  if (const auto* a = std::get_if<config::SetListenPort>(&action)) return "listen port " + a->interface;
  return {};
}

std::set<std::string> touched_by(const config::Plan& plan, std::size_t reached) {
  std::set<std::string> touched;
  for (std::size_t i = 0; i < reached; ++i) touched.insert(not_idempotent(plan.actions[i]));
  return touched;
}

KernelResult refused(std::string text) {
  KernelResult result;
  result.error = EINVAL;
  result.text = std::move(text);
  return result;
}

}  // namespace

Interface* Gateway::find_interface(std::string_view name) const {
  const auto at = interfaces_.find(std::string(name));
  return at == interfaces_.end() ? nullptr : at->second.get();
}

std::uint16_t Gateway::auto_mtu(const config::Gateway& value) const {
  std::uint16_t smallest = 1500;
  bool first = true;
  for (const auto& [name, port] : value.ports) {
    smallest = first ? port.mtu : std::min(smallest, port.mtu);
    first = false;
  }
  return static_cast<std::uint16_t>(std::max(smallest - kOuterHeaders, 1280));
}

bool Gateway::apply(config::Gateway next, PlanOutcome& outcome) {
  const auto started = std::chrono::steady_clock::now();
  if (execute(
          plan_between(running_, next), [&] { return plan_between(next, running_); }, outcome)) {
    // What needs a restart stays as it runs, so that the next plan still names it.
    const config::Idle idle = next.dpdk.idle;
    next.dpdk = running_.dpdk;
    next.dpdk.idle = idle;
    next.control.user = running_.control.user;
    // Of 100 000 peers the old value takes its time to go: not here.
    auto old = std::make_shared<config::Gateway>(std::exchange(running_, std::move(next)));
    background_->run([old = std::move(old)]() mutable { old.reset(); }, {});
    for (auto& [name, value] : broken_ports_)
      if (const auto at = running_.ports.find(name); at != running_.ports.end()) value = at->second;
    watch_files();
  }
  outcome.took =
      std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - started);
  return outcome.ok;
}

// What diff() cannot know: interfaces whose MTU is automatic follow the ports.
config::Plan Gateway::plan_between(const config::Gateway& from, const config::Gateway& to) {
  config::Plan plan = config::diff(from, to);
  auto_mtu_ = auto_mtu(to);
  if (auto_mtu(from) == auto_mtu_) return plan;
  for (const auto& [name, interface] : to.interfaces) {
    const auto old = from.interfaces.find(name);
    if (!interface.mtu && old != from.interfaces.end() && !old->second.mtu)
      plan.actions.emplace_back(config::SetInterfaceMtu{name, {}});
  }
  return plan;
}

bool Gateway::execute(const config::Plan& plan, const std::function<config::Plan()>& back,
                      PlanOutcome& outcome) {
  for (const config::Action& action : plan.actions) {
    (std::holds_alternative<config::NeedsRestart>(action) ? outcome.restart : outcome.plan)
        .push_back(config::describe(action));
  }
  applying_ = true;
  std::size_t reached = 0;
  outcome.ok = outcome.applied = carry_out(plan, outcome, reached);
  if (outcome.ok) {
    ++config_generation_;
  } else if (reached != 0) {
    const std::set<std::string> touched = touched_by(plan, reached);
    for (const config::Action& action : back().actions) {
      const std::string subject = not_idempotent(action);
      if (subject.empty() || touched.contains(subject)) static_cast<void>(carry_out_one(action));
    }
    // What cannot come back now does when its wire is there.
    for (const auto& [name, value] : running_.ports)
      if (!ports_.contains(name)) broken_ports_.emplace(name, value);
  }
  flush_routes();
  applying_ = false;
  publisher_.flush();
  on_kernel_changes();
  publisher_.flush();
  return outcome.ok;
}

// What would fail is tried first, while everything still runs as before.
bool Gateway::preflight(const config::Plan& plan, PlanOutcome& outcome) {
  std::set<std::string> leaving;
  std::set<std::uint16_t> ours;
  for (const config::Action& action : plan.actions) {
    if (const auto* gone = std::get_if<config::RemoveInterface>(&action)) leaving.insert(gone->interface);
    if (const auto* gone = std::get_if<config::RemovePort>(&action)) leaving.insert(gone->port);
  }
  for (const auto& [name, interface] : interfaces_) ours.insert(interface->listen_port());
  const auto check_name = [&](const std::string& name) {
    if (leaving.contains(name) || !netlink_.find_link(name)) return;
    outcome.errors.push_back(name + ": a network interface of that name exists already");
  };
  const auto check_port = [&](const std::string& name, std::uint16_t port) {
    if (port == 0 || ours.contains(port)) return;
    UdpSocket probe;
    if (const KernelResult opened = probe.open({.port = port}); !opened.ok()) {
      if (outcome.error == 0) outcome.error = opened.error;
      outcome.errors.push_back(name + ": " + opened.text);
    }
  };
  for (const config::Action& action : plan.actions) {
    if (const auto* port = std::get_if<config::AddPort>(&action)) check_name(port->port);
    if (const auto* interface = std::get_if<config::AddInterface>(&action)) {
      check_name(interface->interface);
      if (interface->value.enabled) check_port(interface->interface, interface->value.listen_port);
    }
    if (const auto* listen = std::get_if<config::SetListenPort>(&action))
      check_port(listen->interface, listen->port);
  }
  return outcome.errors.empty();
}

bool Gateway::carry_out(const config::Plan& plan, PlanOutcome& outcome, std::size_t& reached) {
  if (!preflight(plan, outcome)) return false;
  std::vector<std::string> added;
  bool taking = false;
  for (const config::Action& action : plan.actions) {
    ++reached;
    // A route that another interface takes over must be its own before this one gives it up.
    if (takes_prefixes(action) != taking) flush_routes();
    taking = takes_prefixes(action);
    // What has been replaced is used again while it is in the cache, and does not pile up over a large plan.
    if (reached % kActionsPerCollection == 0) dataplane_.quiescence().collect();
    if (const KernelResult result = carry_out_one(action); !result.ok()) {
      outcome.error = result.error;
      outcome.errors.push_back(config::describe(action) + ": " + result.text);
      return false;
    }
    if (const auto* interface = std::get_if<config::AddInterface>(&action))
      added.push_back(interface->interface);
  }
  for (const std::string& name : added) {
    if (Interface* interface = find_interface(name)) load_timestamps(*interface);
  }
  return true;
}

void Gateway::flush_routes() {
  for (const auto& [name, interface] : interfaces_) interface->flush_routes();
}

KernelResult Gateway::add_port(const std::string& name, const config::Port& value) {
  if (ports_.contains(name)) return done();
  try {
    ports_[name] = std::make_unique<GatewayPort>(services_, name, value);
  } catch (const std::exception& error) {
    ports_.erase(name);
    return refused(error.what());
  }
  broken_ports_.erase(name);
  log_->info("port {}: {} ({}), {} receive queue(s)", name, value.device.text,
             ports_[name]->port().facts().driver, ports_[name]->port().facts().rx_queues);
  return done();
}

// A wire is unplugged and comes again with another index, a TAP is deleted: nothing would ever pass again.
// Such a port is made anew, as soon as there is something to make it of.
// Not by running_: while a plan is carried out that is still the value before.
void Gateway::renew_ports() {
  for (const auto& [name, port] : ports_) {
    if (port->whole() || !broken_ports_.insert_or_assign(name, port->value()).second) continue;
    log_->error("port {}: its wire or its Linux interface is gone", name);
  }
  for (const auto& [name, value] : std::map(broken_ports_)) {
    const std::string wire = GatewayPort::wire_of(value);
    if (!wire.empty() && !netlink_.find_link(wire)) continue;
    // What fails half-way makes and removes a TAP, and so the next change of links.
    const auto at = std::chrono::steady_clock::now();
    if (at < renew_again_) continue;
    ports_.erase(name);
    settle();
    const KernelResult made = add_port(name, value);
    if (made.ok()) continue;
    log_->error("{}", made.text);
    renew_again_ = at + kRenewalPause;
  }
}

KernelResult Gateway::add_interface(const std::string& name, const config::Interface& value) {
  if (interfaces_.contains(name)) return done();
  try {
    auto interface = std::make_unique<Interface>(services_, name, value, auto_mtu_);
    wg_sockets_[name] = std::make_unique<WgSocket>(loop_, *this, *this, name);
    if (interface_by_id_.size() <= interface->id()) interface_by_id_.resize(interface->id() + 1u);
    interface_by_id_[interface->id()] = interface.get();
    interfaces_[name] = std::move(interface);
  } catch (const std::exception& error) {
    wg_sockets_.erase(name);
    return refused(error.what());
  }
  emit({std::chrono::system_clock::now(), "interface_created", name, {}, {}, {}, {}, 0, 0});
  return done();
}

void Gateway::remove_interface(const std::string& name) {
  const auto at = interfaces_.find(name);
  if (at == interfaces_.end()) return;
  wg_sockets_.erase(name);
  interface_by_id_[at->second->id()] = nullptr;
  interfaces_.erase(at);
  settle();
  emit({std::chrono::system_clock::now(), "interface_deleted", name, {}, {}, {}, {}, 0, 0});
}

KernelResult Gateway::carry_out_one(const config::Action& action) {
  return std::visit([this](const auto& a) { return carry_out_kind(a); }, action);
}

// An action on what has gone meanwhile changes nothing.
template <class Use>
KernelResult Gateway::with_port(const std::string& name, Use&& use) {
  const auto at = ports_.find(name);
  return at == ports_.end() ? done() : result_of(use, *at->second);
}

template <class Use>
KernelResult Gateway::with_interface(const std::string& name, Use&& use) {
  Interface* interface = find_interface(name);
  return interface == nullptr ? done() : result_of(use, *interface);
}

// ---- the gateway itself

KernelResult Gateway::carry_out_kind(const config::NeedsRestart&) {
  return done();
}
KernelResult Gateway::carry_out_kind(const config::SetStateDirectory&) {
  return done();  // the next save goes there
}
KernelResult Gateway::carry_out_kind(const config::SetIdle& a) {
  for (const auto& worker : dataplane_.workers())
    worker->set_idle(a.idle.mode == config::IdleMode::kAdaptive,
                     static_cast<std::uint32_t>(a.idle.max_sleep.count() * 1000));
  return done();
}
KernelResult Gateway::carry_out_kind(const config::SetLog& a) {
  start_log(a.log);
  control::set_log_level(log_, a.log.level);
  return done();
}
KernelResult Gateway::carry_out_kind(const config::SetReloadOnChange&) {
  return done();  // apply() looks which files there are now
}

KernelResult Gateway::carry_out_kind(const config::SetMetrics& action) {
  metrics_.reset();
  if (!action.listen) return done();
  try {
    MetricsOptions options;
    options.listen = config::to_string(*action.listen);
    options.per_peer = action.per_peer;
    metrics_ = std::make_unique<MetricsServer>(loop_, *this, options);
  } catch (const std::exception& error) {
    return refused(error.what());
  }
  return done();
}

KernelResult Gateway::carry_out_kind(const config::SetControlSocket& action) {
  try {
    rpc_.reset();
    rpc_ = std::make_unique<RpcServer>(
        loop_, rpc_targets(),
        RpcSockets{action.path, read_socket_beside(action.path), action.admin_group, action.read_group});
  } catch (const std::exception& error) {
    return refused(error.what());
  }
  return done();
}

// ---- ports

KernelResult Gateway::carry_out_kind(const config::AddPort& a) {
  return add_port(a.port, a.value);
}
KernelResult Gateway::carry_out_kind(const config::RemovePort& a) {
  ports_.erase(a.port);
  broken_ports_.erase(a.port);
  settle();
  return done();
}
KernelResult Gateway::carry_out_kind(const config::AddPortAddress& a) {
  return with_port(a.port, [&](GatewayPort& p) { return p.add_address(a.address); });
}
KernelResult Gateway::carry_out_kind(const config::RemovePortAddress& a) {
  return with_port(a.port, [&](GatewayPort& p) { return p.remove_address(a.address); });
}
KernelResult Gateway::carry_out_kind(const config::SetPortGateways& a) {
  return with_port(a.port, [&](GatewayPort& p) { return p.set_gateways(a.gateways); });
}
KernelResult Gateway::carry_out_kind(const config::SetPortMtu& a) {
  return with_port(a.port, [&](GatewayPort& p) { return p.set_mtu(a.mtu); });
}
KernelResult Gateway::carry_out_kind(const config::SetPortForwarding& a) {
  return with_port(a.port, [&](GatewayPort& p) { return p.set_forwarding(a.forwarding); });
}

// ---- interfaces

KernelResult Gateway::carry_out_kind(const config::AddInterface& a) {
  return add_interface(a.interface, a.value);
}
KernelResult Gateway::carry_out_kind(const config::RemoveInterface& a) {
  remove_interface(a.interface);
  return done();
}
KernelResult Gateway::carry_out_kind(const config::SetInterfaceEnabled& a) {
  return with_interface(a.interface, [&](Interface& i) { return i.set_enabled(a.enabled); });
}
KernelResult Gateway::carry_out_kind(const config::SetInterfaceKey& a) {
  return with_interface(a.interface, [&](Interface& i) { return i.set_private_key(a.key); });
}
KernelResult Gateway::carry_out_kind(const config::SetListenPort& a) {
  return with_interface(a.interface, [&](Interface& i) { return i.set_listen_port(a.port); });
}
KernelResult Gateway::carry_out_kind(const config::SetFwmark& a) {
  return with_interface(a.interface, [&](Interface& i) { return i.set_fwmark(a.fwmark); });
}
KernelResult Gateway::carry_out_kind(const config::AddInterfaceAddress& a) {
  return with_interface(a.interface, [&](Interface& i) { return i.add_address(a.address); });
}
KernelResult Gateway::carry_out_kind(const config::RemoveInterfaceAddress& a) {
  return with_interface(a.interface, [&](Interface& i) { return i.remove_address(a.address); });
}
KernelResult Gateway::carry_out_kind(const config::SetInterfaceMtu& a) {
  return with_interface(a.interface, [&](Interface& i) { return i.set_mtu(a.mtu, auto_mtu_); });
}
KernelResult Gateway::carry_out_kind(const config::SetRoutes& a) {
  return with_interface(a.interface, [&](Interface& i) { return i.set_routes(a.routes, a.table); });
}
KernelResult Gateway::carry_out_kind(const config::SetInterfaceForwarding& a) {
  return with_interface(a.interface, [&](Interface& i) { return i.set_forwarding(a.forwarding); });
}
KernelResult Gateway::carry_out_kind(const config::SetHairpin& a) {
  return with_interface(a.interface, [&](Interface& i) { return i.set_hairpin(a.hairpin); });
}
KernelResult Gateway::carry_out_kind(const config::SetDscp& a) {
  return with_interface(a.interface, [&](Interface& i) { return i.set_dscp(a.dscp); });
}
KernelResult Gateway::carry_out_kind(const config::SetUdpChecksum4& a) {
  return with_interface(a.interface, [&](Interface& i) { return i.set_udp_checksum4(a.on); });
}
KernelResult Gateway::carry_out_kind(const config::SetMssClamp& a) {
  return with_interface(a.interface, [&](Interface& i) { return i.set_mss_clamp(a.clamp); });
}
KernelResult Gateway::carry_out_kind(const config::SetInterfaceLogLevel& a) {
  return with_interface(a.interface, [&](Interface& i) {
    control::set_log_level(i.log(), a.level.value_or(running_.control.log.level));
  });
}

// ---- peers

KernelResult Gateway::carry_out_kind(const config::AddPeer& a) {
  return with_interface(a.peer.interface, [&](Interface& i) { i.add_peer(a.value); });
}
KernelResult Gateway::carry_out_kind(const config::RemovePeer& a) {
  return with_interface(a.peer.interface, [&](Interface& i) { i.remove_peer(a.peer.key); });
}
KernelResult Gateway::carry_out_kind(const config::SetPeerName& a) {
  return with_interface(a.peer.interface, [&](Interface& i) { i.set_peer_name(a.peer.key, a.name); });
}
KernelResult Gateway::carry_out_kind(const config::SetPeerEndpoint& a) {
  return with_interface(a.peer.interface, [&](Interface& i) { i.set_peer_endpoint(a.peer.key, a.endpoint); });
}
KernelResult Gateway::carry_out_kind(const config::SetPresharedKey& a) {
  return with_interface(a.peer.interface, [&](Interface& i) { i.set_preshared_key(a.peer.key, a.key); });
}
KernelResult Gateway::carry_out_kind(const config::SetKeepalive& a) {
  return with_interface(a.peer.interface, [&](Interface& i) {
    i.set_keepalive(a.peer.key, static_cast<std::uint16_t>(a.interval.count()));
  });
}
KernelResult Gateway::carry_out_kind(const config::SetPeerMtu& a) {
  return with_interface(a.peer.interface, [&](Interface& i) { i.set_peer_mtu(a.peer.key, a.mtu); });
}
KernelResult Gateway::carry_out_kind(const config::AddAllowedIp& a) {
  return with_interface(a.peer.interface, [&](Interface& i) { i.add_allowed_ip(a.peer.key, a.prefix); });
}
KernelResult Gateway::carry_out_kind(const config::MoveAllowedIp& a) {
  return with_interface(a.to.interface, [&](Interface& i) { i.add_allowed_ip(a.to.key, a.prefix); });
}
KernelResult Gateway::carry_out_kind(const config::RemoveAllowedIp& a) {
  return with_interface(a.peer.interface, [&](Interface& i) { i.remove_allowed_ip(a.peer.key, a.prefix); });
}

}  // namespace wg::control
