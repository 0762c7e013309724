// Start, the control thread's loop, stop.
#include "control/gateway/gateway.h"

#include <rte_cycles.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "control/clock.h"
#include "control/kernel/sysctl.h"
#include "control/privileges.h"
#include "control/telemetry.h"

namespace wg::control {

namespace {

using namespace std::chrono_literals;

constexpr std::size_t kHandshakesPerRound = 256;
constexpr std::size_t kEventsPerRound = 2048;
constexpr unsigned kStallAlarmSeconds = 3, kStallAbortSeconds = 15;
constexpr auto kTimestampsInterval = 10s;
constexpr auto kNeighbourInterval = 15s;

// Worker cores: those named, or the last `count` usable ones; fewer cores than workers share the last.
std::vector<unsigned> worker_cores(const config::Workers& workers) {
  if (!workers.lcores.empty()) return workers.lcores;
  const std::vector<unsigned> cpus = dataplane::usable_cpus();
  if (workers.count > cpus.size()) {
    throw std::runtime_error("dpdk.workers: " + std::to_string(workers.count) +
                             " workers are asked for, but only " + std::to_string(cpus.size()) +
                             " cores are available; name cores twice to share them");
  }
  return {cpus.end() - workers.count, cpus.end()};
}

dataplane::DataplaneOptions dataplane_options(const config::Gateway& value) {
  dataplane::DataplaneOptions options;
  options.eal.worker_cores = worker_cores(value.dpdk.workers);
  options.eal.memory_mb = value.dpdk.memory.bytes >> 20;
  options.eal.hugepages = value.dpdk.hugepages == config::Hugepages::kAuto ? dataplane::Hugepages::automatic
                          : value.dpdk.hugepages == config::Hugepages::kRequire
                              ? dataplane::Hugepages::require
                              : dataplane::Hugepages::off;
  options.eal.extra_arguments = value.dpdk.eal;
  options.worker.spread = value.dpdk.spread;
  options.worker.adaptive_idle = value.dpdk.idle.mode == config::IdleMode::kAdaptive;
  options.worker.max_sleep_ns = static_cast<std::uint32_t>(value.dpdk.idle.max_sleep.count() * 1000);
  unsigned frame = 2048;
  for (const auto& [name, port] : value.ports) {
    if (port.device.kind == config::DeviceKind::kPci) options.eal.pci_allow.push_back(port.device.text);
    frame = std::max(frame, unsigned{port.mtu} + 128);
  }
  options.packet_bytes = frame;
  return options;
}

std::string refusals(const PlanOutcome& outcome) {
  std::string text;
  for (const std::string& error : outcome.errors) text += (text.empty() ? "" : "; ") + error;
  return text;
}

}  // namespace

Gateway::Gateway(const config::Gateway& value, std::string config_path)
    : config_path_(std::move(config_path)),
      log_(make_logger()),
      dataplane_(dataplane_options(value)),
      publisher_(dataplane_, mirror_, netlink_),
      commands_(dataplane_.workers(), drops_),
      staging_(drops_),
      services_{dataplane_,
                loop_,
                netlink_,
                mirror_,
                publisher_,
                resolver_,
                staging_,
                commands_,
                drops_,
                random_,
                [this](GatewayEvent&& event) { emit(std::move(event)); },
                [this] { return rpc_ && rpc_->subscribers() != 0; }},
      started_(std::chrono::system_clock::now()),
      background_(std::make_unique<Background>(loop_)) {
  keep_log_beside_this_thread();  // it ran before the dataplane gave this thread its CPUs
  for (const std::string& warning : dataplane_.facts().warnings) log_->warn("{}", warning);
  // What cannot change while running is taken over as it is; everything else comes through the one door.
  running_.dpdk = value.dpdk;
  running_.control = value.control;
  running_.sources = value.sources;
  static_cast<void>(set_forwarding("all", true, true));
  publisher_.flush();
  dataplane_.start();
  try {
    PlanOutcome outcome;
    if (!apply(value, outcome)) throw std::runtime_error(refusals(outcome));
    start_sockets();
    watch_signals();
    register_telemetry(telemetry_);
    if (const std::string& user = running_.control.user; !user.empty()) {
      std::vector<std::string> directories{running_.control.state_directory, kWgSocketDirectory};
      // A directory of our own; a shared one (/run, /tmp) stays whose it is, and a stale socket there is
      // removed by the next start.
      const std::filesystem::path sockets = std::filesystem::path(running_.control.socket).parent_path();
      if (sockets.filename() == "linegate") directories.push_back(sockets);
      drop_privileges(user, directories);
      log_->info("running as user {}", user);
    }
  } catch (...) {
    stop_everything();
    throw;
  }
  loop_.add(mirror_.fd(), EPOLLIN, [this](std::uint32_t) { on_kernel_changes(); });
  loop_.add(resolver_.fd(), EPOLLIN, [this](std::uint32_t) { on_resolved(); });
  loop_.add(dataplane_.doorbell().fd(), EPOLLIN, [](std::uint32_t) {});
  loop_.every(1s, [this] { every_second(); });
  loop_.every(kTimestampsInterval, [this] { save_timestamps(false); });
  loop_.every(kNeighbourInterval, [this] { publisher_.refresh_neighbours(); });
  on_kernel_changes();
  log_->info("running: {} port(s), {} interface(s), {} worker(s), AEAD {}", ports_.size(), interfaces_.size(),
             dataplane_.workers().size(), dataplane_.engine().name);
  sd_notify(0, "READY=1");
}

Gateway::~Gateway() {
  stop_everything();
}

void Gateway::start_sockets() {
  const config::Control& control = running_.control;
  RpcSockets sockets{control.socket, read_socket_beside(control.socket), control.admin_group,
                     control.read_group};
  rpc_ = std::make_unique<RpcServer>(loop_, rpc_targets(), sockets);
  if (!control.metrics) return;
  MetricsOptions options;
  options.listen = config::to_string(*control.metrics);
  options.per_peer = control.metrics_per_peer;
  metrics_ = std::make_unique<MetricsServer>(loop_, *this, options);
}

RpcTargets Gateway::rpc_targets() {
  return {*this, *this, *this, [this](const RpcCaller& caller, const std::string& method) {
            log_->info("control socket: {} by uid {} (pid {})", method, caller.uid, caller.pid);
          }};
}

// The signals are blocked in every thread (daemon.cpp) and arrive here.
void Gateway::watch_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, signal);
  signal_fd_ = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
  loop_.add(signal_fd_, EPOLLIN, [this](std::uint32_t) {
    signalfd_siginfo info;
    while (read(signal_fd_, &info, sizeof info) == sizeof info) {
      if (info.ssi_signo == SIGHUP) {
        reload(false, [](PlanOutcome) {});
      } else {
        log_->info("signal {}: stopping", info.ssi_signo);
        loop_.stop();
      }
    }
  });
}

void Gateway::run() {
  while (!loop_.stopped()) {
    // While handshakes gather nobody rings: descriptors and this wait alone end the sleep.
    const bool gather = pace_.gather();
    std::chrono::nanoseconds wait = 1s;
    if (gather) wait = std::chrono::nanoseconds(noise::HandshakePace::kGather);
    if (!gather) dataplane_.doorbell().prepare_sleep();
    const BootTime at = now().boot;
    for (const auto& [name, interface] : interfaces_) {
      const BootTime due = interface->next_deadline();
      if (due != 0) wait = std::min(wait, std::chrono::nanoseconds(due > at ? due - at : 0));
      if (interface->engine().queued() != 0) wait = 0ns;
    }
    for (const auto& worker : dataplane_.workers()) {
      const dataplane::WorkerMailboxes& boxes = worker->mailboxes();
      if (!boxes.events.empty() || (!gather && !boxes.handshakes.empty())) wait = 0ns;
    }
    if (dataplane_.quiescence().collect() != 0) wait = std::min<std::chrono::nanoseconds>(wait, 1ms);
    loop_.run_once(std::chrono::duration_cast<EventLoop::Clock::duration>(wait));
    dataplane_.doorbell().awake();
    round();
  }
  sd_notify(0, "STOPPING=1");
}

void Gateway::round() {
  pace_.note(drain_mailboxes(), now().boot);
  for (const auto& [name, interface] : interfaces_) interface->advance();
  publisher_.flush();
}

std::size_t Gateway::drain_mailboxes() {
  const noise::Now at = now();
  std::size_t handshakes = 0;
  for (const auto& worker : dataplane_.workers()) {
    // Events first: confirmations and roaming of established peers go before strangers' handshakes.
    worker->mailboxes().events.drain(kEventsPerRound, [this](const dataplane::Event& event) {
      Interface* interface =
          event.interface_id < interface_by_id_.size() ? interface_by_id_[event.interface_id] : nullptr;
      PacketPtr packet(event.packet);
      if (interface != nullptr) {
        interface->on_event(event, std::move(packet));
      } else if (packet) {
        drops_.add(dataplane::DropReason::peer_gone);
      }
    });
    handshakes += worker->mailboxes().handshakes.drain(
        kHandshakesPerRound, [this, &at](const dataplane::HandshakeMessage& message) {
          Interface* interface = message.interface_id < interface_by_id_.size()
                                     ? interface_by_id_[message.interface_id]
                                     : nullptr;
          if (interface != nullptr) interface->on_handshake(message, at);
        });
  }
  return handshakes;
}

void Gateway::on_kernel_changes() {
  mirror_.process();
  const std::vector<Change> changes = mirror_.take_changes();
  if (changes.empty()) return;
  publisher_.on_changes(changes);
  bool links = false;
  for (const Change& change : changes)
    links |= std::holds_alternative<LinkChanged>(change) || std::holds_alternative<Resynced>(change);
  if (links && !applying_) {
    renew_ports();
    std::vector<std::string> gone;
    for (const auto& [name, interface] : interfaces_) {
      if (const Link* link = mirror_.link(interface->ifindex())) {
        interface->on_link(*link);
      } else if (!netlink_.find_link(interface->ifindex())) {
        // Asked of the kernel itself: the mirror may not have come to the netdev's creation yet.
        gone.push_back(name);
      }
    }
    for (const std::string& name : gone) {
      log_->warn("interface {}: its netdev was deleted (ip link delete, wg-quick down): removing it", name);
      config::Gateway next = running_;
      next.interfaces.erase(name);
      static_cast<void>(change(std::move(next), "netdev deleted"));
    }
  }
  const std::vector<NextHopKey> neighbours = publisher_.take_changed_neighbours();
  const RoutesChanged routes = publisher_.take_routes_changed();
  for (const auto& [name, interface] : interfaces_) {
    if (routes.any()) interface->on_routes_changed(routes);
    if (!routes.everywhere && !neighbours.empty()) interface->on_neighbours_changed(neighbours);
  }
}

void Gateway::on_resolved() {
  for (const ResolvedName& result : resolver_.take_results()) {
    for (const auto& [name, interface] : interfaces_) {
      PeerRecord* record = interface->find_slot(static_cast<std::uint32_t>(result.key));
      if (record != nullptr) interface->on_resolved(*record, result);
    }
  }
}

void Gateway::every_second() {
  watch_workers();
  publish_counters();
  if (!broken_ports_.empty()) renew_ports();
  sd_notify(0, "WATCHDOG=1");
  if (const std::size_t swallowed = log_lines_swallowed(); swallowed != reported_swallowed_) {
    log_->warn("{} log lines swallowed", swallowed - reported_swallowed_);
    reported_swallowed_ = swallowed;
  }
}

// Busy shares for status, and the alarm for a worker that does not come round: its quiescence is what frees
// everything, so it may not stay away unnoticed.
void Gateway::watch_workers() {
  auto& workers = dataplane_.workers();
  samples_.resize(workers.size());
  last_heartbeats_.resize(workers.size());
  stalled_seconds_.resize(workers.size());
  for (std::size_t i = 0; i < workers.size(); ++i) {
    const dataplane::WorkerCounters& counters = workers[i]->counters();
    WorkerSample& sample = samples_[i];
    const std::uint64_t busy = counters.busy_cycles.get(), idle = counters.idle_cycles.get(),
                        at = rte_rdtsc();
    if (sample.at != 0 && at > sample.at) {
      const double elapsed = static_cast<double>(at - sample.at);
      sample.busy_share = static_cast<double>(busy - sample.busy) / elapsed;
      // What is neither work nor an empty poll is sleep.
      const double awake = static_cast<double>(busy - sample.busy + idle - sample.idle) / elapsed;
      sample.sleep_share = std::clamp(1 - awake, 0.0, 1.0);
    }
    sample = {busy, idle, at, sample.busy_share, sample.sleep_share};
    const std::uint64_t beat = workers[i]->heartbeat();
    stalled_seconds_[i] = beat == last_heartbeats_[i] ? stalled_seconds_[i] + 1 : 0;
    last_heartbeats_[i] = beat;
    if (stalled_seconds_[i] == kStallAlarmSeconds)
      log_->error("worker {} has not come round for {} s", i, kStallAlarmSeconds);
    if (stalled_seconds_[i] == kStallAbortSeconds) {
      log_->critical("worker {} is stuck: aborting, the supervisor restarts us", i);
      stop_log();
      std::abort();
    }
  }
}

// Waits until the workers have let go of what was unpublished, so that names and devices are free again.
void Gateway::settle() {
  publisher_.flush();
  const auto patience = std::chrono::steady_clock::now() + 2s;
  while (dataplane_.quiescence().collect() != 0 && std::chrono::steady_clock::now() < patience)
    std::this_thread::sleep_for(100us);
}

void Gateway::stop_everything() {
  if (!background_) return;
  unregister_telemetry();
  save_timestamps(true);
  background_.reset();
  file_watch_.reset();
  metrics_.reset();
  rpc_.reset();
  wg_sockets_.clear();
  interface_by_id_.clear();
  interfaces_.clear();
  ports_.clear();
  settle();
  dataplane_.stop();
  // Nobody is left to show a counter to.
  const auto give_back = [](const auto& message) { PacketPtr packet(message.packet); };
  for (const auto& worker : dataplane_.workers()) {
    dataplane::WorkerMailboxes& boxes = worker->mailboxes();
    boxes.events.drain(boxes.events.capacity(), give_back);
    boxes.commands.drain(boxes.commands.capacity(), give_back);
  }
  dataplane_.quiescence().collect();
  if (signal_fd_ >= 0) {
    loop_.remove(signal_fd_);
    close(signal_fd_);
    signal_fd_ = -1;
  }
  log_->info("stopped");
}

}  // namespace wg::control
