// ICMP errors that routers and hosts on the way to peers have sent for our outer packets, for `explain peer`.
// Nothing is decided by it, because any host can forge ICMP.
//
// Read once a second, so that a flood costs no more; bounded in number. Control thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "control/kernel/icmp_errors.h"
#include "dataplane/base/clocks.h"

namespace wg::control {

class PathErrors {
 public:
  static constexpr std::size_t kMost = 256, kMostPerSecond = 64;

  struct Entry {
    IcmpError error;  // the newest one of its kind
    std::uint64_t count = 0;
    BootTime last = kNever;
  };

  // `listens`: is this an own address and a listen port of an interface?
  void every_second(BootTime now, const std::function<bool(const Endpoint& local)>& listens);
  void note(const IcmpError& error, BootTime now);
  // About packets from that port to the endpoint, in no order.
  [[nodiscard]] std::vector<Entry> about(const Endpoint& remote, UdpPort local) const;
  [[nodiscard]] std::size_t size() const { return entries_.size(); }

 private:
  IcmpErrors source_;
  std::vector<Entry> entries_;
};

}  // namespace wg::control
