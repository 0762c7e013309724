// How a complaint names a value that is already part of a Gateway: the key path and the file.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "config/types.h"

namespace wg::config {

// Every file the configuration of `path` depends on: itself, peer files and the patterns that name them, key
// files. Paths as they are opened.
[[nodiscard]] std::vector<std::string> files_of(const std::string& path, const Gateway& gateway);

// The name of the file a position is in; empty for a value that was not read from a file.
[[nodiscard]] std::string file_of(const Gateway& gateway, const Position& at);

// The i-th of positions parallel to values, or `otherwise` for a value without one.
[[nodiscard]] Position nth(const std::vector<Position>& positions, std::size_t i, const Position& otherwise);

// Key paths of an interface's peers. Peers are counted per file, as the operator sees them.
class PeerPaths {
 public:
  PeerPaths(std::string interface_name, const Interface& interface);
  // interfaces.wg0.peers[3]
  [[nodiscard]] std::string of(std::size_t peer) const;

 private:
  std::string interface_name_;
  std::vector<std::uint32_t> index_in_file_;
};

}  // namespace wg::config
