#include "dataplane/io/device_watch.h"

#include <array>

namespace wg::dataplane {

namespace {

// More packets than any device moves between two looks. Drivers that extend counters of 32 bits jump by 2^32
// when the device is reset.
constexpr std::uint64_t kImpossible = std::uint64_t{1} << 31;

// So many looks may a link take to come up after a start: two seconds. One that is missing for longer waits
// for the physical function, and comes with its reset.
constexpr unsigned kLooksToSettle = 8;

// So long may a device take for the frames that it was given, and receive nothing meanwhile: 1.75 seconds.
constexpr unsigned kLooksToSend = 7;

// Some devices may not count what stays within the card's switch. To restart such a one is of no use, so it
// is done once in ten seconds at most.
constexpr unsigned kLooksOfPatience = 40;

constexpr std::array kCounters{&DeviceCounts::rx_packets,   &DeviceCounts::rx_bytes,
                               &DeviceCounts::rx_missed,    &DeviceCounts::rx_errors,
                               &DeviceCounts::rx_no_buffer, &DeviceCounts::tx_packets,
                               &DeviceCounts::tx_bytes,     &DeviceCounts::tx_errors};

bool plausible(const DeviceCounts& before, const DeviceCounts& now) {
  for (const auto counter : kCounters) {
    if (now.*counter < before.*counter) return false;
  }
  return now.rx_packets - before.rx_packets < kImpossible && now.tx_packets - before.tx_packets < kImpossible;
}

}  // namespace

DeviceCounts DeviceWatch::counts(const DeviceCounts& now) const {
  DeviceCounts out = total_;
  if (looks_ == 0 || !plausible(last_.counts, now)) return out;
  for (const auto counter : kCounters) out.*counter += now.*counter - last_.counts.*counter;
  return out;
}

// A device that is known to send and to receive, and does neither although it was given frames.
bool DeviceWatch::stands_still(const DeviceSigns& signs) {
  if (patience_ != 0) --patience_;
  if (looks_ == 0) return false;
  const bool sends = signs.counts.tx_packets != last_.counts.tx_packets;
  const bool receives = signs.taken != last_.taken;
  has_sent_ = has_sent_ || sends;
  has_received_ = has_received_ || receives;
  if (sends || receives || !signs.link_up || !has_sent_ || !has_received_) {
    still_looks_ = offers_ = 0;
    return false;
  }
  if (signs.handed != last_.handed) ++offers_;
  if (offers_ != 0) ++still_looks_;
  // A single frame that vanishes, say one that the card drops as forged, is no sign.
  if (still_looks_ < kLooksToSend || offers_ < 2 || patience_ != 0) return false;
  patience_ = kLooksOfPatience;
  return true;
}

std::optional<std::string> DeviceWatch::judge(const DeviceSigns& signs) {
  std::optional<std::string> fault;
  const auto find = [&fault](bool found, const char* text) {
    if (found && !fault) fault = text;
  };
  find(signs.asks_for_reset, "its driver asks for a reset");
  if (looks_ != 0) {
    find(!plausible(last_.counts, signs.counts), "its counters were reset");
    find(signs.mac != last_.mac, "its MAC address was changed");
  }
  find(stands_still(signs), "it neither sends nor receives any more");
  // A card's own link comes and goes with the cable.
  find(is_virtual_function_ && link_was_lost_ && signs.link_up, "its link went and came back");
  total_ = counts(signs.counts);
  link_was_there_ = link_was_there_ || signs.link_up;
  link_was_lost_ = !signs.link_up && (link_was_there_ || looks_ >= kLooksToSettle);
  last_ = signs;
  ++looks_;
  return fault;
}

void DeviceWatch::start_over() {
  looks_ = 0;
  link_was_there_ = link_was_lost_ = false;
  still_looks_ = offers_ = 0;
}

}  // namespace wg::dataplane
