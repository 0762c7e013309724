#include "control/flows/flow_follower.h"

#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tcp.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "dataplane/packet/headers.h"

namespace wg::control {

using dataplane::FlowIngress;
using dataplane::FlowNumber;
using dataplane::kNoFlow;
using dataplane::kOriginal;
using dataplane::kReply;

namespace {

// Waiting entries and flows that one call of advance() judges again: a millisecond or two.
constexpr std::size_t kJudgedPerCall = 1024;
// The counters of a flow are read at least this often: they are 32 bits wide.
constexpr WholeSeconds kLongestInterval{60};
// TCP's timeout is five days; one refresh an hour suffices.
constexpr WholeSeconds kLongestRefresh{3600};
// A silent entry is looked at this long before Linux drops it: packets may have come again.
constexpr WholeSeconds kBeforeExpiry{2};

bool is_tcp(const FlowTuple& tuple) {
  return tuple.protocol == dataplane::ip_protocol::kTcp;
}

BootSeconds last_used(const dataplane::Flow& flow) {
  const auto at = [&](std::size_t i) { return flow.direction[i].last_used.load(std::memory_order_relaxed); };
  return std::max(at(kOriginal), at(kReply));
}

}  // namespace

FlowFollower::FlowFollower(dataplane::FlowTable& table, ConntrackRequests& conntrack, WayOf way_of,
                           std::uint32_t mark)
    : table_(table), conntrack_(conntrack), way_of_(std::move(way_of)), mark_(mark) {}

void FlowFollower::start() {
  want_dump(Dump::kLearn);
}

// ---------------------------------------------------------------- judging

// Decides by connection tracking alone. A message without a TCP state says nothing against it: the answer
// to ask() has one.
FlowRefusal FlowFollower::judge(const ConntrackEntry& entry) const {
  if ((entry.mark & mark_) != mark_) return FlowRefusal::not_marked;
  if (entry.zone != 0) return FlowRefusal::zone;
  if (entry.has_helper) return FlowRefusal::helper;
  if (entry.adjusts_sequence) return FlowRefusal::sequence_adjusted;
  if ((entry.status & (IPS_OFFLOAD | IPS_HW_OFFLOAD)) != 0) return FlowRefusal::offloaded;
  if ((entry.status & IPS_ASSURED) == 0) return FlowRefusal::not_assured;
  if (entry.tcp_state && *entry.tcp_state != TCP_CONNTRACK_ESTABLISHED) return FlowRefusal::not_established;
  return FlowRefusal::kNone;
}

// The two ends as the gateway routes to them: the source of the original direction, and the source of the
// replies, which is where the original direction leads after its rewriting.
FlowRefusal FlowFollower::judge_ways(const FlowTuple& original, const FlowTuple& reply,
                                     std::array<FlowWay, 2>& ways) const {
  ways = {way_of_(original.source), way_of_(reply.source)};
  return ways[kOriginal].refusal != FlowRefusal::kNone ? ways[kOriginal].refusal : ways[kReply].refusal;
}

void FlowFollower::consider(const ConntrackEntry& entry, bool ours) {
  FlowNumber number = table_.find(entry.original);
  if (number != kNoFlow && records_[number].id != entry.id) {
    // The same addresses and ports again; the event of the former connection's end is lost or on its way.
    hand_back(number, FlowRefusal::not_established);
    number = kNoFlow;
  }
  FlowRefusal refusal = judge(entry);
  if (number != kNoFlow) {
    if (refusal != FlowRefusal::kNone) hand_back(number, refusal);
    return;
  }
  std::array<FlowWay, 2> ways;
  if (refusal == FlowRefusal::kNone) refusal = judge_ways(entry.original, entry.reply, ways);
  if (refusal == FlowRefusal::kNone && table_.size() == table_.capacity()) return refuse_full(entry);
  if (refusal != FlowRefusal::kNone) return wait(entry.id, {entry.original, entry.reply, refusal});
  const bool ready = is_tcp(entry.original) ? entry.tcp_state && entry.liberal : true;
  if (ours && ready) return take_over(entry, ways);
  ask(entry);
}

// A UDP entry needs no change, but only a change has an answer.
void FlowFollower::ask(const ConntrackEntry& entry) {
  wait(entry.id, {entry.original, entry.reply, FlowRefusal::asked});
  ConntrackUpdate update;
  update.original = entry.original;
  update.liberal = is_tcp(entry.original);
  if (!update.liberal) update.timeout = std::max(entry.timeout, WholeSeconds(1));
  conntrack_.update(update);
}

// ---------------------------------------------------------------- taking over, handing back

void FlowFollower::take_over(const ConntrackEntry& entry, const std::array<FlowWay, 2>& ways) {
  const WholeSeconds timeout =
      std::max(entry.timeout, is_tcp(entry.original) ? timeouts_.tcp : timeouts_.udp);
  const BootSeconds seen =
      now_ - std::min(now_.time_since_epoch(), timeout - entry.timeout);  // by Linux, the last packet
  const FlowNumber number =
      table_.insert(entry.original, entry.reply, ways[kOriginal].from, ways[kReply].from, seen);
  if (number == kNoFlow) return refuse_full(entry);
  waiting_.erase(entry.id);
  if (records_.size() <= number) records_.resize(number + 1);
  Record record;
  record.id = entry.id;
  record.timeout = timeout;
  record.since = now_;
  record.due = now_ + std::min(kLongestInterval, entry.timeout / 2);
  record.refreshed_to = record.refreshed_at = seen;
  records_[number] = record;
  ++counts_.taken_over;
}

void FlowFollower::refuse_full(const ConntrackEntry& entry) {
  ++counts_.refused_full;
  wait(entry.id, {entry.original, entry.reply, FlowRefusal::table_full});
}

void FlowFollower::hand_back(FlowNumber number, FlowRefusal reason) {
  const dataplane::Flow& flow = table_.at(number);
  wait(records_[number].id, {flow.direction[kOriginal].tuple(), flow.direction[kReply].tuple(), reason});
  table_.remove(number);
  ++counts_.handed_back;
}

// Connections without the mark are of no concern here.
void FlowFollower::wait(std::uint32_t id, const Waiting& waiting) {
  if (waiting.reason == FlowRefusal::not_marked) {
    waiting_.erase(id);
  } else if (waiting_.size() < kWaitingMax || waiting_.contains(id)) {
    waiting_.insert_or_assign(id, waiting);
  } else {
    forgot_waiting_ = true;
  }
}

void FlowFollower::forget_all() {
  counts_.handed_back += table_.size();
  table_.clear();
  waiting_.clear();
  forgot_waiting_ = false;
}

// ---------------------------------------------------------------- what connection tracking reports

void FlowFollower::updated(const ConntrackEntry& entry, bool ours) {
  consider(entry, ours);
}

void FlowFollower::destroyed(const ConntrackEntry& entry) {
  waiting_.erase(entry.id);
  const FlowNumber number = table_.find(entry.original);
  if (number == kNoFlow || records_[number].id != entry.id) return;
  table_.remove(number);
  ++counts_.handed_back;
}

void FlowFollower::dumped(const ConntrackEntry& entry) {
  if (dumping_ != Dump::kClearMarks) return consider(entry, false);
  ConntrackUpdate update;
  update.original = entry.original;
  update.clear_mark = mark_;
  conntrack_.update(update);
}

void FlowFollower::dump_ended() {
  dumping_ = Dump::kNone;
  if (const Dump next = std::exchange(next_dump_, Dump::kNone); next != Dump::kNone) return want_dump(next);
  counts_.read_again = counts_.lost;
}

// Marks that have been cleared leave nothing to learn.
void FlowFollower::want_dump(Dump dump) {
  if (dumping_ != Dump::kNone) {
    next_dump_ = std::max(next_dump_, dump);
    return;
  }
  dumping_ = dump;
  conntrack_.start_dump(mark_);
}

void FlowFollower::rules_changed() {
  ++counts_.rule_changes;
  counts_.returned_by_rules += table_.size();
  forget_all();
  want_dump(Dump::kClearMarks);
}

void FlowFollower::lost() {
  ++counts_.lost;
  forget_all();
  want_dump(Dump::kLearn);
}

// ---------------------------------------------------------------- routes

void FlowFollower::on_ways_changed(const RoutesChanged& changed) {
  if (std::exchange(forgot_waiting_, false)) want_dump(Dump::kLearn);
  changed_next_.add(changed);
}

bool FlowFollower::advance() {
  if (!changed_.any()) begin_to_judge();
  if (!changed_.any()) return false;
  std::size_t left = kJudgedPerCall;
  auto at = waiting_.end();
  if (judged_.waiting <= std::numeric_limits<std::uint32_t>::max())
    at = waiting_.lower_bound(static_cast<std::uint32_t>(judged_.waiting));
  for (; at != waiting_.end() && left != 0; ++at, --left) {
    judge_waiting_again(at->second);
    judged_.waiting = at->first + std::uint64_t{1};
  }
  for (; judged_.flow < table_.end() && left != 0; ++judged_.flow, --left) {
    if (table_.in_use(judged_.flow)) judge_again(judged_.flow);
  }
  if (left == 0) return true;
  changed_ = {};
  return changed_next_.any();
}

void FlowFollower::begin_to_judge() {
  changed_ = std::exchange(changed_next_, {});
  changed_.narrow();
  judged_ = {};
}

void FlowFollower::judge_again(FlowNumber number) {
  dataplane::Flow& flow = table_.at(number);
  const FlowTuple original = flow.direction[kOriginal].tuple(), reply = flow.direction[kReply].tuple();
  if (!changed_.concerns(original.source) && !changed_.concerns(reply.source)) return;
  std::array<FlowWay, 2> ways;
  if (const FlowRefusal refusal = judge_ways(original, reply, ways); refusal != FlowRefusal::kNone)
    return hand_back(number, refusal);
  for (const std::size_t i : {kOriginal, kReply})
    flow.direction[i].ingress.store(ways[i].from.bits(), std::memory_order_relaxed);
}

// Those that routes kept from the workers are asked for again; the answer says whether all else still holds.
void FlowFollower::judge_waiting_again(Waiting& waiting) {
  if (waiting.reason < FlowRefusal::policy_routing || waiting.reason > FlowRefusal::peer_mtu) return;
  if (!changed_.concerns(waiting.original.source) && !changed_.concerns(waiting.reply.source)) return;
  std::array<FlowWay, 2> ways;
  waiting.reason = judge_ways(waiting.original, waiting.reply, ways);
  if (waiting.reason != FlowRefusal::kNone) return;
  waiting.reason = FlowRefusal::asked;
  ConntrackUpdate update;
  update.original = waiting.original;
  update.liberal = is_tcp(waiting.original);
  if (!update.liberal) update.timeout = timeouts_.udp;
  conntrack_.update(update);
}

// ---------------------------------------------------------------- timeouts

void FlowFollower::refresh() {
  const FlowNumber end = static_cast<FlowNumber>(std::min<std::size_t>(records_.size(), table_.end()));
  for (FlowNumber number = 0; number < end; ++number) {
    if (records_[number].due <= now_ && table_.in_use(number)) refresh_one(number);
  }
}

// Linux learns of the last packet at half the timeout, or in time before it drops the entry.
void FlowFollower::refresh_one(FlowNumber number) {
  count_packets(number);
  Record& record = records_[number];
  const dataplane::Flow& flow = table_.at(number);
  const BootSeconds last = last_used(flow), expiry = record.refreshed_to + record.timeout;
  const bool old = now_ >= record.refreshed_at + std::min(record.timeout / 2, kLongestRefresh);
  if (last > record.refreshed_to && (old || now_ + kBeforeExpiry >= expiry)) {
    ConntrackUpdate update;
    update.original = flow.direction[kOriginal].tuple();
    const WholeSeconds silent = now_ > last ? now_ - last : WholeSeconds(0);
    update.timeout = record.timeout > silent ? record.timeout - silent : WholeSeconds(1);
    conntrack_.update(update);
    record.refreshed_to = last;
    record.refreshed_at = now_;
    ++counts_.refreshed;
  }
  const WholeSeconds soon = std::min(kLongestInterval, record.timeout / 2);
  const BootSeconds before_expiry = record.refreshed_to + record.timeout - kBeforeExpiry;
  record.due = std::max(now_ + WholeSeconds(1), std::min(now_ + soon, before_expiry));
}

void FlowFollower::count_packets(FlowNumber number) {
  Record& record = records_[number];
  for (const std::size_t i : {kOriginal, kReply}) {
    const std::uint32_t count = table_.at(number).direction[i].packets.load(std::memory_order_relaxed);
    record.packets[i] += static_cast<std::uint32_t>(count - record.counted[i]);
    record.counted[i] = count;
  }
}

FlowFollower::Carried FlowFollower::carried(FlowNumber number) const {
  const Record& record = records_[number];
  const dataplane::Flow& flow = table_.at(number);
  Carried out{record.id, record.since, last_used(flow), record.timeout, record.packets, {}};
  for (const std::size_t i : {kOriginal, kReply}) {
    const std::uint32_t count = flow.direction[i].packets.load(std::memory_order_relaxed);
    out.packets[i] += static_cast<std::uint32_t>(count - record.counted[i]);
    out.bytes[i] = flow.direction[i].bytes.load(std::memory_order_relaxed);
  }
  return out;
}

}  // namespace wg::control
