#include "dataplane/stage/crypto.h"

#include <array>
#include <span>

namespace wg::dataplane {

namespace {

void finish_udp_checksums(const UdpChecksums& checksums) {
  if (checksums.n == 0) return;
  std::array<std::uint16_t, kBurst> folded;
  checksum_burst(checksums.piece.data(), folded.data(), checksums.n);
  for (std::size_t i = 0; i < checksums.n; ++i) *checksums.field[i] = checksum_finish_udp_folded(folded[i]);
}

}  // namespace

void Crypto::open(DataBurst& burst) {
  static_cast<void>(core_.engine.open(*core_.scratch, std::span(burst.op.data(), burst.n)));
  core_.count_stage(Stage::open, burst.n);
}

void Crypto::seal(SendBurst& burst) {
  core_.engine.seal(*core_.scratch, std::span(burst.op.data(), burst.n));
  finish_udp_checksums(burst.checksums);
  core_.count_stage(Stage::seal, burst.n);
}

}  // namespace wg::dataplane
