#include "control/gateway/running_config.h"

#include <algorithm>
#include <iterator>
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

// At `places`, ascending. Those before the first stay where they are.
void remove_at(const std::vector<std::size_t>& places, std::vector<config::Peer>& peers) {
  if (places.empty()) return;
  auto next = places.begin();
  std::size_t to = *next;
  for (std::size_t from = to; from < peers.size(); ++from) {
    if (next != places.end() && from == *next) {
      ++next;
    } else {
      peers[to++] = std::move(peers[from]);
    }
  }
  peers.erase(peers.begin() + static_cast<std::ptrdiff_t>(to), peers.end());
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
  const std::vector<config::Peer>& peers = at->second.peers;
  for (std::size_t place = 0; place < peers.size(); ++place) {
    if (!concerned(peers[place])) continue;
    part.value.peers.push_back(peers[place]);
    part.places.push_back(place);
  }
  return part;
}

void RunningConfig::replace_part(const std::string& name, InterfacePart part) {
  const auto found = value_.interfaces.find(name);
  if (found == value_.interfaces.end()) return;
  std::vector<config::Peer> peers = std::move(found->second.peers);
  std::vector<config::Peer> edited = std::exchange(part.value.peers, {});
  std::vector<std::size_t> removed;
  for (const std::size_t place : part.places) {
    const auto now = std::find_if(edited.begin(), edited.end(), [&](const config::Peer& peer) {
      return peer.public_key == peers[place].public_key;
    });
    if (now == edited.end()) {
      removed.push_back(place);
    } else {
      peers[place] = std::move(*now);
      edited.erase(now);
    }
  }
  remove_at(removed, peers);
  std::move(edited.begin(), edited.end(), std::back_inserter(peers));
  found->second = std::move(part.value);
  found->second.peers = std::move(peers);
  ++generation_;
}

}  // namespace wg::control
