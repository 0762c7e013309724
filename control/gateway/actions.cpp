#include "control/gateway/actions.h"

#include <type_traits>
#include <utility>

namespace wg::control {

namespace {

Expected<> done() {
  return {};
}

// The result of `use`; done when it cannot fail.
template <class Use, class Subject>
Expected<> result_of(Use& use, Subject& subject) {
  if constexpr (std::is_void_v<decltype(use(subject))>) {
    use(subject);
    return done();
  } else {
    return use(subject);
  }
}

}  // namespace

Actions::Actions(Services& services, Objects& objects, Sockets& sockets, SavedState& saved, Logger log)
    : services_(services), objects_(objects), sockets_(sockets), saved_(saved), log_(std::move(log)) {}

void Actions::announce(GatewayEventKind kind, const std::string& interface) {
  GatewayEvent event;
  event.at = std::chrono::system_clock::now();
  event.kind = kind;
  event.interface = interface;
  services_.emit(std::move(event));
}

Expected<> Actions::carry_out(const config::Action& action) {
  return std::visit([this](const auto& a) { return carry_out_kind(a); }, action);
}

// An action on what has gone meanwhile changes nothing.
template <class Use>
Expected<> Actions::with_port(const std::string& name, Use&& use) {
  GatewayPort* port = objects_.find_port(name);
  return port == nullptr ? done() : result_of(use, *port);
}

template <class Use>
Expected<> Actions::with_interface(const std::string& name, Use&& use) {
  Interface* interface = objects_.find_interface(name);
  return interface == nullptr ? done() : result_of(use, *interface);
}

// ---- the gateway itself

Expected<> Actions::carry_out_kind(const config::NeedsRestart&) {
  return done();
}
Expected<> Actions::carry_out_kind(const config::ChangeSettings<config::Dpdk>& a) {
  const config::Idle& idle = a.value.idle;
  for (const auto& worker : services_.dataplane.workers())
    worker->set_idle(idle.mode == config::IdleMode::kAdaptive, idle.max_sleep);
  return done();
}

// reload_on_change is read where it is used, once the plan has been carried out.
Expected<> Actions::carry_out_kind(const config::ChangeSettings<config::Control>& a) {
  saved_.use_directory(a.value.state_directory);
  start_log(a.value.log);
  log_->set_level(a.value.log.level);
  for (const auto& [name, interface] : objects_.interfaces()) interface->apply_log_level();
  return done();
}

// Mark and size are read where they are used, once the plan has been carried out.
Expected<> Actions::carry_out_kind(const config::ChangeSettings<config::Flows>&) {
  return done();
}

Expected<> Actions::carry_out_kind(const config::SetMetrics& a) {
  return sockets_.open_metrics(a);
}
Expected<> Actions::carry_out_kind(const config::SetControlSocket& a) {
  return sockets_.open_control(a);
}

// ---- ports

Expected<> Actions::carry_out_kind(const config::AddPort& a) {
  return objects_.add_port(a.port, a.value);
}
Expected<> Actions::carry_out_kind(const config::RemovePort& a) {
  objects_.remove_port(a.port);
  return done();
}
Expected<> Actions::carry_out_kind(const config::AddPortAddress& a) {
  return with_port(a.port, [&](GatewayPort& p) { return p.add_address(a.address); });
}
Expected<> Actions::carry_out_kind(const config::RemovePortAddress& a) {
  return with_port(a.port, [&](GatewayPort& p) { return p.remove_address(a.address, undoing_); });
}
Expected<> Actions::carry_out_kind(const config::SetPortGateways& a) {
  return with_port(a.port, [&](GatewayPort& p) { return p.set_gateways(a.gateways); });
}
Expected<> Actions::carry_out_kind(const config::SetPortMtu& a) {
  return with_port(a.port, [&](GatewayPort& p) { return p.set_mtu(a.mtu); });
}
Expected<> Actions::carry_out_kind(const config::ChangeSettings<config::Port>& a) {
  return with_port(a.name, [&](GatewayPort& p) { p.apply(a.value); });
}

// ---- interfaces

Expected<> Actions::carry_out_kind(const config::AddInterface& a) {
  if (objects_.find_interface(a.interface) != nullptr) return done();
  if (Expected<> added = objects_.add_interface(a.interface, a.value, auto_mtu_); !added) return added;
  // Its peers come by later actions: none has sent anything yet.
  saved_.load(*objects_.find_interface(a.interface));
  if (Expected<> opened = sockets_.open_wg(a.interface); !opened) {
    objects_.remove_interface(a.interface);
    return opened;
  }
  announce(GatewayEventKind::kInterfaceCreated, a.interface);
  return done();
}
Expected<> Actions::carry_out_kind(const config::RemoveInterface& a) {
  Interface* interface = objects_.find_interface(a.interface);
  if (interface == nullptr) return done();
  saved_.forget(*interface);
  sockets_.close_wg(a.interface);
  objects_.remove_interface(a.interface);
  announce(GatewayEventKind::kInterfaceDeleted, a.interface);
  return done();
}
Expected<> Actions::carry_out_kind(const config::ChangeSettings<config::Interface>& a) {
  return with_interface(a.name, [&](Interface& i) { i.apply(a.value); });
}
Expected<> Actions::carry_out_kind(const config::SetInterfaceEnabled& a) {
  return with_interface(a.interface, [&](Interface& i) { return i.set_enabled(a.enabled); });
}
Expected<> Actions::carry_out_kind(const config::SetInterfaceKey& a) {
  return with_interface(a.interface, [&](Interface& i) { return i.set_private_key(a.key); });
}
Expected<> Actions::carry_out_kind(const config::SetListenPort& a) {
  return with_interface(a.interface, [&](Interface& i) { return i.set_listen_port(a.port); });
}
Expected<> Actions::carry_out_kind(const config::SetFwmark& a) {
  return with_interface(a.interface, [&](Interface& i) { return i.set_fwmark(a.fwmark); });
}
Expected<> Actions::carry_out_kind(const config::AddInterfaceAddress& a) {
  return with_interface(a.interface, [&](Interface& i) { return i.add_address(a.address); });
}
Expected<> Actions::carry_out_kind(const config::RemoveInterfaceAddress& a) {
  return with_interface(a.interface, [&](Interface& i) { return i.remove_address(a.address, undoing_); });
}
Expected<> Actions::carry_out_kind(const config::SetInterfaceMtu& a) {
  return with_interface(a.interface, [&](Interface& i) { return i.set_mtu(a.mtu, auto_mtu_); });
}
Expected<> Actions::carry_out_kind(const config::SetRoutes& a) {
  return with_interface(a.interface, [&](Interface& i) { return i.set_routes(a.routes, a.table); });
}

Expected<> Actions::carry_out_kind(const config::KeepPrefix& a) {
  return with_interface(a.interface, [&](Interface& i) { i.routes().keep(a.prefix); });
}
Expected<> Actions::carry_out_kind(const config::ForgetPrefix& a) {
  return with_interface(a.interface, [&](Interface& i) { i.routes().forget(a.prefix); });
}

// ---- peers

Expected<> Actions::carry_out_kind(const config::AddPeer& a) {
  return with_interface(a.peer.interface, [&](Interface& i) { i.peers().add(a.value); });
}
Expected<> Actions::carry_out_kind(const config::RemovePeer& a) {
  return with_interface(a.peer.interface, [&](Interface& i) { i.peers().remove(a.peer.key); });
}
Expected<> Actions::carry_out_kind(const config::SetPeerName& a) {
  return with_interface(a.peer.interface, [&](Interface& i) { i.peers().set_name(a.peer.key, a.name); });
}
Expected<> Actions::carry_out_kind(const config::SetPeerEndpoint& a) {
  return with_interface(a.peer.interface,
                        [&](Interface& i) { i.peers().set_endpoint(a.peer.key, a.endpoint, a.forced); });
}
Expected<> Actions::carry_out_kind(const config::SetPresharedKey& a) {
  return with_interface(a.peer.interface,
                        [&](Interface& i) { i.peers().set_preshared_key(a.peer.key, a.key); });
}
Expected<> Actions::carry_out_kind(const config::SetKeepalive& a) {
  return with_interface(a.peer.interface,
                        [&](Interface& i) { i.peers().set_keepalive(a.peer.key, a.interval); });
}
Expected<> Actions::carry_out_kind(const config::SetPeerMtu& a) {
  return with_interface(a.peer.interface, [&](Interface& i) { i.peers().set_mtu(a.peer.key, a.mtu); });
}
Expected<> Actions::carry_out_kind(const config::AddAllowedIp& a) {
  return with_interface(a.peer.interface,
                        [&](Interface& i) { i.peers().add_allowed_ip(a.peer.key, a.prefix); });
}
Expected<> Actions::carry_out_kind(const config::MoveAllowedIp& a) {
  return with_interface(a.to.interface, [&](Interface& i) { i.peers().add_allowed_ip(a.to.key, a.prefix); });
}
Expected<> Actions::carry_out_kind(const config::RemoveAllowedIp& a) {
  return with_interface(a.peer.interface,
                        [&](Interface& i) { i.peers().remove_allowed_ip(a.peer.key, a.prefix); });
}

}  // namespace wg::control
