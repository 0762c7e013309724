#include "control/flows/flow_list.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "dataplane/packet/headers.h"

namespace wg::control {

using dataplane::FlowNumber;
using dataplane::kOriginal;
using dataplane::kReply;

namespace {

std::string end_of(const IpAddress& address, std::uint16_t port) {
  return to_string(Endpoint{address, dataplane::UdpPort{port}});
}

FlowStatus describe(const FlowTuple& original, const FlowTuple& reply) {
  FlowStatus out;
  out.protocol = original.protocol == dataplane::ip_protocol::kTcp ? "tcp" : "udp";
  out.source = end_of(original.source, original.source_port);
  out.destination = end_of(original.destination, original.destination_port);
  out.leaves_from = end_of(reply.destination, reply.destination_port);
  out.leaves_to = end_of(reply.source, reply.source_port);
  return out;
}

FlowStatus describe(const FlowFollower& follower, FlowNumber number, BootSeconds now) {
  const dataplane::Flow& flow = follower.table().at(number);
  FlowStatus out = describe(flow.direction[kOriginal].tuple(), flow.direction[kReply].tuple());
  const FlowFollower::Carried carried = follower.carried(number);
  out.carried = true;
  out.age = now - std::min(now, carried.since);
  out.idle = now - std::min(now, carried.last_used);
  out.packets = {carried.packets[kOriginal], carried.packets[kReply]};
  out.bytes = {carried.bytes[kOriginal], carried.bytes[kReply]};
  return out;
}

FlowStatus describe(const FlowFollower::Waiting& waiting) {
  const auto& text = kFlowRefusalTexts[static_cast<std::size_t>(waiting.reason)];
  FlowStatus out = describe(waiting.original, waiting.reply);
  out.reason = text.name;
  out.reason_text = text.text;
  return out;
}

constexpr FlowNumber kFlowsPerLook = 256;  // at the clock

}  // namespace

FlowList::FlowList(Source source, FlowQuery query, FlowsStatus totals)
    : source_(std::move(source)),
      address_(dataplane::parse_ip_address(query.address)),
      any_address_(query.address.empty()),
      limit_(query.limit == 0 ? std::numeric_limits<std::size_t>::max() : query.limit),
      totals_(std::move(totals)) {}

bool FlowList::concerns(const FlowTuple& original, const FlowTuple& reply) const {
  return any_address_ || (address_ && (*address_ == original.source || *address_ == original.destination ||
                                       *address_ == reply.source || *address_ == reply.destination));
}

bool FlowList::read(SliceEnd until) {
  const FlowFollower* follower = source_.follower();
  if (follower == nullptr) return false;
  const FlowNumber end = follower->table().end();
  while (number_ < end) {
    const FlowNumber last = std::min(end, number_ + kFlowsPerLook);
    for (; number_ < last; ++number_) read_carried(*follower, number_);
    if (std::chrono::steady_clock::now() >= until) return true;
  }
  keep_first();
  std::reverse(carried_.begin(), carried_.end());
  read_waiting(*follower);
  totals_.carried = follower->table().size();
  totals_.with_linux = follower->waiting().size();
  return false;
}

void FlowList::read_carried(const FlowFollower& follower, FlowNumber number) {
  if (!follower.table().in_use(number)) return;
  const auto& direction = follower.table().at(number).direction;
  if (!concerns(direction[kOriginal].tuple(), direction[kReply].tuple())) return;
  carried_.emplace_back(direction[kOriginal].bytes.load(std::memory_order_relaxed) +
                            direction[kReply].bytes.load(std::memory_order_relaxed),
                        number);
  if (limit_ <= FlowQuery::kMostSorted && carried_.size() >= 2 * FlowQuery::kMostSorted) keep_first();
}

// Those with the most bytes, as many as are wanted.
void FlowList::keep_first() {
  const std::size_t wanted = std::min(carried_.size(), limit_);
  if (wanted <= FlowQuery::kMostSorted)
    std::partial_sort(carried_.begin(), carried_.begin() + static_cast<std::ptrdiff_t>(wanted),
                      carried_.end(), [](const Ranked& a, const Ranked& b) { return a > b; });
  carried_.resize(wanted);
}

void FlowList::read_waiting(const FlowFollower& follower) {
  std::array<std::uint64_t, kFlowRefusals> reasons{};
  for (const auto& [id, waiting] : follower.waiting()) {
    ++reasons[static_cast<std::size_t>(waiting.reason)];
    if (carried_.size() + waiting_.size() < limit_ && concerns(waiting.original, waiting.reply))
      waiting_.push_back(id);
  }
  for (std::size_t i = 1; i < kFlowRefusals; ++i) {
    if (static_cast<FlowRefusal>(i) == FlowRefusal::not_marked) continue;  // such are not followed
    totals_.reasons.push_back({kFlowRefusalTexts[i].name, reasons[i]});
  }
}

std::optional<FlowStatus> FlowList::next() {
  const FlowFollower* follower = source_.follower();
  if (follower == nullptr) return std::nullopt;
  while (!carried_.empty()) {
    const FlowNumber number = carried_.back().second;
    carried_.pop_back();
    if (number < follower->table().end() && follower->table().in_use(number))
      return describe(*follower, number, source_.now());
  }
  while (!waiting_.empty()) {
    const auto at = follower->waiting().find(waiting_.back());
    waiting_.pop_back();
    if (at != follower->waiting().end()) return describe(at->second);
  }
  return std::nullopt;
}

}  // namespace wg::control
