#include "control/gateway/sockets.h"

#include <exception>
#include <utility>

namespace wg::control {

namespace {

// `open` throws a std::exception with a sentence for people.
template <class Open>
KernelResult result_of(Open&& open) {
  try {
    open();
  } catch (const std::exception& error) {
    return KernelResult::refused(error.what());
  }
  return KernelResult::done();
}

}  // namespace

Sockets::Sockets(EventLoop& loop, const StatusSource& status, const SecretSource& secrets,
                 ChangeSink& changes, Logger log)
    : loop_(loop), status_(status), secrets_(secrets), changes_(changes), log_(std::move(log)) {}

KernelResult Sockets::open_control(const config::SetControlSocket& wanted) {
  control_.reset();
  return result_of([&] {
    const OnChange log_change = [log = log_](const RpcCaller& caller, const std::string& method) {
      log->info("control socket: {} by uid {} (pid {})", method, caller.uid, caller.pid);
    };
    const RpcSockets paths{wanted.path, read_socket_beside(wanted.path), wanted.admin_group,
                           wanted.read_group};
    control_ = std::make_unique<RpcServer>(loop_, RpcTargets{status_, secrets_, changes_, log_change}, paths);
  });
}

KernelResult Sockets::open_metrics(const config::SetMetrics& wanted) {
  metrics_.reset();
  if (!wanted.listen) return KernelResult::done();
  return result_of([&] {
    MetricsOptions options;
    options.listen = config::to_string(*wanted.listen);
    options.per_peer = wanted.per_peer;
    metrics_ = std::make_unique<MetricsServer>(loop_, status_, options);
  });
}

KernelResult Sockets::open_wg(const std::string& interface) {
  if (wg_.contains(interface)) return KernelResult::done();
  return result_of(
      [&] { wg_[interface] = std::make_unique<WgSocket>(loop_, secrets_, changes_, interface); });
}

void Sockets::close_all() {
  metrics_.reset();
  control_.reset();
  wg_.clear();
}

void Sockets::publish(const GatewayEvent& event) {
  if (control_) control_->publish(event);
}

}  // namespace wg::control
