// Carrying out a whole plan: what would fail is tried first, and when the system refuses something
// nevertheless, the way back is taken.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "config/diff.h"
#include "control/api/change_sink.h"
#include "control/gateway/actions.h"
#include "control/gateway/objects.h"
#include "control/services.h"

namespace wg::control {

// A plan, and what its interfaces without an MTU of their own get.
struct GatewayPlan {
  config::Plan plan;
  std::uint16_t auto_mtu = 0;
  // ---- what to know of it before it begins, which takes its time when it is large
  std::vector<std::size_t> to_try;  // which actions can be refused; see preflight.h

  [[nodiscard]] static GatewayPlan of(config::Plan plan, std::uint16_t auto_mtu);
};
// The MTU of interfaces that leave it to the gateway: that of the smallest port, less the outer headers.
[[nodiscard]] std::uint16_t auto_mtu(const config::Gateway& value);
// diff(), and what it cannot know: interfaces whose MTU is automatic follow the ports.
[[nodiscard]] GatewayPlan plan_between(const config::Gateway& from, const config::Gateway& to,
                                       const config::PeerEffects& effects = {});

// In words, into `plan` and `restart`.
void describe(const config::Plan& plan, PlanOutcome& outcome);

// A plan that is being carried out. `outcome` comes with the words.
struct PlanRun {
  GatewayPlan wanted;
  std::function<GatewayPlan()> back;  // asked for when the system refuses
  PlanOutcome outcome;
  std::size_t reached = 0;              // how many actions were begun
  bool tried = false;                   // what would fail has been tried
  bool taking = false;                  // the last action took prefixes away
  std::string following;                // the interface whose peers or routes follow an action; empty: none
  bool refused = false;                 // by the system, in the middle
  std::optional<GatewayPlan> way_back;  // then
  std::size_t taken_back = 0;           // how many of its actions were begun
  unsigned steps = 0;
  unsigned waited = 0;       // rounds in a row, for the mirror
  bool carried_out = false;  // but the mirror may not know of all of it yet

  // The caller of step() attends to `way_back` before the next step.
  [[nodiscard]] bool needs_way_back() const { return refused && !way_back; }
};

class PlanRunner {
 public:
  PlanRunner(Services& services, Objects& objects, Actions& actions);

  // All or nothing. When the system refuses, `back` is asked for the way back, and nothing has changed then.
  // What has been done is published.
  PlanOutcome run(GatewayPlan wanted, std::function<GatewayPlan()> back);
  // The same in steps of about `time` each, between which workers and control thread go on with what has been
  // done. True: it is over. False: there is more, or `run` needs its way back. Between two steps no other
  // plan may be carried out.
  bool step(PlanRun& run, std::chrono::steady_clock::duration time);

 private:
  // The mirror has not read what Linux says of the steps before, or there is no room for another port, and
  // there is still patience.
  [[nodiscard]] bool must_wait(PlanRun& run, unsigned patience) const;
  // False: the mirror or the workers' routes are not as far as the plan.
  bool end_actions(PlanRun& run);
  bool finish(PlanRun& run);
  // False: there is more. What was refused is in `outcome`.
  bool carry_out(PlanRun& run, std::chrono::steady_clock::time_point until);
  bool try_first(PlanRun& run);
  Expected<> carry_out_next(PlanRun& run);
  bool all_have_followed(PlanRun& run, std::chrono::steady_clock::time_point until);
  bool all_went_before(const config::Action& action, std::chrono::steady_clock::time_point until);
  bool take_back(PlanRun& run, std::chrono::steady_clock::time_point until);
  // An exception of the action is a refusal as well.
  Expected<> attempt(PlanRun& run, const config::Action& action);
  void flush_routes();

  Services& services_;
  Objects& objects_;
  Actions& actions_;
};

}  // namespace wg::control
