#include "control/gateway/plan_runner.h"

#include <algorithm>
#include <string>
#include <utility>
#include <variant>

#include "control/gateway/preflight.h"
#include "control/ignore.h"

namespace wg::control {

namespace {

constexpr std::size_t kActionsPerCollection = 64;
constexpr std::size_t kActionsPerLook = 8;
// Others may change routes all the time. In the end the whole plan may be unread, a round's share at a time.
constexpr unsigned kPatience = 4, kPatienceAtTheEnd = 250;  // rounds
constexpr std::uint16_t kOuterHeaders = 80;                 // IPv6 40, UDP 8, message header and tag 32

// Actions that take prefixes come last in a plan, in all interfaces.
bool takes_prefixes(const config::Action& action) {
  return std::holds_alternative<config::RemoveAllowedIp>(action) ||
         std::holds_alternative<config::RemovePeer>(action);
}

// The interface whose peers, prefixes or routes follow the action one by one; empty: none.
struct Followed {
  std::string operator()(const config::SetInterfaceKey& a) const { return a.interface; }
  std::string operator()(const config::SetInterfaceEnabled& a) const { return a.interface; }
  std::string operator()(const config::SetRoutes& a) const { return a.interface; }
  std::string operator()(const config::AddInterfaceAddress& a) const { return a.interface; }
  std::string operator()(const config::RemoveInterfaceAddress& a) const { return a.interface; }
  std::string operator()(const config::ChangeSettings<config::Interface>& a) const { return a.name; }
  std::string operator()(const config::AddPeer& a) const { return a.peer.interface; }
  template <class Other>
  std::string operator()(const Other&) const {
    return {};
  }
};

// The next step of what goes before an action that would take long as a whole. False: that was all.
struct Before {
  const Objects& objects;
  [[nodiscard]] bool operator()(const config::RemoveInterface& a) const {
    Interface* interface = objects.find_interface(a.interface);
    return interface != nullptr && (interface->peers().remove_some() || interface->routes().forget_some());
  }
  [[nodiscard]] bool operator()(const config::SetInterfaceEnabled& a) const {
    Interface* interface = a.enabled ? nullptr : objects.find_interface(a.interface);
    return interface != nullptr && interface->routes().withdraw_some();
  }
  [[nodiscard]] bool operator()(const config::RemoveInterfaceAddress& a) const {
    Interface* interface = objects.find_interface(a.interface);
    return interface != nullptr && interface->routes().rules().is_last_ipv4(a.address) &&
           interface->routes().withdraw_some();
  }
  [[nodiscard]] bool operator()(const config::RemovePeer& a) const {
    Interface* interface = objects.find_interface(a.peer.interface);
    return interface != nullptr && interface->peers().take_some(a.peer.key);
  }
  template <class Other>
  [[nodiscard]] bool operator()(const Other&) const {
    return false;
  }
};

}  // namespace

std::uint16_t auto_mtu(const config::Gateway& value) {
  std::uint16_t smallest = 1500;
  bool first = true;
  for (const auto& [name, port] : value.ports) {
    smallest = first ? port.mtu : std::min(smallest, port.mtu);
    first = false;
  }
  return static_cast<std::uint16_t>(std::max(smallest - kOuterHeaders, 1280));
}

GatewayPlan plan_between(const config::Gateway& from, const config::Gateway& to,
                         const config::PeerEffects& effects) {
  config::Plan plan = config::diff(from, to, effects);
  const bool same_mtu = auto_mtu(from) == auto_mtu(to);
  for (const auto& [name, interface] : to.interfaces) {
    const auto old = from.interfaces.find(name);
    if (!same_mtu && !interface.mtu && old != from.interfaces.end() && !old->second.mtu)
      plan.actions.emplace_back(config::SetInterfaceMtu{name, {}});
  }
  return GatewayPlan::of(std::move(plan), auto_mtu(to));
}

GatewayPlan GatewayPlan::of(config::Plan plan, std::uint16_t auto_mtu) {
  GatewayPlan out{std::move(plan), auto_mtu, {}};
  for (std::size_t i = 0; i < out.plan.actions.size(); ++i)
    if (may_be_refused(out.plan.actions[i])) out.to_try.push_back(i);
  return out;
}

void describe(const config::Plan& plan, PlanOutcome& outcome) {
  for (const config::Action& action : plan.actions) {
    (std::holds_alternative<config::NeedsRestart>(action) ? outcome.restart : outcome.plan)
        .push_back(config::describe(action));
  }
}

PlanRunner::PlanRunner(Services& services, Objects& objects, Actions& actions)
    : services_(services), objects_(objects), actions_(actions) {}

PlanOutcome PlanRunner::run(GatewayPlan wanted, std::function<GatewayPlan()> back) {
  PlanRun all;
  all.wanted = std::move(wanted);
  describe(all.wanted.plan, all.outcome);
  while (!step(all, std::chrono::hours(1)))
    if (all.needs_way_back()) all.way_back = back();
  return std::move(all.outcome);
}

bool PlanRunner::step(PlanRun& run, std::chrono::steady_clock::duration time) {
  const auto until = std::chrono::steady_clock::now() + time;
  if (run.carried_out) return finish(run);
  if (!run.tried && !try_first(run)) return true;
  if (run.steps++ != 0 && must_wait(run, kPatience)) return false;
  if (run.refused) return take_back(run, until);
  actions_.use_auto_mtu(run.wanted.auto_mtu);
  if (!carry_out(run, until)) return false;
  run.refused = !run.outcome.ok();
  run.outcome.applied = !run.refused;
  return end_actions(run) && !run.refused;
}

// Routes that Linux has been told of come back as messages. If the plan went on without a look at them they
// would be more than the mirror can take in, or than a round has time for.
bool PlanRunner::must_wait(PlanRun& run, unsigned patience) const {
  const Publisher& publisher = services_.publisher;
  if (!publisher.has_room()) patience = kPatienceAtTheEnd;
  if (run.waited < patience &&
      (services_.mirror.has_unread() || publisher.compares_routes() || !publisher.has_room())) {
    ++run.waited;
    return true;
  }
  run.waited = 0;
  return false;
}

// Those of a small plan are read by whoever has it carried out.
bool PlanRunner::end_actions(PlanRun& run) {
  flush_routes();
  run.carried_out = !run.needs_way_back() && (run.steps > 1 || services_.publisher.compares_routes());
  if (run.carried_out) return finish(run);
  services_.publisher.flush_settings();
  return true;
}

bool PlanRunner::finish(PlanRun& run) {
  if (must_wait(run, kPatienceAtTheEnd)) return false;
  services_.publisher.flush();
  return true;
}

bool PlanRunner::try_first(PlanRun& run) {
  run.tried = true;
  run.outcome.errors = preflight(run.wanted.plan, run.wanted.to_try, services_.netlink, objects_);
  return run.outcome.ok();
}

Expected<> PlanRunner::attempt(PlanRun& run, const config::Action& action) {
  run.following = std::visit(Followed{}, action);
  return catch_refusal([&] { return actions_.carry_out(action); });
}

// Actions are idempotent: for those that were not reached the way back changes nothing.
bool PlanRunner::take_back(PlanRun& run, std::chrono::steady_clock::time_point until) {
  const std::vector<config::Action>& actions = run.way_back->plan.actions;
  actions_.use_auto_mtu(run.way_back->auto_mtu);
  actions_.set_undoing(true);
  for (std::size_t done = 0; all_have_followed(run, until) && run.taken_back < actions.size();) {
    const config::Action& action = actions[run.taken_back];
    if (!all_went_before(action, until)) break;
    ++run.taken_back;
    ignore(attempt(run, action), "on the way back from a plan that was refused");
    if (++done % kActionsPerLook == 0 && std::chrono::steady_clock::now() >= until) break;
  }
  actions_.set_undoing(false);
  return run.taken_back == actions.size() && all_have_followed(run, until) && end_actions(run);
}

bool PlanRunner::carry_out(PlanRun& run, std::chrono::steady_clock::time_point until) {
  for (std::size_t count = 0;;) {
    if (!all_have_followed(run, until)) return false;
    if (run.reached == run.wanted.plan.actions.size()) return true;
    if (!all_went_before(run.wanted.plan.actions[run.reached], until)) return false;
    if (const Expected<> done = carry_out_next(run); !done) {
      run.outcome.errors.push_back(done.error());
      return true;
    }
    // A look at the clock costs less than an action, but not nothing.
    if (++count % kActionsPerLook == 0 && std::chrono::steady_clock::now() >= until) return false;
  }
}

// The next action, and the answer, wait until no peer uses a session from before.
bool PlanRunner::all_have_followed(PlanRun& run, std::chrono::steady_clock::time_point until) {
  Interface* interface = run.following.empty() ? nullptr : objects_.find_interface(run.following);
  if (interface != nullptr && !interface->follow(until)) return false;
  run.following.clear();
  return true;
}

bool PlanRunner::all_went_before(const config::Action& action, std::chrono::steady_clock::time_point until) {
  while (std::visit(Before{objects_}, action))
    if (std::chrono::steady_clock::now() >= until) return false;
  return true;
}

Expected<> PlanRunner::carry_out_next(PlanRun& run) {
  const config::Action& action = run.wanted.plan.actions[run.reached++];
  // A route that another interface takes over must be its own before this one gives it up.
  if (takes_prefixes(action) != run.taking) flush_routes();
  run.taking = takes_prefixes(action);
  // Memory that has been replaced is reused while it is in the cache, and does not pile up over a large plan.
  if (run.reached % kActionsPerCollection == 0) services_.dataplane.quiescence().collect();
  if (const Expected<> result = attempt(run, action); !result)
    return result.error().about(config::describe(action));
  return {};
}

void PlanRunner::flush_routes() {
  for (const auto& [name, interface] : objects_.interfaces()) interface->routes().flush();
}

}  // namespace wg::control
