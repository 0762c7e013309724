// The sockets people and programs talk to: the control sockets, one for wg(8) per interface, the metrics
// endpoint. Each is made and made again here and nowhere else.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "config/diff.h"
#include "control/api/metrics.h"
#include "control/api/rpc.h"
#include "control/api/wg_socket.h"
#include "control/gateway/log_lines.h"
#include "control/log.h"
#include "control/loop/event_loop.h"
#include "dataplane/base/expected.h"

namespace wg::control {

class Sockets {
 public:
  // The objects they serve (`targets`; on_change and log are made here) outlive this, and may be made later.
  // Every change and every export of private keys asked for by the control socket, and every set by wg(8), is
  // logged with who asked.
  Sockets(EventLoop& loop, const RpcTargets& targets, Logger log);

  // In place of the one before, whose address is given up first: it may be the same. The connections of the
  // one before live until their answers are out, so a reload that replaces the socket is answered.
  Expected<> open_control(const config::SetControlSocket& wanted);
  Expected<> open_metrics(const config::SetMetrics& wanted);  // without an address: closes it
  Expected<> open_wg(const std::string& interface);
  void close_wg(const std::string& interface) { wg_.erase(interface); }
  void close_all();

  // To the subscribers of the event stream.
  void publish(const GatewayEvent& event);
  [[nodiscard]] bool has_subscribers() const { return control_ && control_->subscribers() != 0; }

 private:
  void retire_control();

  EventLoop& loop_;
  RpcTargets targets_;
  Logger log_;
  LogLines lines_;  // of the whole log, for those who follow it by a control socket
  std::unique_ptr<RpcServer> control_;
  std::vector<std::unique_ptr<RpcServer>> retired_;  // control sockets before, with answers due
  std::unique_ptr<MetricsServer> metrics_;
  std::map<std::string, std::unique_ptr<WgSocket>> wg_;
};

}  // namespace wg::control
