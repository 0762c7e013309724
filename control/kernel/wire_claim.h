// A claim on a network interface that carries a port's frames: two gateways on one wire would each answer for
// the other's packets. It is advisory, holds within the network namespace, and ends with the process.
#pragma once

#include <cstdint>
#include <string>

#include "dataplane/base/expected.h"

namespace wg::control {

class WireClaim {
 public:
  // `name` is for the refusal, which names the process that has the claim (EBUSY).
  static Expected<WireClaim> take(std::uint32_t ifindex, const std::string& name);

  WireClaim() = default;
  ~WireClaim();
  WireClaim(WireClaim&& other) noexcept;
  WireClaim& operator=(WireClaim&& other) noexcept;
  WireClaim(const WireClaim&) = delete;
  WireClaim& operator=(const WireClaim&) = delete;

 private:
  explicit WireClaim(int fd) : fd_(fd) {}

  int fd_ = -1;  // a listening socket of an abstract name, which no other process can bind
};

}  // namespace wg::control
