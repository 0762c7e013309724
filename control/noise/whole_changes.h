// Changes of a whole interface (another private key, up, down) that its peers follow one by one. The change
// itself takes no time, however many peers there are: it gets a number, and each peer compares that with the
// number of the last change it has followed. A peer follows before anything else happens to it, the others
// in slices. The number of changes that a peer has missed does not matter: it is enough to know which kinds
// are among them.
//
// Control thread only.
#pragma once

#include <cstddef>
#include <cstdint>

#include "control/noise/types.h"

namespace wg::noise {

enum class WholeChange : std::uint8_t { kNewKey, kUp, kDown };

// Those that a peer has missed.
struct MissedChanges {
  bool new_key = false, up = false, down = false;
};

class WholeChanges {
 public:
  using Number = std::uint64_t;

  // The walk over all peers begins again.
  void note(WholeChange change, BootTime now, std::size_t peers) {
    of(change) = ++latest_;
    if (change == WholeChange::kNewKey) new_key_at_ = now;
    next_ = 0;
    end_ = peers;
  }
  [[nodiscard]] Number latest() const { return latest_; }
  [[nodiscard]] MissedChanges since(Number followed) const {
    return {new_key_ > followed, up_ > followed, down_ > followed};
  }
  [[nodiscard]] BootTime new_key_at() const { return new_key_at_; }

  // ---- the walk, by the peers' numbers. Later peers come with the latest change.
  [[nodiscard]] bool walked() const { return next_ == end_; }
  [[nodiscard]] std::size_t take_next() { return next_++; }

 private:
  [[nodiscard]] Number& of(WholeChange change) {
    if (change == WholeChange::kNewKey) return new_key_;
    return change == WholeChange::kUp ? up_ : down_;
  }

  Number latest_ = 0;
  Number new_key_ = 0, up_ = 0, down_ = 0;  // the latest of each kind
  BootTime new_key_at_ = kNever;
  std::size_t next_ = 0, end_ = 0;  // peers below next_ have followed all
};

}  // namespace wg::noise
