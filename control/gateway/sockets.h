// The sockets people and programs talk to: the control sockets, one for wg(8) per interface, the metrics
// endpoint. Each is made and made again here and nowhere else.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "config/diff.h"
#include "control/api/metrics.h"
#include "control/api/rpc.h"
#include "control/api/wg_socket.h"
#include "control/kernel/types.h"
#include "control/log.h"
#include "control/loop/event_loop.h"

namespace wg::control {

class Sockets {
 public:
  // What they serve outlives this, and may be made later. Every change asked for by the control socket is
  // logged, with who asked.
  Sockets(EventLoop& loop, const StatusSource& status, const SecretSource& secrets, ChangeSink& changes,
          Logger log);

  // In place of the one before, which is closed first: it may be the same address.
  KernelResult open_control(const config::SetControlSocket& wanted);
  KernelResult open_metrics(const config::SetMetrics& wanted);  // without an address: closes it
  KernelResult open_wg(const std::string& interface);
  void close_wg(const std::string& interface) { wg_.erase(interface); }
  void close_all();

  // To the subscribers of the event stream.
  void publish(const GatewayEvent& event);
  [[nodiscard]] bool has_subscribers() const { return control_ && control_->subscribers() != 0; }

 private:
  EventLoop& loop_;
  const StatusSource& status_;
  const SecretSource& secrets_;
  ChangeSink& changes_;
  Logger log_;
  std::unique_ptr<RpcServer> control_;
  std::unique_ptr<MetricsServer> metrics_;
  std::map<std::string, std::unique_ptr<WgSocket>> wg_;
};

}  // namespace wg::control
