// Announces to the hosts of a link that an IP address is at a MAC address, so that they do not go on sending
// to where it was before: a gratuitous ARP request (RFC 5227), or an unsolicited neighbour advertisement (RFC
// 4861, 7.2.6). Linux itself does so only for some of the changes, and only when configured to.
#pragma once

#include <cstdint>
#include <vector>

#include "control/kernel/types.h"
#include "dataplane/base/expected.h"

namespace wg::control {

struct Announcement {
  std::uint32_t ifindex = 0;
  MacAddress mac{};
  IpAddress address;
  bool is_router = false;  // IPv6: this machine forwards
};

// As an Ethernet frame, untagged.
[[nodiscard]] std::vector<std::uint8_t> frame_of(const Announcement& announcement);

class Announcer {
 public:
  // Without CAP_NET_RAW announcements fail.
  Announcer();
  ~Announcer();
  Announcer(const Announcer&) = delete;
  Announcer& operator=(const Announcer&) = delete;

  Expected<> announce(const Announcement& announcement);

 private:
  int fd_ = -1;    // a packet socket that receives nothing
  int error_ = 0;  // why there is none
};

}  // namespace wg::control
