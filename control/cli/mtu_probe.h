// Which sizes get through to a peer and back, by echo requests to an address behind it
// (docs/decisions/0052-what-can-be-known-of-a-path.md).
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>

#include "config/address.h"
#include "dataplane/base/expected.h"

namespace wg::control::cli {

struct MtuProbe {
  bool answers = false;     // small ones are answered
  std::size_t largest = 0;  // IP bytes that were answered
  std::size_t wanted = 0;   // IP bytes that should be
  [[nodiscard]] bool good() const { return answers && largest == wanted; }
};

// Searches from `least` to `wanted` bytes. `answered`: is an echo request of that many IP bytes answered?
MtuProbe probe_mtu(std::size_t least, std::size_t wanted, const std::function<bool(std::size_t)>& answered);

// Sends echo requests that no router may fragment.
class EchoSocket {
 public:
  // Refused: what the system says; CAP_NET_RAW is needed.
  static Expected<EchoSocket> open(const config::Address& to);
  ~EchoSocket();
  EchoSocket(EchoSocket&& other) noexcept;
  EchoSocket& operator=(EchoSocket&&) = delete;

  // One request of `size` IP bytes, and its answer within `patience`. False also when it cannot be sent.
  bool answered(std::size_t size, std::chrono::milliseconds patience);
  // The size of a request without data.
  [[nodiscard]] std::size_t least() const;

 private:
  EchoSocket(int fd, bool v6) : fd_(fd), v6_(v6) {}
  [[nodiscard]] bool is_answer(const std::uint8_t* bytes, std::size_t length) const;

  int fd_ = -1;
  bool v6_ = false;
  std::uint16_t sequence_ = 0;
};

}  // namespace wg::control::cli
