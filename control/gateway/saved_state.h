// State that outlives the daemon, in the state directory: timestamps of handshakes (timestamps.h) and
// endpoints of peers (peer_files.h).
//
// Control thread only. The background thread writes the files.
#pragma once

#include <string>

#include "control/gateway/objects.h"
#include "control/gateway/peer_files.h"
#include "control/gateway/timestamps.h"
#include "control/log.h"
#include "control/loop/background.h"
#include "control/loop/event_loop.h"

namespace wg::control {

class SavedState {
 public:
  SavedState(const Objects& objects, const std::string& directory, EventLoop& loop, Background& background,
             const Logger& log);

  // Later writes go there.
  void use_directory(const std::string& directory);
  // Once, before the interface has peers, and so before it sends anything.
  void load(Interface& interface);
  // Before the interface is removed.
  void forget(Interface& interface);
  // Every few seconds: begins to write what is new.
  void save();
  // At the stop, once the background thread has ended: the same in this thread.
  void save_and_wait();

 private:
  const Objects& objects_;
  Timestamps timestamps_;
  PeerFiles peers_;
};

}  // namespace wg::control
