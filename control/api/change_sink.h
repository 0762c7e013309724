// What can be asked of the daemon and changes it.
//
// Contract: every method is called on the control thread, never blocks and never throws. What needs a disk or
// much time (reload, diff, save) takes a `done` that is called exactly once on the control thread, at once or
// later; the caller may have lost interest meanwhile, `done` copes with that. Interface and peer names come
// from outside unchecked; the implementation answers kNotFound or kInvalid.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "config/types.h"
#include "control/api/wg_protocol.h"

namespace wg::control {

enum class Failure : std::uint8_t {
  kNone,
  kNotFound,  ///< no such interface or peer
  kExists,
  kInvalid,  ///< the request makes no sense; the message says why
  kBusy,     ///< another change is being applied; try again
  kFailed,   ///< the system refused; the message says what
};

struct Outcome {
  Failure failure = Failure::kNone;
  std::string message;  ///< one sentence for people; empty on success
  bool ok() const { return failure == Failure::kNone; }
};

/// The answer to reload, diff and save.
struct PlanOutcome {
  bool ok = false;
  bool applied = false;              ///< false for a dry run, a diff, or a refused file
  std::vector<std::string> plan;     ///< the change in words, one line per action; empty: nothing to do
  std::vector<std::string> errors;   ///< file:line:column: … when not ok
  int error = 0;                     ///< errno of the first refusal by the system
  std::vector<std::string> restart;  ///< differences that need a restart, in words
  std::chrono::microseconds took{0};
};
using PlanDone = std::function<void(PlanOutcome)>;
using OutcomeDone = std::function<void(Outcome)>;

class ChangeSink {
 public:
  virtual ~ChangeSink() = default;

  /// All or nothing. 0, or a positive errno: EADDRINUSE (the listen port is taken), ENODEV, EINVAL, EIO, ….
  virtual int apply_wg_set(std::string_view interface, WgSet&& set) = 0;
  virtual void reload(bool dry_run, PlanDone done) = 0;
  /// What is running against what the file says: the drift, in words. Changes nothing, but reads the file.
  virtual void diff(PlanDone done) = 0;
  /// Writes runtime changes back to the file.
  virtual void save(PlanDone done) = 0;
  virtual Outcome interface_create(const std::string& name, const config::Interface& value) = 0;
  virtual Outcome interface_up(const std::string& name) = 0;
  virtual Outcome interface_down(const std::string& name) = 0;
  /// Done when the netdev is gone: its name is free.
  virtual void interface_delete(const std::string& name, OutcomeDone done) = 0;
  /// An empty `interface` sets the level of the whole gateway.
  virtual Outcome set_log_level(const std::string& interface, config::LogLevel level) = 0;
  /// Ends the daemon after the answer has been sent.
  virtual void stop() = 0;
};

}  // namespace wg::control
