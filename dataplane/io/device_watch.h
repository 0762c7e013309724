// Tells from what a device shows whether it still does what it was asked for. Not every driver reports that
// its device was reset from outside (by the physical function, by a hypervisor, by hand): such a device keeps
// its link, and neither receives nor sends any more. Pure; control thread only.
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
  [[nodiscard]] bool stands_still(const DeviceSigns& signs);

  bool is_virtual_function_;
  // Since the device was started:
  unsigned looks_ = 0;
  bool link_was_there_ = false;
  bool link_was_lost_ = false;
  unsigned still_looks_ = 0, offers_ = 0;  // in a row without a frame, and those that offered some
  // Over all starts: it sent, as it counts, and received; looks until one that stands still is restarted
  // again.
  bool has_sent_ = false, has_received_ = false;
  unsigned patience_ = 0;
  DeviceSigns last_;
  DeviceCounts total_;
};

}  // namespace wg::dataplane
