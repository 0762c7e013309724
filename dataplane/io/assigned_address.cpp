#include "dataplane/io/assigned_address.h"

namespace wg::dataplane {

namespace {

constexpr int kOpenings = 6;
constexpr std::uint8_t kLocallyAdministered = 0x02;

}  // namespace

bool is_made_up(MacAddress mac, const MacAddress& known, const std::function<MacAddress()>& open_again) {
  for (int openings = 1; openings < kOpenings; ++openings) {
    if ((mac[0] & kLocallyAdministered) == 0 || mac == known) return false;
    const MacAddress before = mac;
    mac = open_again();
    if (mac == before) return false;
  }
  return true;
}

}  // namespace wg::dataplane
