// Answers `rates`: the busiest peers, with their status.
//
// Control thread only.
#pragma once

#include "control/api/rates.h"
#include "control/api/status_source.h"
#include "control/gateway/objects.h"
#include "control/gateway/peer_rates.h"

namespace wg::control {

class RateReader final : public RateSource {
 public:
  // `table`: whose counters are read.
  RateReader(EventLoop& loop, const dataplane::PeerTable& table, const Objects& objects,
             const StatusSource& status);

  Expected<Rates> rates(const RateQuery& query) override;

 private:
  [[nodiscard]] std::uint64_t sessions_made() const;
  void add(const RateQuery& query, const PeerRates::Found& found, Rates& out) const;

  const Objects& objects_;
  const StatusSource& status_;
  PeerRates rates_;
};

}  // namespace wg::control
