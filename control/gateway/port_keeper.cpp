#include "control/gateway/port_keeper.h"

#include <optional>
#include <utility>
#include <vector>

#include "control/convert.h"
#include "control/ignore.h"

namespace wg::control {

namespace {

// An attempt that fails half-way creates and removes a TAP, which is itself a change of links.
constexpr auto kPauseAfterFailure = std::chrono::seconds(10);

}  // namespace

PortKeeper::PortKeeper(Services& services, Objects& objects, const RunningConfig& running, Logger log)
    : services_(services), objects_(objects), running_(running), log_(std::move(log)) {}

void PortKeeper::note_lost_ports() {
  std::set<std::string> lost;
  for (const auto& [name, value] : running_.value().ports) {
    const GatewayPort* port = objects_.find_port(name);
    if (port != nullptr && port->whole()) continue;
    lost.insert(name);
    if (port != nullptr && !lost_ports_.contains(name))
      log_->write(log_event::port_lost, {.port = name}, "port {}: its wire or its Linux interface is gone",
                  name);
  }
  lost_ports_ = std::move(lost);
}

void PortKeeper::recreate_lost_ports() {
  note_lost_ports();
  for (const std::string& name : std::set(lost_ports_)) recreate(name);
}

void PortKeeper::check_cards() {
  std::vector<std::pair<std::string, std::string>> faulty;
  for (const auto& [name, port] : objects_.ports()) {
    if (std::optional<std::string> reason = port->port().look())
      faulty.emplace_back(name, *std::move(reason));
  }
  for (const auto& [name, reason] : faulty)
    ignore(restart(name, reason), "it is logged, and the port is recreated later");
}

Expected<> PortKeeper::restart(const std::string& name, const std::string& reason) {
  log_->write(log_event::port_restarting, {.port = name}, "port {}: {}: restarting it", name, reason);
  Expected<> done = objects_.restart_port(name);
  if (done) {
    log_->write(log_event::port_restarted, {.port = name}, "port {}: restarted, MAC address {}", name,
                to_string(objects_.find_port(name)->port().facts().mac));
  } else {
    log_->write(log_event::port_failed, {.port = name}, "port {}: {}", name, done.error().text);
    lost_ports_.insert(name);
    next_recreate_at_ = std::chrono::steady_clock::now() + kPauseAfterFailure;
  }
  announce(done ? GatewayEventKind::kPortRestarted : GatewayEventKind::kPortLost, name);
  return done;
}

void PortKeeper::announce(GatewayEventKind event, const std::string& name) {
  if (!services_.has_subscribers()) return;
  GatewayEvent out;
  out.at = std::chrono::system_clock::now();
  out.kind = event;
  out.detail = name;
  services_.emit(std::move(out));
}

void PortKeeper::recreate(const std::string& name) {
  const config::Port& value = running_.value().ports.at(name);
  const std::string wire = config::wire_of(value.device);
  if (!wire.empty() && !services_.netlink.find_link(wire)) return;
  const auto at = std::chrono::steady_clock::now();
  if (at < next_recreate_at_) return;
  objects_.remove_port(name);
  if (const Expected<> made = objects_.add_port(name, value); !made) {
    log_->write(log_event::port_failed, {.port = name}, "{}", made.error().text);
    next_recreate_at_ = at + kPauseAfterFailure;
    return;
  }
  lost_ports_.erase(name);
}

}  // namespace wg::control
