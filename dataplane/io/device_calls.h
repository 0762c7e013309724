// The requests to DPDK about one Ethernet device, as few as a port needs. Tests put a device
// of their own in its place: what real ones refuse, and what they claim without doing it, differs from driver
// to driver.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "dataplane/packet/headers.h"

namespace wg::dataplane {

// Since the device was started, as its driver counts.
struct DeviceCounts {
  std::uint64_t rx_packets = 0, rx_bytes = 0, rx_missed = 0, rx_errors = 0, rx_no_buffer = 0, tx_packets = 0,
                tx_bytes = 0, tx_errors = 0;
};

struct DeviceSigns {
  bool link_up = false;
  std::uint32_t speed_mbps = 0;  // 0: unknown
  MacAddress mac{};
  DeviceCounts counts;
  bool asks_for_reset = false;  // since the last look: the driver's own events
  bool removed = false;
  // As the workers count, whatever the device says: frames given to its queues, and taken from them.
  std::uint64_t handed = 0, taken = 0;
};

// Control thread only. A result is 0, or a negative errno value.
class DeviceCalls {
 public:
  virtual ~DeviceCalls() = default;
  virtual int set_promiscuous(bool wanted) = 0;
  [[nodiscard]] virtual bool promiscuous() = 0;
  virtual int set_all_multicast(bool wanted) = 0;
  [[nodiscard]] virtual bool all_multicast() = 0;
  virtual int set_groups(const std::vector<MacAddress>& groups) = 0;
  virtual int set_vlan(std::uint16_t id, bool wanted) = 0;
  virtual int set_mac(const MacAddress& mac) = 0;
  [[nodiscard]] virtual MacAddress mac() = 0;
  [[nodiscard]] virtual DeviceSigns look() = 0;
};

// A configured ethdev. Its driver's events are received until the object goes; close the device after that.
std::unique_ptr<DeviceCalls> calls_of_ethdev(std::uint16_t ethdev);

}  // namespace wg::dataplane
