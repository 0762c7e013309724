// apply(): applies a set of the wg protocol to an interface as a value.
#include <algorithm>
#include <iterator>
#include <optional>
#include <unordered_map>
#include <unordered_set>

#include "control/api/wg_protocol.h"

namespace wg::control {
namespace {

using config::Interface;
using config::Key;
using config::Peer;
using config::Prefix;
using Verb = AllowedIpChange::Verb;

using KeySet = std::unordered_set<Key>;

struct PrefixHash {
  std::size_t operator()(const Prefix& prefix) const noexcept {
    std::size_t hash = 0xcbf29ce484222325ULL ^ prefix.length;
    for (const auto byte : prefix.address.bytes) hash = (hash ^ byte) * 0x100000001b3ULL;
    return hash;
  }
};

// Peers keep their slot during a set, and removed peers are swept at the end. A peer that the set removes and
// adds again takes its old slot, and with it its name and its place in the file.
class Application {
 public:
  Application(Interface& interface, UdpPort listening)
      : interface_(interface), listening_(listening), gone_(interface.peers.size(), false) {
    for (std::size_t i = 0; i < interface.peers.size(); ++i) {
      slots_.emplace(interface.peers[i].public_key, i);
      gone_[i] = !interface.peers[i].enabled;
    }
    disabled_ = gone_;
    of_file_ = prefixes_of_file();
  }

  config::PeerEffects run(const WgSet& set) {
    if (set.private_key) private_key(*set.private_key);
    if (set.listen_port && *set.listen_port != listening_) interface_.listen_port = *set.listen_port;
    if (set.fwmark) interface_.fwmark = *set.fwmark;
    if (interface_.private_key) own_key_ = config::public_key_of(*interface_.private_key);
    if (set.private_key && own_key_) remove(*own_key_);
    if (set.replace_peers) std::fill(gone_.begin(), gone_.end(), true);
    for (const auto& section : set.peers) peer(section);
    return finish();
  }

 private:
  void private_key(const config::SecretKey& key) {
    const bool none = key.is_zero();
    const bool same = none ? !interface_.private_key
                           : interface_.private_key && clamped(*interface_.private_key) == clamped(key);
    if (same) return;  // private_key_file stays
    interface_.private_key_file.clear();
    interface_.private_key.reset();
    if (!none) interface_.private_key = clamped(key);
  }

  std::optional<std::size_t> find(const Key& key) const {
    const auto found = slots_.find(key);
    if (found == slots_.end() || gone_[found->second]) return std::nullopt;
    return found->second;
  }

  void remove(const Key& key) {
    const auto slot = find(key);
    if (!slot) return;
    gone_[*slot] = true;
    release_prefixes(*slot);
    removed_.insert(key);
  }

  std::size_t create(const Key& key) {
    const auto [entry, fresh] = slots_.emplace(key, interface_.peers.size());
    if (fresh) {
      interface_.peers.emplace_back().public_key = key;
      gone_.push_back(false);
      disabled_.push_back(false);
      return entry->second;
    }
    Peer& peer = interface_.peers[entry->second];
    before_.emplace(entry->second, std::move(peer.preshared_key));
    peer.preshared_key.reset();
    peer.endpoint.reset();
    peer.allowed_ips.clear();
    peer.persistent_keepalive = {};
    peer.enabled = true;
    gone_[entry->second] = false;
    if (removed_.contains(key)) recreated_.insert(key);
    return entry->second;
  }

  void peer(const WgPeerSet& section) {
    if (section.public_key == own_key_) return;
    if (section.remove) return remove(section.public_key);
    auto slot = find(section.public_key);
    if (!slot && section.update_only) return;
    if (!slot) slot = create(section.public_key);
    Peer& peer = interface_.peers[*slot];
    if (section.preshared_key) preshared_key(peer, *section.preshared_key, before_.contains(*slot));
    if (section.endpoint) {
      peer.endpoint = section.endpoint;
      endpoint_explicit_.insert(section.public_key);
    }
    if (section.keepalive) peer.persistent_keepalive = *section.keepalive;
    for (const auto& change : section.allowed_ips) allowed_ip(*slot, change);
  }

  static void preshared_key(Peer& peer, const config::SecretKey& key, bool revived) {
    const auto wanted = key.is_zero() ? std::nullopt : std::optional(key);
    if (!revived && peer.preshared_key != wanted) peer.preshared_key_file.clear();
    peer.preshared_key = wanted;
  }

  // Previous holders are only marked and then filtered once at the end, so moving 100 000 prefixes stays
  // linear.
  void allowed_ip(std::size_t slot, const AllowedIpChange& change) {
    index_prefixes();
    auto& own = interface_.peers[slot].allowed_ips;
    if (change.verb == Verb::kClear) {
      for (const auto& prefix : own)
        if (holds(slot, prefix)) give_up(prefix);
      own.clear();
      return;
    }
    if (change.verb == Verb::kRemove) {
      if (!holds(slot, change.prefix)) return;
      give_up(change.prefix);
      lost_some_.insert(slot);
      return;
    }
    if (holds(slot, change.prefix)) return;
    if (const auto held = holder_.find(change.prefix); held != holder_.end()) lost_some_.insert(held->second);
    holder_[change.prefix] = slot;
    given_up_.erase(change.prefix);
    own.push_back(change.prefix);
  }

  // The set says that this peer, which stays, has it no more.
  void give_up(const Prefix& prefix) {
    holder_.erase(prefix);
    given_up_.insert(prefix);
  }

  bool holds(std::size_t slot, const Prefix& prefix) const {
    const auto held = holder_.find(prefix);
    return held != holder_.end() && held->second == slot;
  }

  void filter_losers() {
    for (const std::size_t slot : lost_some_) {
      std::unordered_set<Prefix, PrefixHash> seen;  // a prefix that was lost and regained is listed twice
      std::erase_if(interface_.peers[slot].allowed_ips, [&](const Prefix& prefix) {
        return !holds(slot, prefix) || !seen.insert(prefix).second;
      });
    }
  }

  void release_prefixes(std::size_t slot) {
    for (const auto& prefix : interface_.peers[slot].allowed_ips)
      if (holds(slot, prefix)) holder_.erase(prefix);
  }

  void index_prefixes() {
    if (indexed_) return;
    indexed_ = true;
    for (std::size_t i = 0; i < interface_.peers.size(); ++i)
      if (!gone_[i])
        for (const auto& prefix : interface_.peers[i].allowed_ips) holder_[prefix] = i;
  }

  // Prefixes of the peers that stand in a file and are enabled. A set never gives a peer another place.
  std::vector<Prefix> prefixes_of_file() const {
    std::vector<Prefix> prefixes;
    for (const Peer& peer : interface_.peers)
      if (peer.enabled && peer.where.self.known())
        prefixes.insert(prefixes.end(), peer.allowed_ips.begin(), peer.allowed_ips.end());
    std::sort(prefixes.begin(), prefixes.end());
    return prefixes;
  }

  // Prefixes that the file's peers lost when they were removed, or to other peers, stay unreachable
  // (Interface::kept); those that the set has taken from a peer by name do not.
  void keep_what_they_lost() {
    const std::vector<Prefix> now = prefixes_of_file();
    std::vector<Prefix> lost, kept;
    std::set_difference(of_file_.begin(), of_file_.end(), now.begin(), now.end(), std::back_inserter(lost));
    std::erase_if(lost, [this](const Prefix& prefix) { return given_up_.contains(prefix); });
    std::set_union(interface_.kept.begin(), interface_.kept.end(), lost.begin(), lost.end(),
                   std::back_inserter(kept));
    interface_.kept = std::move(kept);
  }

  config::PeerEffects finish() {
    filter_losers();
    for (const auto& [slot, preshared_key] : before_)
      if (interface_.peers[slot].preshared_key != preshared_key)
        interface_.peers[slot].preshared_key_file.clear();
    config::PeerEffects effects;
    std::size_t kept = 0;
    for (std::size_t i = 0; i < interface_.peers.size(); ++i) {
      Peer& peer = interface_.peers[i];
      // A peer that the file disables counts as absent: the set neither saw nor removed it.
      if (gone_[i] && !(disabled_[i] && !peer.enabled)) continue;
      if (recreated_.contains(peer.public_key)) effects.recreated.push_back(peer.public_key);
      if (endpoint_explicit_.contains(peer.public_key)) effects.endpoint_explicit.push_back(peer.public_key);
      if (kept != i) interface_.peers[kept] = std::move(peer);
      ++kept;
    }
    interface_.peers.resize(kept);
    keep_what_they_lost();
    return effects;
  }

  Interface& interface_;
  UdpPort listening_;
  std::vector<Prefix> of_file_;  // before the set
  std::unordered_set<Prefix, PrefixHash> given_up_;
  std::optional<Key> own_key_;
  std::unordered_map<Key, std::size_t> slots_;
  std::vector<bool> gone_;
  std::vector<bool> disabled_;  // disabled when the set began
  std::unordered_map<Prefix, std::size_t, PrefixHash> holder_;
  bool indexed_ = false;
  std::unordered_set<std::size_t> lost_some_;
  std::unordered_map<std::size_t, std::optional<config::SecretKey>>
      before_;  // preshared keys of reused slots
  KeySet removed_, recreated_, endpoint_explicit_;
};

}  // namespace

config::PeerEffects apply(const WgSet& set, Interface& interface, UdpPort listening) {
  return Application(interface, listening).run(set);
}

}  // namespace wg::control
