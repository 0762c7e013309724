// The gateway: everything the daemon runs, and the one place that changes it.
//
// A change of configuration, wherever it comes from (file, wg(8), control socket), is a new value of
// config::Gateway: diff() against the running value gives the plan, apply() carries it out, all or nothing.
// Lives on the control thread.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "config/diff.h"
#include "config/parse.h"
#include "config/types.h"
#include "control/api/change_sink.h"
#include "control/api/metrics.h"
#include "control/api/rpc.h"
#include "control/api/secret_source.h"
#include "control/api/status_source.h"
#include "control/api/wg_socket.h"
#include "control/gateway/port.h"
#include "control/interface/interface.h"
#include "control/loop/background.h"
#include "control/loop/file_watch.h"
#include "control/noise/handshake_pace.h"
#include "control/services.h"
#include "control/telemetry.h"

namespace wg::control {

class Gateway final : public StatusSource, public SecretSource, public ChangeSink {
 public:
  // Starts DPDK, ports, interfaces and sockets. Throws std::runtime_error; everything is undone then.
  Gateway(const config::Gateway& value, std::string config_path);
  ~Gateway() override;
  Gateway(const Gateway&) = delete;
  Gateway& operator=(const Gateway&) = delete;

  // Until stop() or a termination signal.
  void run();

  // From any thread: `look` runs on the control thread, with what the workers see. For tests.
  using Look = std::function<void(const dataplane::Snapshot& snapshot,
                                  const std::map<std::string, std::unique_ptr<Interface>>& interfaces)>;
  void look(Look look) {
    loop_.post([this, look = std::move(look)] { look(*dataplane_.current(), interfaces_); });
  }

  // ---- StatusSource
  GatewayStatus status() const override;
  std::vector<InterfaceStatus> interfaces() const override;
  std::vector<PortStatus> ports() const override;
  std::vector<WorkerStatus> workers() const override;
  std::vector<DropStatus> drops() const override;
  void visit_peers(const PeerFilter& filter, const std::function<void(PeerStatus&&)>& visit) const override;
  std::optional<PeerStatus> find_peer(std::string_view interface, std::string_view peer) const override;
  std::optional<PeerFacts> explain_peer(std::string_view interface, std::string_view peer) const override;

  // ---- SecretSource
  std::optional<config::Interface> interface_config(std::string_view interface) const override;
  std::optional<WgDevice> wg_get(std::string_view interface) const override;

  // ---- ChangeSink
  int apply_wg_set(std::string_view interface, WgSet&& set) override;
  void reload(bool dry_run, PlanDone done) override;
  void diff(PlanDone done) override;
  void save(PlanDone done) override;
  Outcome interface_create(const std::string& name, const config::Interface& value) override;
  Outcome interface_up(const std::string& name) override;
  Outcome interface_down(const std::string& name) override;
  void interface_delete(const std::string& name, OutcomeDone done) override;
  Outcome set_log_level(const std::string& interface, config::LogLevel level) override;
  void stop() override { loop_.stop(); }

 private:
  // ---- gateway.cpp: start, loop, stop
  void start_sockets();
  [[nodiscard]] RpcTargets rpc_targets();
  void watch_signals();
  void round();
  std::size_t drain_mailboxes();  // returns how many handshake messages
  void on_kernel_changes();
  void on_resolved();
  void every_second();
  void watch_workers();
  void stop_everything();
  void settle();

  // ---- gateway_apply.cpp
  // Carries out diff(running, next). On failure nothing has changed and `errors` says what the system
  // refused.
  bool apply(config::Gateway next, PlanOutcome& outcome);
  config::Plan plan_between(const config::Gateway& from, const config::Gateway& to);
  // The same with a plan at hand; `back` is asked for the way back when the system refuses.
  bool execute(const config::Plan& plan, const std::function<config::Plan()>& back, PlanOutcome& outcome);
  bool preflight(const config::Plan& plan, PlanOutcome& outcome);
  // `reached`: how many actions were begun.
  bool carry_out(const config::Plan& plan, PlanOutcome& outcome, std::size_t& reached);
  KernelResult carry_out_one(const config::Action& action);
  KernelResult carry_out_kind(const config::NeedsRestart& action);
  KernelResult carry_out_kind(const config::SetIdle& action);
  KernelResult carry_out_kind(const config::SetLog& action);
  KernelResult carry_out_kind(const config::SetMetrics& action);
  KernelResult carry_out_kind(const config::SetControlSocket& action);
  KernelResult carry_out_kind(const config::SetStateDirectory& action);
  KernelResult carry_out_kind(const config::SetReloadOnChange& action);
  KernelResult carry_out_kind(const config::AddPort& action);
  KernelResult carry_out_kind(const config::RemovePort& action);
  KernelResult carry_out_kind(const config::AddPortAddress& action);
  KernelResult carry_out_kind(const config::RemovePortAddress& action);
  KernelResult carry_out_kind(const config::SetPortGateways& action);
  KernelResult carry_out_kind(const config::SetPortMtu& action);
  KernelResult carry_out_kind(const config::SetPortForwarding& action);
  KernelResult carry_out_kind(const config::AddInterface& action);
  KernelResult carry_out_kind(const config::RemoveInterface& action);
  KernelResult carry_out_kind(const config::SetInterfaceEnabled& action);
  KernelResult carry_out_kind(const config::SetInterfaceKey& action);
  KernelResult carry_out_kind(const config::SetListenPort& action);
  KernelResult carry_out_kind(const config::SetFwmark& action);
  KernelResult carry_out_kind(const config::AddInterfaceAddress& action);
  KernelResult carry_out_kind(const config::RemoveInterfaceAddress& action);
  KernelResult carry_out_kind(const config::SetInterfaceMtu& action);
  KernelResult carry_out_kind(const config::SetRoutes& action);
  KernelResult carry_out_kind(const config::SetInterfaceForwarding& action);
  KernelResult carry_out_kind(const config::SetHairpin& action);
  KernelResult carry_out_kind(const config::SetDscp& action);
  KernelResult carry_out_kind(const config::SetUdpChecksum4& action);
  KernelResult carry_out_kind(const config::SetMssClamp& action);
  KernelResult carry_out_kind(const config::SetInterfaceLogLevel& action);
  KernelResult carry_out_kind(const config::AddPeer& action);
  KernelResult carry_out_kind(const config::RemovePeer& action);
  KernelResult carry_out_kind(const config::SetPeerName& action);
  KernelResult carry_out_kind(const config::SetPeerEndpoint& action);
  KernelResult carry_out_kind(const config::SetPresharedKey& action);
  KernelResult carry_out_kind(const config::SetKeepalive& action);
  KernelResult carry_out_kind(const config::SetPeerMtu& action);
  KernelResult carry_out_kind(const config::AddAllowedIp& action);
  KernelResult carry_out_kind(const config::MoveAllowedIp& action);
  KernelResult carry_out_kind(const config::RemoveAllowedIp& action);
  template <class Use>
  KernelResult with_port(const std::string& name, Use&& use);
  template <class Use>
  KernelResult with_interface(const std::string& name, Use&& use);
  void flush_routes();
  KernelResult add_port(const std::string& name, const config::Port& value);
  void renew_ports();
  KernelResult add_interface(const std::string& name, const config::Interface& value);
  void remove_interface(const std::string& name);
  [[nodiscard]] std::uint16_t auto_mtu(const config::Gateway& value) const;
  [[nodiscard]] Interface* find_interface(std::string_view name) const;

  // ---- gateway_status.cpp
  [[nodiscard]] PeerStatus peer_status(const Interface& interface, const PeerRecord& record,
                                       const noise::Now& at) const;
  [[nodiscard]] InterfaceStatus interface_status(const Interface& interface) const;
  void collect(ControlCounters& counters) const;
  void publish_counters();
  struct Found {
    const Interface* interface = nullptr;
    const PeerRecord* record = nullptr;
  };
  [[nodiscard]] Found look_up_peer(std::string_view interface, std::string_view peer) const;

  // ---- gateway_operations.cpp
  void plan_against_file(bool apply_it, PlanDone done, const config::ParseOptions& options = {});
  void finish_reload(bool dry_run, config::Result<config::Gateway>&& parsed, PlanDone done);
  Outcome change(config::Gateway&& next, const char* what);
  void when_gone(std::uint32_t ifindex, unsigned tries, const OutcomeDone& done);
  void merge_peers(const std::string& name, const std::vector<config::Key>& looked_at,
                   config::Interface&& part);
  void load_timestamps(Interface& interface);
  void save_timestamps(bool wait);
  [[nodiscard]] std::string timestamps_path(const std::string& interface) const;
  void emit(GatewayEvent&& event);
  void watch_files();
  void reload_after_change();

  std::string config_path_;
  config::Gateway running_;  // what runs, as a value; changed by apply() only
  EventLoop loop_;
  noise::HandshakePace pace_;
  Logger log_;
  dataplane::Dataplane dataplane_;
  NetlinkConfigure netlink_;
  NetlinkMirror mirror_;
  Publisher publisher_;
  Resolver resolver_;
  dataplane::DropCounters drops_;  // of the control thread
  ControlCounters counters_;
  HandshakeCounters handshakes_;
  TelemetrySources telemetry_{dataplane_, drops_, counters_, handshakes_};
  CommandPort commands_;
  Staging staging_;
  noise::SystemRandom random_;
  Services services_;
  std::map<std::string, std::unique_ptr<GatewayPort>> ports_;
  std::chrono::steady_clock::time_point renew_again_{};  // no port is made anew before
  std::map<std::string, config::Port> broken_ports_;     // taken away from outside, until they are made anew
  std::map<std::string, std::unique_ptr<Interface>> interfaces_;
  std::vector<Interface*> interface_by_id_;
  std::map<std::string, std::unique_ptr<WgSocket>> wg_sockets_;
  std::unique_ptr<RpcServer> rpc_;
  std::unique_ptr<MetricsServer> metrics_;
  int signal_fd_ = -1;
  bool applying_ = false;
  std::uint16_t auto_mtu_ = 1420;          // of the configuration being applied
  std::unique_ptr<FileWatch> file_watch_;  // null: reload_on_change is off
  std::uint64_t config_generation_ = 0;
  std::optional<WallTime> last_reload_;
  std::string last_reload_result_;
  WallTime started_;
  std::vector<std::uint64_t> last_heartbeats_;
  std::vector<unsigned> stalled_seconds_;
  struct WorkerSample {
    std::uint64_t busy = 0, idle = 0, at = 0;  // TSC clocks
    double busy_share = 0, sleep_share = 0;
  };
  std::vector<WorkerSample> samples_;
  std::size_t reported_swallowed_ = 0;
  std::unique_ptr<Background> background_;  // last: joins before the rest goes
};

}  // namespace wg::control
