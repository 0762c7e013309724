#include "config/paths.h"

#include "config/scalars.h"

namespace wg::config {

std::vector<std::string> files_of(const std::string& path, const Gateway& gateway) {
  std::vector<std::string> files{path};
  files.insert(files.end(), gateway.sources.files.begin(), gateway.sources.files.end());
  const auto add = [&files](const std::string& beside, const std::string& file) {
    if (!file.empty()) files.push_back(relative_to_file(beside, file));
  };
  for (const auto& [name, interface] : gateway.interfaces) {
    add(path, interface.private_key_file);
    for (const std::string& pattern : interface.peer_files) add(path, pattern);
    for (const Peer& peer : interface.peers) {
      const std::string file = file_of(gateway, peer.where.self);
      add(file.empty() ? path : file, peer.preshared_key_file);
    }
  }
  return files;
}

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
