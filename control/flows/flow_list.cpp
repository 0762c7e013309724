#include "control/flows/flow_list.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "dataplane/packet/headers.h"

namespace wg::control {

using dataplane::FlowNumber;
using dataplane::kOriginal;
using dataplane::kReply;

namespace {

bool concerns(const FlowTuple& original, const FlowTuple& reply, const std::string& address) {
  if (address.empty()) return true;
  const std::optional<IpAddress> wanted = dataplane::parse_ip_address(address);
  return wanted && (*wanted == original.source || *wanted == original.destination ||
                    *wanted == reply.source || *wanted == reply.destination);
}

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

using Ranked = std::pair<std::uint64_t, FlowNumber>;  // bytes

// The flows of the table that the query names; those with the most bytes first, as many as it requests.
std::vector<Ranked> ranked(const FlowFollower& follower, const FlowQuery& query) {
  std::vector<Ranked> out;
  const dataplane::FlowTable& table = follower.table();
  for (FlowNumber number = 0; number < table.end(); ++number) {
    if (!table.in_use(number)) continue;
    const auto& direction = table.at(number).direction;
    if (!concerns(direction[kOriginal].tuple(), direction[kReply].tuple(), query.address)) continue;
    out.emplace_back(direction[kOriginal].bytes.load(std::memory_order_relaxed) +
                         direction[kReply].bytes.load(std::memory_order_relaxed),
                     number);
  }
  const std::size_t wanted = query.limit == 0 ? out.size() : std::min(out.size(), query.limit);
  std::partial_sort(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(wanted), out.end(),
                    [](const Ranked& a, const Ranked& b) { return a > b; });
  out.resize(wanted);
  return out;
}

}  // namespace

void list_flows(const FlowFollower& follower, const FlowQuery& query, BootSeconds now, FlowsStatus& out) {
  out.carried = follower.table().size();
  out.with_linux = follower.waiting().size();
  for (const auto& [bytes, number] : ranked(follower, query))
    out.flows.push_back(describe(follower, number, now));
  std::array<std::uint64_t, kFlowRefusals> reasons{};
  for (const auto& [id, waiting] : follower.waiting()) {
    const auto reason = static_cast<std::size_t>(waiting.reason);
    ++reasons[reason];
    if (!concerns(waiting.original, waiting.reply, query.address)) continue;
    if (query.limit != 0 && out.flows.size() >= query.limit) continue;
    out.flows.push_back(describe(waiting.original, waiting.reply));
    out.flows.back().reason = kFlowRefusalTexts[reason].name;
    out.flows.back().reason_text = kFlowRefusalTexts[reason].text;
  }
  for (std::size_t i = 1; i < kFlowRefusals; ++i) {
    if (static_cast<FlowRefusal>(i) == FlowRefusal::not_marked) continue;  // such are not followed
    out.reasons.push_back({kFlowRefusalTexts[i].name, reasons[i]});
  }
}

}  // namespace wg::control
