#include "config/paths.h"

namespace wg::config {

std::string file_of(const Gateway& gateway, const Position& at) {
  if (!at.known() || at.file >= gateway.sources.files.size()) return {};
  return gateway.sources.files[at.file];
}

Position nth(const std::vector<Position>& positions, std::size_t i, const Position& otherwise) {
  return i < positions.size() ? positions[i] : otherwise;
}

PeerPaths::PeerPaths(std::string interface_name, const Interface& interface)
    : interface_name_(std::move(interface_name)) {
  index_in_file_.reserve(interface.peers.size());
  for (std::size_t i = 0; i < interface.peers.size(); ++i) {
    const bool same_file =
        i > 0 && interface.peers[i].where.self.file == interface.peers[i - 1].where.self.file;
    index_in_file_.push_back(same_file ? index_in_file_.back() + 1 : 0);
  }
}

std::string PeerPaths::of(std::size_t peer) const {
  return "interfaces." + interface_name_ + ".peers[" + std::to_string(index_in_file_[peer]) + "]";
}

}  // namespace wg::config
