// Every change that is asked for while the gateway runs: reload, wg(8), the verbs of the control socket.
//
// A change, wherever it comes from, is a new value of config::Gateway: diff() against the running value gives
// the plan, PlanRunner carries it out, all or nothing, and RunningConfig takes the new value. A reload, which
// may concern 100 000 peers, is compared on the background thread and carried out in steps over many rounds
// of the loop; nobody changes the running value meanwhile.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "config/parse.h"
#include "control/api/change_sink.h"
#include "control/gateway/drift.h"
#include "control/gateway/objects.h"
#include "control/gateway/plan_runner.h"
#include "control/gateway/port_keeper.h"
#include "control/gateway/running_config.h"
#include "control/log.h"
#include "control/loop/background.h"
#include "control/loop/file_watch.h"
#include "control/services.h"

namespace wg::control {

class Changes final : public ChangeSink {
 public:
  // The parts it works with.
  struct Parts {
    Services& services;
    Objects& objects;
    PortKeeper& keeper;
    RunningConfig& running;
    PlanRunner& runner;
    Background& background;
    Drift& drift;
  };
  // `carried_out` is called after each plan, when running() is up to date again.
  Changes(const Parts& parts, Logger log, std::function<void()> carried_out);

  // On failure nothing has changed and `errors` says what the system refused.
  PlanOutcome apply(config::Gateway next);
  // Some of a reload has been done, and running() is still the value before: what is missing may be meant to
  // be.
  [[nodiscard]] bool half_done() const { return reload_ != nullptr && reload_->run.tried; }
  // Their netdevs were deleted by somebody else.
  void forget_interface(const std::string& name);
  // No file is watched any more.
  void close() { file_watch_.reset(); }

  // ---- ChangeSink
  Expected<> apply_wg_set(std::string_view interface, WgSet&& set) override;
  void reload(const ReloadOptions& options, PlanDone done) override;
  Expected<> confirm() override;
  void rollback(PlanDone done) override;
  void diff(PlanDone done) override;
  void save(PlanDone done) override;
  Expected<> interface_create(const std::string& name, const config::Interface& value) override;
  void release(std::uint64_t bound_to) override;
  [[nodiscard]] bool in_use() const override;
  Expected<> interface_up(const std::string& name) override;
  Expected<> interface_down(const std::string& name) override;
  void interface_delete(const std::string& name, ChangeDone done) override;
  Expected<> port_restart(const std::string& name) override;
  Expected<> set_log_level(const std::string& interface, config::LogLevel level) override;
  void stop() override { parts_.services.loop.stop(); }

 private:
  // A reload on its way: the plan is made on the background thread, then carried out in steps.
  struct Reload {
    std::shared_ptr<config::Gateway> next;
    PlanRun run;
    PlanDone done;
    ReloadOptions options;
    bool is_way_back = false;  // a rollback
    std::chrono::steady_clock::time_point started;
    std::future<void> planned;
  };

  [[nodiscard]] std::unique_ptr<config::Gateway> adopt(config::Gateway next);
  void destroy_elsewhere(std::unique_ptr<config::Gateway> value);
  void queue_reload(std::shared_ptr<Reload> reload);
  void begin_reload(std::shared_ptr<Reload> reload);
  void step_reload(const std::shared_ptr<Reload>& reload);
  void end_reload(Reload& reload);
  void add_drift(bool dry_run, PlanOutcome& outcome);
  void begin_waiting();
  void keep_for_rollback(const Reload& reload, std::unique_ptr<config::Gateway> before);
  void stop_waiting();  // for confirm()
  // Before anything else changes or copies the running value. Carries out what is left of it in this round.
  void finish_reload();
  [[nodiscard]] config::Gateway copy_running();
  Expected<> change(config::Gateway&& next);
  void plan_against_file(const ReloadOptions& options, PlanDone done,
                         const config::ParseOptions& reading = {});
  void refuse(const config::Problems& problems, bool dry_run, const PlanDone& done);
  void report_reload(const PlanOutcome& outcome);
  void wait_until_gone(std::uint32_t ifindex, unsigned tries, const ChangeDone& done);
  void announce(GatewayEventKind kind, const std::string& interface, const std::string& detail = {});
  void watch_files();

  Parts parts_;
  Logger log_;
  std::function<void()> carried_out_;
  std::shared_ptr<Reload> reload_;                  // null: none is on its way
  std::deque<std::shared_ptr<Reload>> waiting_;     // parsed meanwhile
  std::unique_ptr<config::Gateway> before_reload_;  // what rollback() applies; null: nothing
  std::optional<EventLoop::TimerId> way_back_;      // set while a reload waits for confirm()
  std::unique_ptr<FileWatch> file_watch_;           // null until reload_on_change is on for the first time
};

}  // namespace wg::control
