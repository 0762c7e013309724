#include "control/interface/peer_book.h"

#include <optional>
#include <utility>

#include "control/convert.h"

namespace wg::control {

namespace {

template <class Table, class Wanted>
PeerRecord* find_in(const Table& table, const Wanted& wanted) {
  const auto at = table.find(wanted);
  return at == table.end() ? nullptr : &*at->second;
}

}  // namespace

PeerRecord* PeerBook::find(const config::Key& key) const {
  return find_in(records_, key);
}

PeerRecord* PeerBook::find_name(const std::string& name) const {
  return find_in(by_name_, name);
}

PeerRecord* PeerBook::find_slot(std::uint32_t slot) const {
  return slot < by_slot_.size() ? by_slot_[slot] : nullptr;
}

PeerRecord* PeerBook::owner_of(const config::Address& address) const {
  const auto ip = to_dataplane(address);
  return find_slot(ip.v6 ? tables_->allowed6.lookup({ip.bytes})
                         : tables_->allowed4.lookup(ip.v4_host_order()));
}

bool PeerBook::holds(const config::Prefix& prefix) const {
  const IpPrefix p = to_dataplane(prefix);
  const auto holder = p.address.v6 ? tables_->allowed6.find_exact({p.address.bytes}, p.length)
                                   : tables_->allowed4.find_exact(p.address.v4_host_order(), p.length);
  return holder.has_value();
}

PeerRecord& PeerBook::add(dataplane::Peer& slot, const config::Key& key) {
  auto owned = std::make_unique<PeerRecord>();
  PeerRecord& record = *owned;
  record.slot = &slot;
  record.public_key = key;
  records_[key] = std::move(owned);
  newest_ = slot.generation.load(std::memory_order_relaxed);
  if (slot.slot >= by_slot_.size()) by_slot_.resize(slot.slot + 1);
  by_slot_[slot.slot] = &record;
  return record;
}

void PeerBook::erase(const PeerRecord& record) {
  by_slot_[record.slot->slot] = nullptr;
  forget_name(record);
  records_.erase(config::Key(record.public_key));
}

// Within one plan a name may pass from peer to peer, so it may belong to another peer already.
void PeerBook::forget_name(const PeerRecord& record) {
  const auto at = by_name_.find(record.name);
  if (at != by_name_.end() && at->second == &record) by_name_.erase(at);
}

void PeerBook::rename(PeerRecord& record, const std::string& name) {
  forget_name(record);
  record.name = name;
  if (!name.empty()) by_name_[name] = &record;
}

// Prefixes were read and slots are few, so that no table refuses them.
void PeerBook::insert(const config::Prefix& prefix, std::uint32_t slot) {
  const IpPrefix p = to_dataplane(prefix);
  std::optional<lpm::Value> holder;
  if (p.address.v6) {
    holder = tables_->allowed6.find_exact({p.address.bytes}, p.length);
    value_or_throw(tables_->allowed6.insert({p.address.bytes}, p.length, slot));
  } else {
    holder = tables_->allowed4.find_exact(p.address.v4_host_order(), p.length);
    value_or_throw(tables_->allowed4.insert(p.address.v4_host_order(), p.length, slot));
  }
  if (!holder || *holder == slot) return;
  if (PeerRecord* loser = find_slot(*holder)) loser->allowed_ips.erase(prefix);
}

void PeerBook::remove(const config::Prefix& prefix) {
  const IpPrefix p = to_dataplane(prefix);
  if (p.address.v6) {
    tables_->allowed6.remove({p.address.bytes}, p.length);
  } else {
    tables_->allowed4.remove(p.address.v4_host_order(), p.length);
  }
}

void PeerBook::give_prefix(PeerRecord& record, const config::Prefix& prefix) {
  record.allowed_ips.insert(prefix);
  insert(prefix, record.slot->slot);
}

bool PeerBook::take_prefix(PeerRecord& record, const config::Prefix& prefix) {
  if (record.allowed_ips.erase(prefix) == 0) return false;
  remove(prefix);
  return true;
}

void PeerBook::clear_allowed_ips(PeerRecord& record) {
  for (const config::Prefix& prefix : record.allowed_ips) remove(prefix);
}

}  // namespace wg::control
