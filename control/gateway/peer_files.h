// Endpoints of the peers that were heard of lately, on disk: one file per interface in the state directory,
// so that after the next start these peers get an initiation (control/interface/remembered_peers.h).
//
// Control thread only. A walk over the peers takes several rounds of the loop, the encoding and the file are
// the background thread's.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "control/gateway/objects.h"
#include "control/gateway/state_file.h"
#include "control/log.h"
#include "control/loop/background.h"
#include "control/loop/event_loop.h"

namespace wg::control {

class PeerFiles {
 public:
  PeerFiles(const Objects& objects, std::string directory, EventLoop& loop, Background& background,
            Logger log);

  // Later writes go there.
  void use_directory(std::string directory) { directory_ = std::move(directory); }

  // Once, before the interface has peers.
  void load(Interface& interface);
  // Begins to write what has changed, and drops what is too old to be used. The file of an interface that
  // shall not remember endpoints is removed.
  void save();
  // The interface is gone, or shall not remember endpoints: removes its file.
  void remove(const std::string& interface);
  // At the stop, once the background thread has ended: the same in this thread.
  void save_and_wait();

 private:
  struct Walk {
    std::size_t from = 0;
    std::vector<RememberedPeer> peers;
  };
  using Checksum = std::vector<std::uint8_t>;  // of the bytes that are on disk; empty: not known

  [[nodiscard]] std::string path_of(const std::string& interface) const;
  void step(const std::string& interface);
  // Does the work, in whatever thread calls it, and returns what went wrong.
  std::function<Expected<>()> writer_for(const std::string& interface, std::vector<RememberedPeer> peers);

  const Objects& objects_;
  std::string directory_;
  EventLoop& loop_;
  Background& background_;
  StateFileReports reports_;
  std::map<std::string, Walk> walks_;                         // by interface
  std::map<std::string, std::shared_ptr<Checksum>> on_disk_;  // by path. W: whoever writes
};

}  // namespace wg::control
