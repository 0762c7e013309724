// Reads the whole of the kernel's routing state in steps: a dump of each kind of object, one after the other.
// A dump is produced as it is read, so between two steps nothing waits but one datagram.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "control/kernel/kernel_state.h"
#include "control/kernel/netlink_socket.h"

namespace wg::control {

class StateDump {
 public:
  // The state that is read will note its changes in `changes`, which outlives it. Throws std::system_error.
  explicit StateDump(ChangeLog& changes) : changes_(changes) {}

  [[nodiscard]] bool goes_on() const { return state_ != nullptr; }
  void begin();
  // Reads a datagram, at most 32 KiB or some hundred routes. The state when it is complete, else null.
  std::unique_ptr<KernelState> read_some();

 private:
  void next_part();
  void ask();

  ChangeLog& changes_;
  NetlinkSocket socket_;
  std::unique_ptr<KernelState> state_;  // null: none is being read
  std::size_t part_ = 0;
  int attempt_ = 0;
};

}  // namespace wg::control
