// Changes of what runs, one after the other, in the order in which they were asked for. What may take long
// about one is done elsewhere or in steps: it is worked out on the background thread, which reads the running
// value meanwhile, then carried out in steps over many rounds of the loop. No one else changes the running
// value but the change whose turn it is.
//
// Control thread only.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <utility>

#include "config/types.h"
#include "control/gateway/plan_runner.h"
#include "control/gateway/running_config.h"
#include "control/loop/background.h"

namespace wg::control {

struct ChangeTask {
  // ---- what its owner fills in
  // When its turn has come. Refused: nothing is done. Null: nothing is to be checked.
  std::function<Expected<>(ChangeTask& task)> begin;
  // Works out `next` and `run`, on the background thread. Null: `begin` has done so, as little is to be done.
  std::function<Expected<>(const config::Gateway& running, ChangeTask& task)> work_out;
  // The result is in `run.outcome`; the next change begins after this. Called once.
  std::function<void(ChangeTask& task)> end;
  bool dry_run = false;  // it is worked out and not carried out

  // ---- what becomes of it
  std::shared_ptr<config::Gateway> next;  // what runs when it has been carried out; null: see `end`
  PlanRun run;

  [[nodiscard]] bool ok() const { return run.outcome.ok(); }
};

class ChangeQueue {
 public:
  // PlanRunner::step(), for a round's share of time.
  using Step = std::function<bool(PlanRun& run)>;

  // The objects it refers to outlive it.
  ChangeQueue(EventLoop& loop, Background& background, Step step, const RunningConfig& running)
      : loop_(loop), background_(background), step_plan_(std::move(step)), running_(running) {}

  // A small change, when no other is on its way, is carried out within this call.
  void add(std::shared_ptr<ChangeTask> task);
  // Some of a change has been done, and the running value is still the one before: what is missing may be
  // meant to be.
  [[nodiscard]] bool half_done() const { return current_ != nullptr && current_->run.tried; }

 private:
  using Task = std::shared_ptr<ChangeTask>;
  void begin(Task task);
  void begin_next();
  void work_out(const Task& task);
  void find_way_back(const Task& task);
  void step(const Task& task);
  void refuse(const Task& task, Refusal refusal);
  void end(const Task& task);
  void destroy_elsewhere(ChangeTask& task);

  EventLoop& loop_;
  Background& background_;
  const Step step_plan_;
  const RunningConfig& running_;
  Task current_;  // null: none is on its way
  std::deque<Task> waiting_;
};

}  // namespace wg::control
