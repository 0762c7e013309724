#include "control/gateway/saved_state.h"

namespace wg::control {

SavedState::SavedState(const Objects& objects, const std::string& directory, EventLoop& loop,
                       Background& background, const Logger& log)
    : objects_(objects),
      timestamps_(directory, background, log),
      peers_(objects, directory, loop, background, log) {}

void SavedState::use_directory(const std::string& directory) {
  timestamps_.use_directory(directory);
  peers_.use_directory(directory);
}

void SavedState::load(Interface& interface) {
  timestamps_.load(interface.name(), interface.engine());
  peers_.load(interface);
}

void SavedState::forget(Interface& interface) {
  timestamps_.save_last(interface.name(), interface.engine());
  peers_.remove(interface.name());
}

void SavedState::save() {
  for (const auto& [name, interface] : objects_.interfaces()) timestamps_.save(name, interface->engine());
  timestamps_.retry_removed();
  peers_.save();
}

void SavedState::save_and_wait() {
  for (const auto& [name, interface] : objects_.interfaces())
    timestamps_.save_and_wait(name, interface->engine());
  timestamps_.finish();
  peers_.save_and_wait();
}

}  // namespace wg::control
