// The latest timestamps of peers that are not configured at present: read from the state file before the peer
// is added, or left by a peer that was removed. A peer that is added takes its own, so that an initiation
// recorded before is refused (docs/protocol.md C6-1).
//
// Control thread only.
#pragma once

#include <cstddef>
#include <list>
#include <map>

#include "control/noise/tai64n.h"
#include "control/noise/types.h"

namespace wg::noise {

class UnclaimedTimestamps {
 public:
  // Authenticated peers alone leave one, but they may come and go without end. 100 000 take 15 MB.
  static constexpr std::size_t kMax = 100'000;

  struct Record {
    PublicKey key;
    Tai64n timestamp;
  };

  // From the state file. It may exceed kMax, because peers that are about to be added are among them.
  void restore(const Record& record);
  // Keeps that of a removed peer, kMax of them at most: the oldest is forgotten. All zero: nothing to keep.
  void keep(const Record& record);
  // All zero: there is none. It is not here afterwards.
  [[nodiscard]] Tai64n take(const PublicKey& key);
  // Forgets the oldest beyond kMax.
  void trim() { trim_to(kMax); }

  [[nodiscard]] const std::list<Record>& records() const { return records_; }  // oldest first
  [[nodiscard]] std::size_t memory_bytes() const;

 private:
  void trim_to(std::size_t size);

  std::list<Record> records_;
  std::map<PublicKey, std::list<Record>::iterator> by_key_;  // a tree, as PeerIndex has
};

}  // namespace wg::noise
