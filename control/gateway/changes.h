// Every change that is asked for while the gateway runs: reload, wg(8), the verbs of the control socket.
//
// A change, wherever it comes from, is a new value of config::Gateway: diff() against the running value gives
// the plan, PlanRunner carries it out, all or nothing, and RunningConfig takes the new value. Changes wait
// for one another in ChangeQueue, which has what may take long done elsewhere or in steps. Meanwhile the
// status shows what has been done so far, and what is made of the running value (export, save) is the value
// before.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "config/parse.h"
#include "control/api/change_sink.h"
#include "control/gateway/change_queue.h"
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

  // At the start: at once, whatever it takes. On failure nothing has changed and `errors` says what the
  // system refused.
  PlanOutcome apply(config::Gateway next);
  [[nodiscard]] bool half_done() const { return queue_.half_done(); }
  // Another program has deleted their netdevs.
  void forget_interface(const std::string& name);
  // No file is watched any more.
  void close() { file_watch_.reset(); }

  // ---- ChangeSink
  void apply_wg_set(std::string_view interface, WgSet&& set, ChangeDone done) override;
  void reload(const ReloadOptions& options, PlanDone done) override;
  Expected<> confirm() override;
  void rollback(PlanDone done) override;
  void diff(PlanDone done) override;
  void save(PlanDone done) override;
  void interface_create(const std::string& name, config::Interface value, ChangeDone done) override;
  void release(std::uint64_t bound_to) override;
  [[nodiscard]] bool in_use() const override;
  void interface_up(const std::string& name, ChangeDone done) override;
  void interface_down(const std::string& name, ChangeDone done) override;
  void interface_delete(const std::string& name, ChangeDone done) override;
  void port_restart(const std::string& name, ChangeDone done) override;
  void set_log_level(const std::string& interface, config::LogLevel level, ChangeDone done) override;
  void stop() override { parts_.services.loop.stop(); }

 private:
  struct Reload {
    PlanDone done;
    ReloadOptions options;
    bool is_way_back = false;  // a rollback
    std::chrono::steady_clock::time_point started;
  };
  using Task = std::shared_ptr<ChangeTask>;
  using Edit = std::function<Expected<>(config::Gateway& value)>;
  using Check = std::function<Expected<>()>;

  [[nodiscard]] std::unique_ptr<config::Gateway> adopt(config::Gateway next);
  void destroy_elsewhere(std::unique_ptr<config::Gateway> value);
  void queue_reload(std::shared_ptr<config::Gateway> next, Reload reload);
  void end_reload(ChangeTask& task, const Reload& reload);
  void add_drift(bool dry_run, PlanOutcome& outcome);
  void keep_for_rollback(const ChangeTask& task, const Reload& reload,
                         std::unique_ptr<config::Gateway> before);
  void stop_waiting();  // for confirm()
  // Changes the value by `edit`, which is called on the background thread, if `check` allows it then.
  void change(Check check, Edit edit, ChangeDone done);
  [[nodiscard]] Task large_set(const std::string& name, std::shared_ptr<WgSet> set);
  [[nodiscard]] Task small_set(const std::string& name, std::shared_ptr<WgSet> set);
  [[nodiscard]] bool is_small(const std::string& name, const WgSet& set) const;
  [[nodiscard]] Expected<> check_interface(const std::string& name) const;
  Expected<> end_change(ChangeTask& task);
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
  ChangeQueue queue_;
  std::unique_ptr<config::Gateway> before_reload_;  // what rollback() applies; null: nothing
  std::optional<EventLoop::TimerId> way_back_;      // set while a reload waits for confirm()
  std::unique_ptr<FileWatch> file_watch_;           // null until reload_on_change is on for the first time
};

}  // namespace wg::control
