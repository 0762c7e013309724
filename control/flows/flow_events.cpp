#include "control/flows/flow_events.h"

#include <utility>

namespace wg::control {

namespace {

std::string connections(std::uint64_t count) {
  return std::to_string(count) + (count == 1 ? " connection" : " connections");
}

std::string often(std::uint64_t times) {
  return times == 1 ? "" : " " + std::to_string(times) + " times";
}

}  // namespace

bool FlowEvents::Spaced::due(std::uint64_t happened, BootSeconds now, std::uint64_t& times) {
  if (happened == told_ || now < again_) return false;
  times = happened - std::exchange(told_, happened);
  again_ = now + kQuiet;
  return true;
}

std::vector<FlowNews> FlowEvents::take(const FlowFollower::Counts& counts, std::size_t carried,
                                       std::size_t max, BootSeconds now) {
  take_full(counts, carried, max, now);
  take_rules(counts, now);
  take_losses(counts, carried, now);
  return std::exchange(news_, {});
}

void FlowEvents::tell(GatewayEventKind kind, const LogEvent& line, std::string words) {
  news_.push_back({kind, line, std::move(words)});
}

// It has room again when it has refused nothing for a while: a connection may end and another take its place
// many times a second.
void FlowEvents::take_full(const FlowFollower::Counts& counts, std::size_t carried, std::size_t max,
                           BootSeconds now) {
  if (counts.refused_full != refused_) {
    room_ = now + kQuiet;
    if (!std::exchange(full_, true))
      tell(GatewayEventKind::kFlowsFull, log_event::flows_full,
           "workers carry " + connections(carried) + " of at most " + std::to_string(max) +
               ": others stay with Linux");
  } else if (full_ && now >= room_) {
    full_ = false;
    tell(GatewayEventKind::kFlowsRoom, log_event::flows_room,
         "workers carry " + connections(carried) + " of at most " + std::to_string(max) +
             ": there is room again");
  }
  refused_ = counts.refused_full;
}

void FlowEvents::take_rules(const FlowFollower::Counts& counts, BootSeconds now) {
  std::uint64_t times = 0;
  if (!rules_.due(counts.rule_changes, now, times)) return;
  const std::uint64_t returned =
      counts.returned_by_rules - std::exchange(returned_by_rules_, counts.returned_by_rules);
  tell(GatewayEventKind::kFlowsReturned, log_event::flows_rules_changed,
       "the rules of nftables have changed" + often(times) + ": " + connections(returned) +
           " went back to Linux, to earn the mark again");
}

void FlowEvents::take_losses(const FlowFollower::Counts& counts, std::size_t carried, BootSeconds now) {
  std::uint64_t times = 0;
  if (losses_.due(counts.lost, now, times)) {
    reading_again_ = true;
    tell(GatewayEventKind::kFlowsLost, log_event::flows_lost,
         "events of connection tracking were lost" + often(times) +
             ": all connections went back to Linux and are read again");
  }
  if (!reading_again_ || counts.read_again != counts.lost) return;
  reading_again_ = false;
  tell(GatewayEventKind::kFlowsRelearnt, log_event::flows_relearnt,
       "connection tracking was read again: workers carry " + connections(carried));
}

}  // namespace wg::control
