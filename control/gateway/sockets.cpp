#include "control/gateway/sockets.h"

#include <utility>

namespace wg::control {

namespace {

void write_request(Log& log, const LogEvent& event, const RpcCaller& caller, const std::string& method) {
  if (!log.says(event)) return;
  const std::string uid = std::to_string(caller.uid), pid = std::to_string(caller.pid);
  log.write(event, {.method = method, .uid = uid, .pid = pid}, "control socket: {} by uid {} (pid {})",
            method, uid, pid);
}

}  // namespace

Sockets::Sockets(EventLoop& loop, const RpcTargets& targets, Logger log)
    : loop_(loop), targets_(targets), log_(std::move(log)), lines_(loop) {
  targets_.log = &lines_;
  targets_.on_change = [log = log_](const RpcCaller& caller, const std::string& method) {
    write_request(*log, log_event::changed_by, caller, method);
  };
  targets_.on_read = [log = log_](const RpcCaller& caller, const std::string& method) {
    write_request(*log, log_event::asked_by, caller, method);
  };
}

Expected<> Sockets::open_control(const config::SetControlSocket& wanted) {
  retire_control();
  return catch_refusal([&] {
    const RpcSockets paths{wanted.path, read_socket_beside(wanted.path), wanted.admin_group,
                           wanted.read_group};
    control_ = std::make_unique<RpcServer>(loop_, targets_, paths);
  });
}

void Sockets::retire_control() {
  std::erase_if(retired_, [](const auto& server) { return server->clients() == 0; });
  if (!control_) return;
  control_->retire();
  retired_.push_back(std::move(control_));
}

Expected<> Sockets::open_metrics(const config::SetMetrics& wanted) {
  metrics_.reset();
  if (!wanted.listen) return {};
  return catch_refusal([&] {
    MetricsOptions options;
    options.listen = config::to_string(*wanted.listen);
    options.per_peer = wanted.per_peer;
    metrics_ = std::make_unique<MetricsServer>(loop_, targets_.status, options);
  });
}

Expected<> Sockets::open_wg(const std::string& interface) {
  if (wg_.contains(interface)) return {};
  const OnWgSet log_set = [log = log_, interface](const RpcCaller& caller, const WgSet& set) {
    const std::string uid = std::to_string(caller.uid), pid = std::to_string(caller.pid);
    log->write(log_event::wg_set, {.interface = interface, .uid = uid, .pid = pid},
               "{}: set by wg(8), {} peers, by uid {} (pid {})", interface, set.peers.size(), uid, pid);
  };
  return catch_refusal([&] {
    wg_[interface] = std::make_unique<WgSocket>(loop_, targets_.secrets, targets_.changes, interface,
                                                kWgSocketDirectory, StreamLimits{}, log_set);
  });
}

void Sockets::close_all() {
  metrics_.reset();
  control_.reset();
  retired_.clear();
  wg_.clear();
}

void Sockets::publish(const GatewayEvent& event) {
  if (control_) control_->publish(event);
}

}  // namespace wg::control
