#include "control/api/rates.h"

#include <cerrno>
#include <optional>
#include <string_view>
#include <utility>

#include "control/api/params.h"

namespace wg::control {
namespace {

std::optional<RateOrder> order_of(std::string_view text) {
  if (text == "transfer") return RateOrder::kTransfer;
  if (text == "rx") return RateOrder::kRx;
  if (text == "tx") return RateOrder::kTx;
  if (text == "packets") return RateOrder::kPackets;
  if (text == "drops") return RateOrder::kDrops;
  return std::nullopt;
}

// As `show --watch` names them.
void add_rates(Json& object, const Rate& rate) {
  object["rx_bytes_rate"] = rate.rx_bytes;
  object["tx_bytes_rate"] = rate.tx_bytes;
  object["rx_packets_rate"] = rate.rx_packets;
  object["tx_packets_rate"] = rate.tx_packets;
  object["drops_rate"] = rate.drops;
}

}  // namespace

Expected<RateQuery> rate_query_of(const Json& params) {
  RateQuery query;
  query.interface = param::text(params, "interface");
  query.text = param::text(params, "peer");
  query.limit = param::number(params, "limit", query.limit, 1, RateQuery::kMost);
  const auto order = order_of(param::text(params, "sort", "transfer"));
  if (!order) return Refusal{EINVAL, "sort is one of transfer, rx, tx, packets, drops"};
  query.order = *order;
  return query;
}

Json to_json(const Rates& rates) {
  Json peers = Json::array();
  for (const PeerRate& each : rates.busiest) {
    Json& peer = peers.emplace_back(to_json(each.peer));
    add_rates(peer, each.rate);
  }
  Json object = {{"ready", rates.ready},
                 {"peers_total", rates.peers},
                 {"peers_moving", rates.moving},
                 {"sessions_made", rates.sessions_made},
                 {"complete", rates.complete}};
  add_rates(object, rates.sum);
  object["peers"] = std::move(peers);
  return object;
}

}  // namespace wg::control
