#include "control/gateway/plan_runner.h"

#include <algorithm>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "control/gateway/preflight.h"
#include "control/ignore.h"

namespace wg::control {

namespace {

constexpr std::size_t kActionsPerCollection = 64;
constexpr std::size_t kActionsPerLook = 8;
constexpr std::size_t kManyPeers = 1000;     // fewer grow the tables by the tables' own measure
constexpr std::uint16_t kOuterHeaders = 80;  // IPv6 40, UDP 8, message header and tag 32

// Actions that take prefixes come last in a plan, in all interfaces.
bool takes_prefixes(const config::Action& action) {
  return std::holds_alternative<config::RemoveAllowedIp>(action) ||
         std::holds_alternative<config::RemovePeer>(action);
}

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
  GatewayPlan out{config::diff(from, to, effects), auto_mtu(to)};
  if (auto_mtu(from) == out.auto_mtu) return out;
  for (const auto& [name, interface] : to.interfaces) {
    const auto old = from.interfaces.find(name);
    if (!interface.mtu && old != from.interfaces.end() && !old->second.mtu)
      out.plan.actions.emplace_back(config::SetInterfaceMtu{name, {}});
  }
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
  if (!run.tried && !try_first(run)) return true;
  if (run.refused) return take_back(run, until);
  actions_.use_auto_mtu(run.wanted.auto_mtu);
  if (!carry_out(run, until)) return false;
  run.refused = !run.outcome.ok();
  run.outcome.applied = !run.refused;
  publish();
  return !run.refused;
}

void PlanRunner::publish() {
  flush_routes();
  services_.publisher.flush();
}

bool PlanRunner::try_first(PlanRun& run) {
  run.tried = true;
  run.outcome.errors = preflight(run.wanted.plan, services_.netlink, objects_);
  if (run.outcome.ok()) make_room(run.wanted.plan);
  return run.outcome.ok();
}

// Tables that grow while they are filled move all that is in them: for 100 000 peers a long round. Those of
// an interface that the plan itself makes grow as they are filled.
void PlanRunner::make_room(const config::Plan& plan) {
  std::map<std::string_view, std::size_t> coming;  // by interface
  for (const config::Action& action : plan.actions) {
    if (const auto* peer = std::get_if<config::AddPeer>(&action)) ++coming[peer->peer.interface];
  }
  for (const auto& [name, count] : coming) {
    Interface* interface = count < kManyPeers ? nullptr : objects_.find_interface(name);
    if (interface != nullptr) interface->peers().expect(count);
  }
}

Expected<> PlanRunner::attempt(const config::Action& action) {
  return catch_refusal([&] { return actions_.carry_out(action); });
}

// Actions are idempotent: for those that were not reached the way back changes nothing.
bool PlanRunner::take_back(PlanRun& run, std::chrono::steady_clock::time_point until) {
  const std::vector<config::Action>& actions = run.way_back->plan.actions;
  actions_.use_auto_mtu(run.way_back->auto_mtu);
  actions_.set_undoing(true);
  while (run.taken_back < actions.size()) {
    ignore(attempt(actions[run.taken_back++]), "rolling back a plan that was refused");
    if (run.taken_back % kActionsPerLook == 0 && std::chrono::steady_clock::now() >= until) break;
  }
  actions_.set_undoing(false);
  if (run.taken_back < actions.size()) return false;
  publish();
  return true;
}

bool PlanRunner::carry_out(PlanRun& run, std::chrono::steady_clock::time_point until) {
  while (run.reached < run.wanted.plan.actions.size()) {
    if (const Expected<> done = carry_out_next(run); !done) {
      run.outcome.errors.push_back(done.error());
      return true;
    }
    // A look at the clock costs less than an action, but not nothing.
    if (run.reached % kActionsPerLook == 0 && std::chrono::steady_clock::now() >= until) return false;
  }
  return true;
}

Expected<> PlanRunner::carry_out_next(PlanRun& run) {
  const config::Action& action = run.wanted.plan.actions[run.reached++];
  // A route that another interface takes over must be its own before this one gives it up.
  if (takes_prefixes(action) != run.taking) flush_routes();
  run.taking = takes_prefixes(action);
  // Memory that has been replaced is reused while it is in the cache, and does not pile up over a large plan.
  if (run.reached % kActionsPerCollection == 0) services_.dataplane.quiescence().collect();
  if (const Expected<> result = attempt(action); !result)
    return result.error().about(config::describe(action));
  return {};
}

void PlanRunner::flush_routes() {
  for (const auto& [name, interface] : objects_.interfaces()) interface->routes().flush();
}

}  // namespace wg::control
