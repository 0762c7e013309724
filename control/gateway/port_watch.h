// Keeps Linux and the wires of the ports in agreement. Linux learns of a carrier that is lost or back, and
// of a wire with a smaller MTU; a port listens to the MAC addresses that Linux listens to; and the hosts on a
// wire learn where an address is now.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <utility>

#include "control/gateway/objects.h"
#include "control/kernel/announcer.h"
#include "control/log.h"
#include "control/services.h"

namespace wg::control {

class PortWatch {
 public:
  PortWatch(Services& services, const Objects& objects, Logger log);

  // After a change of links or addresses, or of the ports themselves.
  void follow();
  // A card does not announce its carrier, nor does Linux its filters and IPv6 MTUs. Repeats announcements
  // once: the first may be lost while a wire comes up.
  void every_second();

 private:
  void follow_carriers();
  void follow_filters();
  void follow_ipv6_mtus();
  void follow_mtus();
  void keep_macs();
  void announce_addresses();
  void announce(std::uint32_t ifindex, const MacAddress& mac, const IpAddress& address);

  struct AddressLess {
    bool operator()(const std::pair<std::uint32_t, IpAddress>& a,
                    const std::pair<std::uint32_t, IpAddress>& b) const {
      return a.first != b.first ? a.first < b.first : compare(a.second, b.second) < 0;
    }
  };
  struct Announced {
    MacAddress mac{};
    bool repeat = true;  // once more
  };

  Services& services_;
  const Objects& objects_;
  Logger log_;
  Announcer announcer_;
  std::map<std::pair<std::uint32_t, IpAddress>, Announced, AddressLess> announced_;  // by link and address
  std::size_t next_interface_ = 0;                                                   // whose IPv6 MTU is read
};

}  // namespace wg::control
