#include "control/noise/unclaimed_timestamps.h"

#include <algorithm>

namespace wg::noise {

void UnclaimedTimestamps::restore(const Record& record) {
  if (const auto found = by_key_.find(record.key); found != by_key_.end()) {
    Tai64n& known = found->second->timestamp;
    known = std::max(known, record.timestamp);
    return;
  }
  by_key_.emplace(record.key, records_.insert(records_.end(), record));
}

void UnclaimedTimestamps::keep(const Record& record) {
  if (record.timestamp == Tai64n{}) return;
  if (records_.size() >= kMax) trim_to(records_.size() - 1);
  restore(record);
}

Tai64n UnclaimedTimestamps::take(const PublicKey& key) {
  const auto found = by_key_.find(key);
  if (found == by_key_.end()) return {};
  const Tai64n timestamp = found->second->timestamp;
  records_.erase(found->second);
  by_key_.erase(found);
  return timestamp;
}

void UnclaimedTimestamps::trim_to(std::size_t size) {
  while (records_.size() > size) {
    by_key_.erase(records_.front().key);
    records_.pop_front();
  }
}

std::size_t UnclaimedTimestamps::memory_bytes() const {
  constexpr std::size_t kListNode = 2 * sizeof(void*) + sizeof(Record) + sizeof(std::size_t);
  constexpr std::size_t kMapNode = sizeof(decltype(by_key_)::value_type) + 5 * sizeof(void*);
  return records_.size() * (kListNode + kMapNode);
}

}  // namespace wg::noise
