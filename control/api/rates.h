// Rates of peers: the method `rates` of the control sockets. Plain values; rates are per second.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "control/api/json.h"
#include "control/api/status.h"

namespace wg::control {

enum class RateOrder : std::uint8_t {
  kTransfer,  // received and sent bytes
  kRx,
  kTx,
  kPackets,  // in both directions
  kDrops,
};

struct Rate {
  double rx_bytes = 0;
  double tx_bytes = 0;
  double rx_packets = 0;
  double tx_packets = 0;
  double drops = 0;

  [[nodiscard]] double by(RateOrder order) const {
    switch (order) {
      case RateOrder::kRx:
        return rx_bytes;
      case RateOrder::kTx:
        return tx_bytes;
      case RateOrder::kPackets:
        return rx_packets + tx_packets;
      case RateOrder::kDrops:
        return drops;
      case RateOrder::kTransfer:
        break;
    }
    return rx_bytes + tx_bytes;
  }
};

struct RateQuery {
  static constexpr std::size_t kMost = 1000;  // peers in an answer

  std::string interface;  // empty: all
  std::string text;       // as PeerFilter::text
  RateOrder order = RateOrder::kTransfer;
  std::size_t limit = 20;
};

struct PeerRate {
  PeerStatus peer;
  Rate rate;
};

struct Rates {
  bool ready = false;               // false: the counters have not been read twice yet
  std::uint64_t peers = 0;          // of all interfaces
  std::uint64_t moving = 0;         // that received or sent something between the two reads
  Rate sum;                         // over all peers
  std::uint64_t sessions_made = 0;  // handshakes that led to a session, since the start
  bool complete = true;             // false: peers that pass the filter may be missing behind those looked at
  std::vector<PeerRate> busiest;    // the first is the busiest
};

// Requests about rates. On the control thread; never blocks, never throws.
class RateSource {
 public:
  virtual ~RateSource() = default;
  // Counters are read while requests come: the first answers have no rates. Refused: no such interface.
  virtual Expected<Rates> rates(const RateQuery& query) = 0;
};

// Reads the params of `rates`. Refused: a value that is not allowed. Throws BadParam for a wrong value.
Expected<RateQuery> rate_query_of(const Json& params);
Json to_json(const Rates& rates);

}  // namespace wg::control
