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
constexpr std::uint16_t kOuterHeaders = 80;  // IPv6 40, UDP 8, message header and tag 32

// What a plan does last, in all interfaces.
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

GatewayPlan plan_between(const config::Gateway& from, const config::Gateway& to) {
  GatewayPlan out{config::diff(from, to), auto_mtu(to)};
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

PlanOutcome PlanRunner::run(const GatewayPlan& wanted, const std::function<GatewayPlan()>& back) {
  PlanOutcome outcome;
  describe(wanted.plan, outcome);
  outcome.errors = preflight(wanted.plan, services_.netlink, objects_);
  if (!outcome.ok()) return outcome;
  actions_.use_auto_mtu(wanted.auto_mtu);
  if (const Expected<> done = carry_out(wanted.plan); !done) {
    outcome.errors.push_back(done.error());
    undo(back());
  }
  outcome.applied = outcome.ok();
  flush_routes();
  services_.publisher.flush();
  return outcome;
}

// Actions are idempotent: for those that were not reached the way back changes nothing.
void PlanRunner::undo(const GatewayPlan& back) {
  actions_.use_auto_mtu(back.auto_mtu);
  for (const config::Action& action : back.plan.actions)
    ignore(actions_.carry_out(action), "on the way back from a plan that was refused");
}

Expected<> PlanRunner::carry_out(const config::Plan& plan) {
  std::size_t reached = 0;
  bool taking = false;
  for (const config::Action& action : plan.actions) {
    ++reached;
    // A route that another interface takes over must be its own before this one gives it up.
    if (takes_prefixes(action) != taking) flush_routes();
    taking = takes_prefixes(action);
    // Memory that has been replaced is reused while it is in the cache, and does not pile up over a large
    // plan.
    if (reached % kActionsPerCollection == 0) services_.dataplane.quiescence().collect();
    if (const Expected<> result = actions_.carry_out(action); !result)
      return result.error().about(config::describe(action));
  }
  return {};
}

void PlanRunner::flush_routes() {
  for (const auto& [name, interface] : objects_.interfaces()) interface->flush_routes();
}

}  // namespace wg::control
