// Tells from what a device shows whether it still does what it was asked for. Not every driver reports that
// its device was reset from outside (by the physical function, by a hypervisor): such a device keeps its link
// and receives nothing any more. Pure; control thread only.
#pragma once

#include <optional>
#include <string>

#include "dataplane/io/device_calls.h"

namespace wg::dataplane {

class DeviceWatch {
 public:
  explicit DeviceWatch(bool is_virtual_function) : is_virtual_function_(is_virtual_function) {}

  // Several times a second. A sentence's end when the device must be restarted: "the link went and came
  // back".
  [[nodiscard]] std::optional<std::string> judge(const DeviceSigns& signs);
  // After the device was started: what follows is compared with what is seen first.
  void start_over();

  // Counted since the port was opened, up to `now`: resets and jumps of the device's counters are left out.
  [[nodiscard]] DeviceCounts counts(const DeviceCounts& now) const;
  [[nodiscard]] const DeviceSigns& last() const { return last_; }

 private:
  [[nodiscard]] bool add_counts(const DeviceCounts& now);

  bool is_virtual_function_;
  // Since the device was started:
  unsigned looks_ = 0;
  bool link_was_there_ = false;
  bool link_was_lost_ = false;
  DeviceSigns last_;
  DeviceCounts total_;
};

}  // namespace wg::dataplane
