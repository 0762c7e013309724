#include "control/interface/interface_peers.h"

#include <sodium.h>

#include <algorithm>

#include "control/clock.h"

namespace wg::control {

namespace {

constexpr std::size_t kPrefixesAtOnce = 256;  // and their routes: less than a millisecond
constexpr std::size_t kPeersAtOnce = 8;

}  // namespace

PeerRecord* InterfacePeers::add(const config::Peer& value) {
  if (PeerRecord* known = core_.book.find(value.public_key)) return known;
  dataplane::PeerTable& table = core_.services.dataplane.peers();
  dataplane::Peer* slot = table.add(core_.id);
  if (slot == nullptr) {
    core_.log->write(log_event::peer_table_full, {.peer = config::label_of(value)},
                     "peer {}: the peer table is full", config::label_of(value));
    return nullptr;
  }
  if (core_.engine->add_peer(*slot, value.public_key.bytes, now()) != noise::AddPeerResult::kAdded) {
    table.remove(*slot);
    return nullptr;
  }
  PeerRecord& record = core_.book.add(*slot, value.public_key);
  apply(record, value);
  parts_.notes.announce(GatewayEventKind::kPeerAdded, record);
  return &record;
}

void InterfacePeers::apply(PeerRecord& record, const config::Peer& value) {
  const config::Key& key = value.public_key;
  set_name(key, value.name);
  if (value.preshared_key) set_preshared_key(key, value.preshared_key);
  if (value.mtu) set_mtu(key, value.mtu);
  give(record, value);
  if (value.endpoint) set_endpoint(key, value.endpoint, false);
  parts_.endpoints.restore(record);
  if (value.persistent_keepalive.count() != 0) set_keepalive(key, value.persistent_keepalive);
}

void InterfacePeers::give(PeerRecord& record, const config::Peer& value) {
  while (give_some()) {
  }
  const std::vector<config::Prefix>& all = value.allowed_ips;
  const std::size_t at_once = std::min(all.size(), kPrefixesAtOnce);
  rest_ = {value.public_key, {all.rbegin(), all.rend() - static_cast<std::ptrdiff_t>(at_once)}};
  for (std::size_t i = 0; i < at_once; ++i) core_.book.give_prefix(record, all[i]);
  parts_.routes.change(RouteVerb::kReplace,
                       {all.begin(), all.begin() + static_cast<std::ptrdiff_t>(at_once)});
}

bool InterfacePeers::give_some() {
  if (rest_.allowed_ips.empty()) return false;
  PeerRecord* record = core_.book.find(rest_.key);
  std::vector<config::Prefix> some;
  while (!rest_.allowed_ips.empty() && some.size() < kPrefixesAtOnce) {
    some.push_back(rest_.allowed_ips.back());
    rest_.allowed_ips.pop_back();
    if (record != nullptr) core_.book.give_prefix(*record, some.back());
  }
  if (record != nullptr) parts_.routes.change(RouteVerb::kReplace, some);
  return !rest_.allowed_ips.empty();
}

bool InterfacePeers::take_some(const config::Key& key) {
  PeerRecord* record = core_.book.find(key);
  if (record == nullptr || record->allowed_ips.size() <= kPrefixesAtOnce) return false;
  std::vector<config::Prefix> some;
  while (some.size() < kPrefixesAtOnce) {
    some.push_back(*record->allowed_ips.begin());
    core_.book.take_prefix(*record, some.back());
  }
  parts_.routes.change(RouteVerb::kRemove, some);
  return true;
}

void InterfacePeers::remove(const config::Key& key) {
  PeerRecord* record = core_.book.find(key);
  if (record == nullptr) return;
  parts_.notes.announce(GatewayEventKind::kPeerRemoved, *record);
  // Nothing may find the peer any more before its slot is given back (protocol C4-8).
  core_.book.clear_allowed_ips(*record);
  parts_.routes.change(RouteVerb::kRemove, {record->allowed_ips.begin(), record->allowed_ips.end()});
  core_.services.staging.drop(record->slot->slot);
  parts_.endpoints.remove(*record);
  core_.engine->remove_peer(*record->slot);
  parts_.paths.remove(*record);
  dataplane::PeerTable& table = core_.services.dataplane.peers();
  core_.services.dataplane.quiescence().retire([&table, slot = record->slot] { table.remove(*slot); });
  core_.book.erase(*record);
}

bool InterfacePeers::remove_some() {
  const PeerBook::Records& records = core_.book.records();
  if (records.empty()) return false;
  for (std::size_t count = 0; count < kPeersAtOnce && !records.empty(); ++count) {
    const config::Key key = records.begin()->first;
    if (take_some(key)) break;
    remove(key);
  }
  return true;
}

void InterfacePeers::remove_all() {
  while (remove_some()) {
  }
}

void InterfacePeers::set_name(const config::Key& key, const std::string& name) {
  if (PeerRecord* record = core_.book.find(key)) core_.book.rename(*record, name);
}

void InterfacePeers::set_endpoint(const config::Key& key, const std::optional<config::Endpoint>& endpoint,
                                  bool forced) {
  if (PeerRecord* record = core_.book.find(key)) parts_.endpoints.set(*record, endpoint, forced);
}

void InterfacePeers::set_preshared_key(const config::Key& key, const std::optional<config::SecretKey>& psk) {
  const PeerRecord* record = core_.book.find(key);
  if (record == nullptr) return;
  noise::PresharedKey raw{};
  if (psk) std::copy(psk->bytes().begin(), psk->bytes().end(), raw.begin());
  core_.engine->set_preshared_key(*record->slot, raw, now());
  sodium_memzero(raw.data(), raw.size());
}

void InterfacePeers::set_keepalive(const config::Key& key, std::chrono::seconds interval) {
  PeerRecord* record = core_.book.find(key);
  if (record == nullptr) return;
  record->keepalive = interval;
  core_.engine->set_keepalive(*record->slot, interval, now());
}

void InterfacePeers::set_mtu(const config::Key& key, std::optional<std::uint16_t> mtu) {
  if (const PeerRecord* record = core_.book.find(key))
    record->slot->mtu.store(mtu.value_or(0), std::memory_order_relaxed);
}

void InterfacePeers::add_allowed_ip(const config::Key& key, const config::Prefix& prefix) {
  PeerRecord* record = core_.book.find(key);
  if (record == nullptr) return;
  core_.book.give_prefix(*record, prefix);
  parts_.routes.change(RouteVerb::kReplace, {prefix});
}

void InterfacePeers::remove_allowed_ip(const config::Key& key, const config::Prefix& prefix) {
  PeerRecord* record = core_.book.find(key);
  if (record == nullptr || !core_.book.take_prefix(*record, prefix)) return;
  parts_.routes.change(RouteVerb::kRemove, {prefix});
}

}  // namespace wg::control
