// Requests about single packets: captures and traces. Only the control socket offers it, because
// packets of the inside are as secret as the keys that protect them outside.
//
// Contract: every method is called on the control thread, never blocks and never throws.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/base/expected.h"

namespace wg::control {

// An instruction of a filter of the Berkeley Packet Filter: code, jt, jf, k.
using FilterInstruction = std::array<std::uint32_t, 4>;

struct WatchRequest {
  // The control thread makes and wipes the workers' memory, so that it bounds how long that takes.
  static constexpr std::uint32_t kMostSnap = 65535, kMostRingMb = 64;

  bool trace = false;  // decisions in words, one line of JSON per packet; false: a pcapng file
  std::string filter;  // as the user wrote it, for the file; the two programs decide
  bool filtered = false;
  std::vector<FilterInstruction> ethernet, ip;  // empty while `filtered`: matches nothing
  std::string peer, interface, port;            // empty: all
  bool inner = true, outer = true;
  bool drops_only = false;
  bool with_keys = false;            // the secrets of the peer's handshakes too, for Wireshark
  std::vector<std::string> reasons;  // of drops; empty: all
  std::uint64_t count = 0;           // packets; 0: no limit
  std::uint32_t seconds = 0;         // 0: no limit
  std::uint32_t snap = kMostSnap;    // bytes of a packet at most
  std::uint32_t ring_mb = 4;         // per worker
};

// Where the text or the file goes. Called on the control thread.
struct WatchOutput {
  std::function<std::size_t()> room;  // bytes that may be written now
  std::function<void(std::string)> write;
  std::function<void()> end;  // nothing more comes
};

// Watching ends with its destruction.
class WatchSession {
 public:
  virtual ~WatchSession() = default;
  // Writes what is left and calls end().
  virtual void finish() = 0;
};

class WatchSource {
 public:
  virtual ~WatchSource() = default;
  // ENOENT: no such peer, interface or port. EINVAL: a bad filter or reason. EBUSY: too many at a time.
  // EPERM: keys, which this gateway does not give.
  virtual Expected<std::unique_ptr<WatchSession>> watch(const WatchRequest& request, WatchOutput output) = 0;
};

}  // namespace wg::control
