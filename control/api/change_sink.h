// The requests that change the daemon.
//
// Contract: every method is called on the control thread, never blocks and never throws. What may take much
// time takes a `done` that is called exactly once on the control thread, at once or later; the caller may
// have lost interest meanwhile, `done` copes with that. Changes are carried out one after the other, in the
// order in which they were asked for (a reload: when its file has been read). Interface and peer names come
// from outside unchecked; the implementation refuses with ENOENT or EINVAL.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "config/types.h"
#include "control/api/wg_protocol.h"
#include "dataplane/base/expected.h"

namespace wg::control {

// The answer to reload, diff and save.
struct [[nodiscard]] PlanOutcome {
  bool applied = false;              // false for a dry run, a diff, or a refused file
  std::vector<std::string> plan;     // the change in words, one line per action; empty: nothing to do
  std::vector<Refusal> errors;       // file:line:column: … or what the system refused
  std::vector<std::string> restart;  // differences that need a restart, in words
  std::chrono::microseconds took{0};

  [[nodiscard]] bool ok() const { return errors.empty(); }
};

struct ReloadOptions {
  bool dry_run = false;  // only the plan
  // Unless confirm() is called within this time, rollback() is done by itself. 0: applied for good.
  std::chrono::seconds confirm_within{0};
};
using PlanDone = std::function<void(PlanOutcome)>;
using ChangeDone = std::function<void(Expected<>)>;

// A refusal's code says what kind it is, and the control socket answers it by name: ENOENT (no such
// interface or peer), EEXIST, EINVAL (the request makes no sense), EBUSY (another change is being applied;
// try again), and anything else for what the system refused.
class ChangeSink {
 public:
  virtual ~ChangeSink() = default;

  // All or nothing. Its codes go to wg(8): EADDRINUSE (the listen port is taken), ENODEV, EINVAL, EIO, ….
  virtual void apply_wg_set(std::string_view interface, WgSet&& set, ChangeDone done) = 0;
  virtual void reload(const ReloadOptions& options, PlanDone done) = 0;
  // The reload that waits for it stays. EINVAL: none waits.
  virtual Expected<> confirm() = 0;
  // Back to the configuration that ran before the last reload; whatever changed since then is undone too.
  // The file stays as it is. Refused when no reload was applied since the start or the last way back.
  virtual void rollback(PlanDone done) = 0;
  // The drift, in words: how Linux and the file differ. Changes nothing, but reads the file.
  virtual void diff(PlanDone done) = 0;
  // Writes runtime changes back to the file.
  virtual void save(PlanDone done) = 0;
  virtual void interface_create(const std::string& name, config::Interface value, ChangeDone done) = 0;
  // Deletes the interfaces whose `bound_to` this is.
  virtual void release(std::uint64_t bound_to) = 0;
  // An interface exists.
  [[nodiscard]] virtual bool in_use() const = 0;
  virtual void interface_up(const std::string& name, ChangeDone done) = 0;
  virtual void interface_down(const std::string& name, ChangeDone done) = 0;
  // Done when the netdev is gone: its name is free.
  virtual void interface_delete(const std::string& name, ChangeDone done) = 0;
  // Restarts the port's device; sessions are kept. For a device that does not do what it should.
  virtual void port_restart(const std::string& name, ChangeDone done) = 0;
  // An empty `interface` sets the level of the whole gateway.
  virtual void set_log_level(const std::string& interface, config::LogLevel level, ChangeDone done) = 0;
  // Ends the daemon after the answer has been sent.
  virtual void stop() = 0;
};

}  // namespace wg::control
