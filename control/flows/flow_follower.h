// Follows connection tracking and decides which connections workers carry.
//
// A connection that Linux has accepted (assured, TCP established) and that has the mark is first made ready:
// its windows are no longer checked, because Linux does not see them move. The event that this change causes
// is what publishes it to the workers. So nothing is carried whose end the kernel would not announce: an
// entry that is older than this program may have no events.
//
// It goes back to Linux when it is destroyed, loses the mark, begins to close, or when its two ends are no
// longer routed to ports and interfaces with `forwarding: flows`. A new generation of nftables takes all
// connections from the workers and clears their marks: the operator's rules, as they are now, mark those that
// may be carried again with their next packet.
//
// Control thread only. No clock of its own.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <vector>

#include "control/flows/flow_refusal.h"
#include "control/kernel/conntrack.h"
#include "control/publish/routes_changed.h"
#include "dataplane/flow/flow_table.h"

namespace wg::control {

// Where an address is routed to, as the workers may believe it.
struct FlowWay {
  dataplane::FlowIngress from;  // packets of that address come in here
  FlowRefusal refusal = FlowRefusal::kNone;
};

class FlowFollower final : public ConntrackSink {
 public:
  using WayOf = std::function<FlowWay(const IpAddress&)>;
  struct Counts {
    std::uint64_t taken_over = 0;   // connections given to the workers
    std::uint64_t handed_back = 0;  // and taken from them
    std::uint64_t refreshed = 0;    // timeouts set in connection tracking
    std::uint64_t lost = 0;         // times events were lost
    std::uint64_t read_again = 0;   // of these, how many a complete dump has made up for
    std::uint64_t rule_changes = 0;
    std::uint64_t returned_by_rules = 0;  // of handed_back
    std::uint64_t refused_full = 0;       // times that a connection found the table full
  };

  // `mark`: the bits that a connection needs, at least one. All references outlive it.
  FlowFollower(dataplane::FlowTable& table, ConntrackRequests& conntrack, WayOf way_of, std::uint32_t mark);

  void set_now(BootSeconds now) { now_ = now; }
  void set_timeouts(const ConntrackTimeouts& timeouts) { timeouts_ = timeouts; }

  // Learns what there is already.
  void start();
  void on_ways_changed(const RoutesChanged& changed);
  // Goes on with what on_ways_changed() has left to do; true: there is more.
  bool advance();
  // Keeps entries alive whose packets the workers carry.
  void refresh();

  // ---- ConntrackSink
  void updated(const ConntrackEntry& entry, bool ours) override;
  void destroyed(const ConntrackEntry& entry) override;
  void dumped(const ConntrackEntry& entry) override;
  void dump_ended() override;
  void rules_changed() override;
  void lost() override;

  // The reason to leave an entry to Linux by connection tracking alone, whatever the routes.
  [[nodiscard]] FlowRefusal judge(const ConntrackEntry& entry) const;

  // ---- what there is
  struct Waiting {
    FlowTuple original, reply;
    FlowRefusal reason;
  };
  struct Carried {
    std::uint32_t id;
    BootSeconds since, last_used;
    WholeSeconds timeout;
    std::array<std::uint64_t, 2> packets, bytes;  // by direction
  };
  [[nodiscard]] const Counts& counts() const { return counts_; }
  [[nodiscard]] const dataplane::FlowTable& table() const { return table_; }
  // Connections with the mark that are Linux's, by conntrack's id. At most kWaitingMax are remembered.
  static constexpr std::size_t kWaitingMax = 65'536;
  [[nodiscard]] const std::map<std::uint32_t, Waiting>& waiting() const { return waiting_; }
  // `number` is in use.
  [[nodiscard]] Carried carried(dataplane::FlowNumber number) const;

 private:
  // Beside the flow of the same number in the table.
  struct Record {
    std::uint32_t id = 0;     // conntrack's
    WholeSeconds timeout{0};  // silence after which Linux drops the entry
    BootSeconds since;
    BootSeconds due;           // when refresh() looks at it
    BootSeconds refreshed_to;  // the last packet that Linux has learned of
    BootSeconds refreshed_at;
    std::array<std::uint32_t, 2> counted{};  // of the workers' counters, which are modulo 2^32
    std::array<std::uint64_t, 2> packets{};
  };
  enum class Dump : std::uint8_t { kNone, kLearn, kClearMarks };

  [[nodiscard]] FlowRefusal judge_ways(const FlowTuple& original, const FlowTuple& reply,
                                       std::array<FlowWay, 2>& ways) const;
  void consider(const ConntrackEntry& entry, bool ours);
  void ask(const ConntrackEntry& entry);
  void take_over(const ConntrackEntry& entry, const std::array<FlowWay, 2>& ways);
  void refuse_full(const ConntrackEntry& entry);
  void hand_back(dataplane::FlowNumber number, FlowRefusal reason);
  void wait(std::uint32_t id, const Waiting& waiting);
  void forget_all();
  void want_dump(Dump dump);
  void judge_again(dataplane::FlowNumber number);
  void begin_to_judge();
  void judge_waiting_again(Waiting& waiting);
  void refresh_one(dataplane::FlowNumber number);
  void count_packets(dataplane::FlowNumber number);

  dataplane::FlowTable& table_;
  ConntrackRequests& conntrack_;
  const WayOf way_of_;
  const std::uint32_t mark_;
  ConntrackTimeouts timeouts_;
  BootSeconds now_;
  std::vector<Record> records_;  // by flow number
  std::map<std::uint32_t, Waiting> waiting_;
  bool forgot_waiting_ = false;  // there were more than kWaitingMax
  Dump dumping_ = Dump::kNone, next_dump_ = Dump::kNone;
  RoutesChanged changed_;       // what waiting entries and flows from judged_ on are judged again for
  RoutesChanged changed_next_;  // and after them all of them
  struct Judged {
    std::uint64_t waiting = 0;  // the next id
    dataplane::FlowNumber flow = 0;
  } judged_;
  Counts counts_;
};

}  // namespace wg::control
