// The peers of an interface, by key, by slot and by name, and the tables of their allowed IPs.
//
// W: InterfacePeers. R: every part of the interface and the status; the workers read the two tables.
// Control thread only, but for the tables.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "config/types.h"
#include "control/interface/peer_record.h"
#include "dataplane/lpm/lpm.h"

namespace wg::control {

class PeerBook {
 public:
  // In trees: to add one peer to many moves none of them, as a table of hashes does when it grows, and chosen
  // keys cost no more than others.
  using Records = std::map<config::Key, std::unique_ptr<PeerRecord>>;

  explicit PeerBook(lpm::Reclaimer& reclaimer) : tables_(std::make_shared<Tables>(reclaimer)) {}

  // Null: there is none.
  [[nodiscard]] PeerRecord* find(const config::Key& key) const;
  [[nodiscard]] PeerRecord* find_name(const std::string& name) const;
  [[nodiscard]] PeerRecord* find_slot(std::uint32_t slot) const;
  // The peer whose allowed IPs have the longest prefix that contains the address.
  [[nodiscard]] PeerRecord* owner_of(const config::Address& address) const;
  [[nodiscard]] const Records& records() const { return records_; }
  // Every slot of a peer is below.
  [[nodiscard]] std::uint32_t slots() const { return static_cast<std::uint32_t>(by_slot_.size()); }
  // Generation of the peer that came last: those of later ones are greater.
  [[nodiscard]] std::uint32_t newest() const { return newest_; }
  // A peer has exactly this prefix.
  [[nodiscard]] bool holds(const config::Prefix& prefix) const;
  // How many prefixes the peers have together.
  [[nodiscard]] std::size_t prefixes() const { return allowed4().size() + allowed6().size(); }

  PeerRecord& add(dataplane::Peer& slot, const config::Key& key);
  // Its allowed IPs are in the tables until clear_allowed_ips().
  void erase(const PeerRecord& record);
  void rename(PeerRecord& record, const std::string& name);

  // Moves the prefix from the peer that holds it, in one step.
  void give_prefix(PeerRecord& record, const config::Prefix& prefix);
  // False: the peer does not hold it.
  bool take_prefix(PeerRecord& record, const config::Prefix& prefix);
  // From here on no worker finds the peer.
  void clear_allowed_ips(PeerRecord& record);

  [[nodiscard]] const lpm::Lpm4& allowed4() const { return tables_->allowed4; }
  [[nodiscard]] const lpm::Lpm6& allowed6() const { return tables_->allowed6; }
  // The snapshot points to both, so they stay where they are and may outlive the book.
  struct Tables {
    explicit Tables(lpm::Reclaimer& reclaimer) : allowed4(reclaimer), allowed6(reclaimer) {}
    lpm::Lpm4 allowed4;
    lpm::Lpm6 allowed6;
  };
  // For whoever frees them when every worker has let go of them.
  [[nodiscard]] std::shared_ptr<const Tables> tables() const { return tables_; }

 private:
  void insert(const config::Prefix& prefix, std::uint32_t slot);
  void remove(const config::Prefix& prefix);
  void forget_name(const PeerRecord& record);

  const std::shared_ptr<Tables> tables_;
  Records records_;
  std::uint32_t newest_ = 0;
  std::vector<PeerRecord*> by_slot_;  // null: not one of ours
  std::map<std::string, PeerRecord*, std::less<>> by_name_;
};

}  // namespace wg::control
