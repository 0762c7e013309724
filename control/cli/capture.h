// A capture of the running gateway, for `capture` and for Wireshark (`extcap`).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "control/cli/cli.h"

namespace wg::control::cli {

struct CaptureOptions {
  std::string peer, interface, port, filter;
  bool inner = false, outer = false, drops = false;  // none of them: inner and outer
  bool with_keys = false;                            // those of the peer's handshakes, for Wireshark
  bool both = false;                                 // as none of them
  std::vector<std::string> reasons;
  std::string file;  // "-": standard output
  std::uint64_t count = 0;
  std::uint32_t seconds = 0, snap = 0;
  std::uint32_t ring_mb = 4;    // of the gateway, per worker
  std::uint32_t before_mb = 0;  // not 0: keep so much here, and write it when a packet is dropped
  std::uint32_t after = 1;      // seconds to go on then
};

// Until the gateway or the reader ends it, or SIGINT and SIGTERM. Says on `err` how many packets there were.
void capture(const CaptureOptions& options, Invocation& invocation);

}  // namespace wg::control::cli
