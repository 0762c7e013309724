// The frames that a device lets through: requests what Linux listens to, checks the result by what can be
// seen afterwards, and says in words what the device does not do. Control thread only.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "dataplane/io/device_calls.h"

namespace wg::dataplane {

struct WantedFrames {
  MacAddress mac{};              // the TAP's
  bool other_addresses = false;  // also frames to unicast addresses of other hosts: promiscuous
  bool all_groups = false;
  std::vector<MacAddress> groups;  // multicast addresses, sorted
  std::set<std::uint16_t> vlans;   // ids of the VLAN devices on the TAP
  bool operator==(const WantedFrames&) const = default;
};

struct DeviceKind {
  // A virtual function: the physical one decides what reaches it, and may refuse without saying so.
  bool is_virtual_function = false;
  bool filters_vlans = false;  // only configured tags pass
};

class DeviceFilter {
 public:
  // `device` has been opened just now: the address that it has is its own.
  DeviceFilter(DeviceCalls& device, DeviceKind kind) : device_(device), kind_(kind), own_(device.mac()) {}

  void apply(const WantedFrames& wanted);
  [[nodiscard]] const WantedFrames& wanted() const { return wanted_; }
  // One sentence for each wish that the device does not fulfil, without the port's name.
  [[nodiscard]] const std::vector<std::string>& concerns() const { return concerns_; }

 private:
  void apply_mac();
  void apply_groups();
  void apply_vlans();
  [[nodiscard]] bool want_promiscuous(bool wanted, int& error);

  DeviceCalls& device_;
  DeviceKind kind_;
  MacAddress own_;
  WantedFrames wanted_;
  std::set<std::uint16_t> passed_vlans_;
  bool list_refused_ = false;  // of multicast addresses: all of them are asked for from then on
  bool applied_ = false;
  std::vector<std::string> concerns_;
};

}  // namespace wg::dataplane
