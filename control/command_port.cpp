#include "control/command_port.h"

#include <utility>

namespace wg::control {

bool CommandPort::post(std::uint32_t key, dataplane::Command command, PacketPtr packet,
                       dataplane::DropReason when_full) const {
  dataplane::Worker& worker = worker_of(key);
  command.packet = packet.get();
  if (!worker.mailboxes().commands.post(command)) {
    drops_.add(when_full);
    return false;
  }
  static_cast<void>(packet.release());
  worker.doorbell().ring();
  return true;
}

bool CommandPort::has_room_for_unknown_hosts(std::uint32_t key) const {
  const auto& commands = worker_of(key).mailboxes().commands;
  return commands.size() < commands.capacity() / 2;
}

}  // namespace wg::control
