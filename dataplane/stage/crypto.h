// The burst AEAD with the UDP checksum behind the seal: what any worker may do for another
// (crypto_sharing.h). Touches the packets, and of the worker that runs it scratch and counters.
#pragma once

#include "dataplane/core/core.h"

namespace wg::dataplane {

class Crypto {
 public:
  explicit Crypto(Core& core) : core_(core) {}

  // Decrypts in place; op[i].authentic says which tags verified.
  void open(DataBurst& burst);
  // Encrypts in place; then the UDP checksums that no port computes.
  void seal(SendBurst& burst);

 private:
  Core& core_;
};

}  // namespace wg::dataplane
