// Start, what the kernel and the resolver report, stop.
#include "control/gateway/gateway.h"

#include <spdlog/fmt/fmt.h>
#include <sys/epoll.h>
#include <systemd/sd-daemon.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>

#include "config/read_file.h"
#include "control/clock.h"
#include "control/gateway/config_history.h"
#include "control/gateway/dataplane_options.h"
#include "control/ignore.h"
#include "control/privileges.h"
#include "control/surely.h"
#include "control/telemetry.h"

namespace wg::control {

namespace {

using namespace std::chrono_literals;

constexpr auto kStateInterval = 10s;
constexpr auto kNeighbourInterval = 15s;
// The link of a virtual function is seen to go for about a second when its physical function is reset.
constexpr auto kLookInterval = 250ms;

std::string joined(const std::vector<Refusal>& errors) {
  std::string text;
  for (const Refusal& error : errors) text += (text.empty() ? "" : "; ") + error.text;
  return text;
}

}  // namespace

Gateway::Gateway(const config::Gateway& value, std::string config_path, bool allow_key_captures)
    : services_(dataplane_options(value)),
      log_(make_logger()),
      background_(services_.loop),
      running_(std::move(config_path), value),
      objects_(services_, value.control.state_directory, log_),
      watch_(services_.dataplane, log_),
      keeper_(services_, objects_, running_, log_),
      agreement_{{services_, objects_, log_}, {services_, objects_, running_, log_}, {}},
      notices_(services_, objects_, log_),
      saved_(objects_, value.control.state_directory, services_.loop, background_, log_),
      flows_(services_, log_),
      counters_(services_, objects_),
      status_({services_, objects_, running_, watch_, keeper_, notices_, agreement_.drift, flows_,
               services_.dataplane.peers(), counters_.drop_times(), agreement_.path_errors}),
      actions_(services_, objects_, sockets_, saved_, log_),
      runner_(services_, objects_, actions_),
      changes_({services_, objects_, keeper_, running_, runner_, background_, agreement_.drift}, log_,
               [this] { on_plan_carried_out(); }),
      watched_{{services_, objects_, log_},
               {services_.loop, services_.dataplane.peers(), objects_, status_},
               {services_, objects_, log_}},
      sockets_(services_.loop,
               {status_, status_, changes_, {}, &watched_.packets, &watched_.rates, nullptr, &watched_.rings},
               log_),
      rounds_(services_, objects_, flows_, watched_.packets),
      signals_(services_.loop) {
  services_.emit = [this](GatewayEvent&& event) { sockets_.publish(event); };
  services_.key_captures_allowed = allow_key_captures;
  services_.has_subscribers = [this] { return sockets_.has_subscribers(); };
  try {
    start(value);
  } catch (...) {
    stop_everything();
    throw;
  }
}

Gateway::~Gateway() {
  stop_everything();
}

void Gateway::start(const config::Gateway& value) {
  keep_log_beside_this_thread();  // it ran before the dataplane gave this thread its CPUs
  for (const std::string& warning : services_.dataplane.facts().warnings)
    log_->write(log_event::dataplane_warning, {}, "{}", warning);
  objects_.machine().enable_forwarding();
  services_.publisher.set_ipsec(services_.ipsec.any());
  services_.publisher.flush();
  services_.dataplane.start();
  if (services_.dataplane.facts().workers_alone && !go_before_other_programs())
    log_->write(log_event::no_priority, {}, "busy programs may delay handshakes: {}", std::strerror(errno));
  apply_in_order(value);
  follow_start();
  open_sockets();
  watch_signals();
  register_telemetry(counters_.sources());
  objects_.machine().put_back_rest_of_crash();
  give_up_root();
  watch_descriptors();
  services_.loop.on_failure([this](const std::exception& error) {
    services_.counters.tasks_failed.add(1);
    log_->write(log_event::task_failed, {}, "a task was abandoned: {}", error.what());
  });
  note_start_in_history(background_, running_, log_);
  on_kernel_changes();
  const std::string parts = fmt::format("{} port(s), {} interface(s), {} worker(s)", objects_.ports().size(),
                                        objects_.interfaces().size(), services_.dataplane.workers().size());
  log_->write(log_event::started, {}, "running: {}, AEAD {}", parts, services_.dataplane.engine().name);
  sd_notifyf(0, "READY=1\nSTATUS=%s", parts.c_str());
}

// Ports first, and seen by the workers. What an interface asks for at once would be dropped before: the ARP
// request for the neighbour of a peer would be sent again after a second.
void Gateway::apply_in_order(const config::Gateway& value) {
  config::Gateway ports;
  ports.dpdk = value.dpdk;
  ports.ports = value.ports;
  ports.control = value.control;
  ports.sources = value.sources;
  if (const PlanOutcome first = changes_.apply(std::move(ports)); !first.ok())
    throw std::runtime_error(joined(first.errors));
  if (const PlanOutcome whole = changes_.apply(value); !whole.ok())
    throw std::runtime_error(joined(whole.errors));
}

// Those that the first plan does not name, because RunningConfig starts with their settings.
void Gateway::open_sockets() {
  const config::Control& control = running_.value().control;
  value_or_throw(sockets_.open_control({control.socket, control.admin_group, control.read_group}));
  value_or_throw(sockets_.open_metrics({control.metrics, control.metrics_per_peer}));
}

void Gateway::give_up_root() {
  const config::Control& control = running_.value().control;
  if (control.user.empty()) return;
  config::make_private_directory(control.state_directory);
  std::vector<std::string> directories{control.state_directory, kWgSocketDirectory};
  // A directory of our own; a shared one (/run, /tmp) stays whose it is, and a stale socket there is removed
  // by the next start.
  const std::filesystem::path sockets = std::filesystem::path(control.socket).parent_path();
  if (sockets.filename() == "linegate") directories.push_back(sockets);
  drop_privileges(control.user, directories);
  log_->write(log_event::user_changed, {}, "running as user {}", control.user);
}

void Gateway::watch_signals() {
  signals_.watch({.reload = [this] { changes_.reload({}, [](PlanOutcome) {}); },
                  .stop =
                      [this](int signal) {
                        log_->write(log_event::stopping, {}, "signal {}: stopping", signal);
                        services_.loop.stop();
                      }});
}

// The start is not over before the workers know its routes. Other programs may change routes without end.
void Gateway::follow_start() {
  const auto late = std::chrono::steady_clock::now() + 10s;
  while (services_.mirror.has_unread() && std::chrono::steady_clock::now() < late) on_kernel_changes();
  services_.publisher.flush();
}

void Gateway::run() {
  while (!services_.loop.stopped()) rounds_.run_once();
  sd_notify(0, "STOPPING=1");
}

void Gateway::watch_descriptors() {
  EventLoop& loop = services_.loop;
  const auto watch = [&loop](int fd, EventLoop::Callback on_readable) {
    value_or_throw(
        loop.add(fd, EPOLLIN, [on_readable = std::move(on_readable)](std::uint32_t) { on_readable(); }));
  };
  watch(services_.mirror.fd(), [this] { on_kernel_changes(); });
  if (services_.ipsec.fd() >= 0) watch(services_.ipsec.fd(), [this] { on_ipsec_changed(); });
  watch(services_.resolver.fd(), [this] { on_resolved(); });
  watch(services_.dataplane.doorbell().fd(), [] {});
  loop.every(1s, [this] { every_second(); });
  loop.every(kLookInterval, [this] {
    if (!changes_.half_done()) keeper_.check_cards();
  });
  loop.every(kStateInterval, [this] {
    saved_.save();
    objects_.machine().save_if_new();
  });
  loop.every(kNeighbourInterval, [this] { services_.publisher.refresh_neighbours(); });
}

void Gateway::inspect(Inspector inspector) {
  services_.loop.post([this, inspector = std::move(inspector)] {
    inspector(*services_.dataplane.current(), objects_.interfaces());
  });
}

// ---------------------------------------------------------------- what others report

void Gateway::on_kernel_changes() {
  services_.mirror.process(NetlinkMirror::Clock::now() + RoundTimes::kKernel);
  const std::vector<Change> changes = services_.mirror.take_changes();
  if (changes.empty()) return;
  services_.publisher.on_changes(changes);
  const bool links = std::any_of(changes.begin(), changes.end(), [](const Change& change) {
    return std::holds_alternative<LinkChanged>(change) || std::holds_alternative<Resynced>(change);
  });
  if (links) on_links_changed();
  const bool addresses = std::any_of(changes.begin(), changes.end(), [](const Change& change) {
    return std::holds_alternative<AddressChanged>(change);
  });
  if (links || addresses) follow_ports();
  agreement_.drift.on_changes(changes);
  on_routes_and_neighbours();
}

void Gateway::on_routes_and_neighbours() {
  const std::vector<NextHopKey> neighbours = services_.publisher.take_changed_neighbours();
  const RoutesChanged routes = services_.publisher.take_routes_changed();
  if (routes.any()) flows_.on_routes_changed(routes);
  for (const auto& [name, interface] : objects_.interfaces()) {
    if (routes.any()) interface->paths().on_routes_changed(routes);
    interface->paths().on_neighbours_changed(neighbours);
  }
}

void Gateway::on_ipsec_changed() {
  services_.ipsec.process();
  services_.publisher.set_ipsec(services_.ipsec.any());
  on_routes_and_neighbours();
}

// The workers have to know of a port before they send what announces its addresses.
void Gateway::follow_ports() {
  services_.publisher.flush_settings();
  agreement_.ports.follow();
}

void Gateway::on_links_changed() {
  if (!changes_.half_done()) keeper_.recreate_lost_ports();
  std::vector<std::string> gone;
  for (const auto& [name, interface] : objects_.interfaces()) {
    if (const Link* link = services_.mirror.link(interface->ifindex())) {
      interface->on_link(*link);
    } else if (!services_.netlink.find_link(interface->ifindex())) {
      // The kernel itself is asked: the mirror may not have read of the netdev's creation yet.
      gone.push_back(name);
    }
  }
  for (const std::string& name : gone) changes_.forget_interface(name);
}

// The plan's own changes of links, addresses and routes are followed before anything else happens.
void Gateway::on_plan_carried_out() {
  keeper_.note_lost_ports();
  on_kernel_changes();
  follow_ports();
  flows_.apply(running_.value());
  services_.publisher.flush_settings();
  notices_.refresh();
}

void Gateway::on_resolved() {
  for (const ResolvedName& result : services_.resolver.take_results()) {
    for (const auto& [name, interface] : objects_.interfaces()) {
      PeerRecord* record = interface->book().find_slot(static_cast<std::uint32_t>(result.key));
      if (record != nullptr) interface->endpoints().on_resolved(*record, result);
    }
  }
}

void Gateway::every_second() {
  watch_.check();
  flows_.every_second();
  watched_.rings.every_second();
  counters_.publish();
  agreement_.path_errors.every_second(BootClock::now(),
                                      [this](const Endpoint& local) { return listens(local); });
  agreement_.ports.every_second();
  on_kernel_changes();
  notices_.refresh();
  if (!changes_.half_done()) agreement_.drift.every_second();
  if (!keeper_.lost_ports().empty() && !changes_.half_done()) keeper_.recreate_lost_ports();
  sd_notify(0, "WATCHDOG=1");
  warn_of_dropped_lines(log_);
}

// On one of our addresses, for an interface.
bool Gateway::listens(const Endpoint& local) const {
  const auto& interfaces = objects_.interfaces();
  return services_.mirror.is_local(local.address) &&
         std::any_of(interfaces.begin(), interfaces.end(),
                     [&](const auto& named) { return named.second->listen_port() == local.port; });
}

// ---------------------------------------------------------------- stop

void Gateway::stop_everything() {
  unregister_telemetry();
  background_.stop();  // first: an older write that ends later would win
  surely([this] { saved_.save_and_wait(); });
  surely([this] { changes_.close(); });
  surely([this] { sockets_.close_all(); });
  surely([this] { flows_.stop(); });
  surely([this] { objects_.clear(); });
  surely([this] { objects_.machine().put_back_all(); });
  services_.dataplane.stop();
  surely([this] { rounds_.empty_mailboxes(); });
  surely([this] { services_.dataplane.quiescence().collect(); });
  log_->write(log_event::stopped, {}, "stopped");
}

}  // namespace wg::control
