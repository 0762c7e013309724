#include "control/gateway/running_config.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>
#include <utility>

namespace wg::control {

namespace {

// Everything but the peers, at their cost of two moves.
config::Interface copy_without_peers(config::Interface& whole) {
  struct PutBack {
    config::Interface& whole;
    std::vector<config::Peer> peers;
    ~PutBack() { whole.peers = std::move(peers); }
  } aside{whole, std::exchange(whole.peers, {})};
  return whole;
}

}  // namespace

RunningConfig::RunningConfig(std::string path, const config::Gateway& at_start) : path_(std::move(path)) {
  value_.dpdk = at_start.dpdk;
  value_.control = at_start.control;
  value_.sources = at_start.sources;
}

const config::Interface* RunningConfig::find_interface(const std::string& name) const {
  const auto at = value_.interfaces.find(name);
  return at == value_.interfaces.end() ? nullptr : &at->second;
}

config::Gateway RunningConfig::replace(config::Gateway next) {
  ++generation_;
  return std::exchange(value_, std::move(next));
}

InterfacePart RunningConfig::copy_part(const std::string& name,
                                       const std::function<bool(const config::Peer&)>& concerned) {
  const auto at = value_.interfaces.find(name);
  if (at == value_.interfaces.end()) return {};
  InterfacePart part{copy_without_peers(at->second), {}};
  for (const config::Peer& peer : at->second.peers) {
    if (!concerned(peer)) continue;
    part.value.peers.push_back(peer);
    part.seen.push_back(peer.public_key);
  }
  return part;
}

void RunningConfig::replace_interface_part(const std::string& name, const std::vector<config::Key>& seen,
                                           config::Interface part) {
  const auto found = value_.interfaces.find(name);
  if (found == value_.interfaces.end()) return;
  config::Interface& whole = found->second;
  std::unordered_map<config::Key, config::Peer*> now;
  for (config::Peer& peer : part.peers) now[peer.public_key] = &peer;
  const std::unordered_set<config::Key> involved(seen.begin(), seen.end());
  std::vector<config::Peer> peers = std::move(whole.peers);
  std::erase_if(peers, [&](config::Peer& peer) {
    if (!involved.contains(peer.public_key)) return false;
    const auto at = now.find(peer.public_key);
    if (at == now.end()) return true;
    peer = std::move(*at->second);
    now.erase(at);
    return false;
  });
  for (config::Peer& peer : part.peers) {
    const auto at = now.find(peer.public_key);
    if (at != now.end() && at->second == &peer) peers.push_back(std::move(peer));
  }
  whole = std::move(part);
  whole.peers = std::move(peers);
  ++generation_;
}

}  // namespace wg::control
