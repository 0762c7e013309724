// Answers `rates`: the busiest peers, with what the status tells of them.
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
  RateReader(PeerRates& rates, const Objects& objects, const StatusSource& status)
      : rates_(rates), objects_(objects), status_(status) {}

  Expected<Rates> rates(const RateQuery& query) override;

 private:
  [[nodiscard]] std::uint64_t sessions_made() const;
  void add(const RateQuery& query, const PeerRates::Found& found, Rates& out) const;

  PeerRates& rates_;
  const Objects& objects_;
  const StatusSource& status_;
};

// Of all interfaces.
std::size_t count_of_peers(const Objects& objects);

}  // namespace wg::control
