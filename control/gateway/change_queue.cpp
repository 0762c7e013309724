#include "control/gateway/change_queue.h"

#include <utility>

#include "control/ignore.h"

namespace wg::control {

void ChangeQueue::add(Task task) {
  if (current_ || !waiting_.empty()) return waiting_.push_back(std::move(task));
  begin(std::move(task));
}

void ChangeQueue::begin_next() {
  if (current_ || waiting_.empty()) return;
  Task next = std::move(waiting_.front());
  waiting_.pop_front();
  begin(std::move(next));
}

void ChangeQueue::begin(Task task) {
  current_ = task;
  if (task->begin)
    if (Expected<> begun = catch_refusal([&] { return task->begin(*task); }); !begun)
      return refuse(task, begun.error());
  task->work_out ? work_out(task) : step(task);
}

// To compare 100 000 peers takes a tenth of a second: off the control thread.
void ChangeQueue::work_out(const Task& task) {
  auto refused = std::make_shared<Expected<>>();
  background_.run(
      [task, refused, &running = running_.value()] {
        *refused = catch_refusal([&] { return task->work_out(running, *task); });
      },
      [this, task, refused] {
        if (!*refused) return refuse(task, refused->error());
        step(task);
      });
}

void ChangeQueue::find_way_back(const Task& task) {
  background_.run(
      [task] {
        const Expected<> found = catch_refusal([&] { task->run.way_back = task->run.back(); });
        if (!found) task->run.way_back.emplace();
        ignore(found, "looking for the way back from a plan that was refused");
      },
      [this, task] { step(task); });
}

void ChangeQueue::step(const Task& task) {
  if (task->dry_run) return end(task);
  const Expected<bool> over = catch_refusal([&] { return step_plan_(task->run); });
  if (!over) return refuse(task, over.error());
  if (*over) return end(task);
  if (task->run.needs_way_back()) return find_way_back(task);
  loop_.post([this, task] { step(task); });
}

void ChangeQueue::refuse(const Task& task, Refusal refusal) {
  task->run.outcome.errors.push_back(std::move(refusal));
  end(task);
}

void ChangeQueue::end(const Task& task) {
  current_ = nullptr;
  if (!waiting_.empty()) loop_.post([this] { begin_next(); });
  task->end(*task);
  destroy_elsewhere(*task);
}

// To destroy the values and the plan of 100 000 peers takes its time: not on this thread.
void ChangeQueue::destroy_elsewhere(ChangeTask& task) {
  if (!task.work_out) return;
  struct Rest {
    PlanRun run;
    std::shared_ptr<config::Gateway> next;
    decltype(task.work_out) work_out;
  };
  auto rest = std::make_shared<Rest>(
      Rest{std::move(task.run), std::move(task.next), std::exchange(task.work_out, nullptr)});
  background_.run([rest = std::move(rest)]() mutable { rest.reset(); }, {});
}

}  // namespace wg::control
