#include "control/gateway/rate_reader.h"

#include <cerrno>
#include <utility>

#include "control/api/peer_list.h"

namespace wg::control {
namespace {

// So many of the busiest peers are held against a filter.
constexpr std::size_t kFilteredPeers = 5000;

// The peers of all interfaces.
std::size_t count_of_peers(const Objects& objects) {
  std::size_t count = 0;
  for (const auto& [name, interface] : objects.interfaces()) count += interface->book().records().size();
  return count;
}

}  // namespace

RateReader::RateReader(EventLoop& loop, const dataplane::PeerTable& table, const Objects& objects,
                       const StatusSource& status)
    : objects_(objects),
      status_(status),
      rates_(loop, table, [&objects] { return count_of_peers(objects); }) {}

Expected<Rates> RateReader::rates(const RateQuery& query) {
  if (!query.interface.empty() && objects_.find_interface(query.interface) == nullptr)
    return Refusal{ENOENT, "no interface " + query.interface};
  rates_.ask();
  Rates out;
  out.ready = rates_.ready();
  out.peers = rates_.peers();
  out.moving = rates_.moving();
  out.sum = rates_.sum();
  out.sessions_made = sessions_made();
  if (!out.ready) return out;
  const bool filtered = !query.interface.empty() || !query.text.empty();
  const std::size_t most = filtered ? kFilteredPeers : query.limit;
  const auto found = rates_.busiest(query.order, most);
  for (std::size_t i = 0; i < found.size() && out.busiest.size() < query.limit; ++i)
    add(query, found[i], out);
  out.complete = !filtered || out.busiest.size() == query.limit || found.size() < most;
  return out;
}

std::uint64_t RateReader::sessions_made() const {
  std::uint64_t count = 0;
  for (const auto& [name, interface] : objects_.interfaces()) {
    const noise::HandshakeCounters& counts = interface->engine().counters();
    count += counts.of(noise::Outcome::kInitiationAnswered) + counts.of(noise::Outcome::kResponseAccepted);
  }
  return count;
}

void RateReader::add(const RateQuery& query, const PeerRates::Found& found, Rates& out) const {
  const dataplane::InterfaceId id = rates_.peer(found.slot).interface_id;
  const Interface* interface = objects_.interface_by_id(id);
  const PeerRecord* record = interface == nullptr ? nullptr : interface->book().find_slot(found.slot);
  if (record == nullptr || (!query.interface.empty() && interface->name() != query.interface)) return;
  if (!PeerText(query.text).matches(record->name, record->public_key, record->allowed_ips)) return;
  auto peer = status_.find_peer(interface->name(), config::to_string(record->public_key));
  if (peer) out.busiest.push_back({std::move(*peer), found.rate});
}

}  // namespace wg::control
