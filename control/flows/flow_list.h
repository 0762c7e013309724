// The rows of `show flows`, read from a follower in slices.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "control/api/status_source.h"
#include "control/flows/flow_follower.h"

namespace wg::control {

// Counts, reasons and at most query.limit flows: those that workers carry, with the most bytes first, then
// those that are Linux's.
class FlowList final : public FlowReading {
 public:
  // Called at each step, because the configuration may take flows away meanwhile.
  struct Source {
    std::function<const FlowFollower*()> follower;  // null: there is none any more
    std::function<BootSeconds()> now;
  };
  FlowList(Source source, FlowQuery query, FlowsStatus totals);

  bool read(SliceEnd until) override;
  [[nodiscard]] const FlowsStatus& totals() const override { return totals_; }
  std::optional<FlowStatus> next() override;

 private:
  using Ranked = std::pair<std::uint64_t, dataplane::FlowNumber>;  // bytes

  [[nodiscard]] bool concerns(const FlowTuple& original, const FlowTuple& reply) const;
  void read_carried(const FlowFollower& follower, dataplane::FlowNumber number);
  void keep_first();
  void read_waiting(const FlowFollower& follower);

  const Source source_;
  const std::optional<IpAddress> address_;
  const bool any_address_;
  const std::size_t limit_;  // the greatest number: all
  FlowsStatus totals_;
  dataplane::FlowNumber number_ = 0;    // below: read
  std::vector<Ranked> carried_;         // the last is told first
  std::vector<std::uint32_t> waiting_;  // by conntrack's id; likewise
};

}  // namespace wg::control
