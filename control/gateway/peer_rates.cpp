#include "control/gateway/peer_rates.h"

#include <algorithm>
#include <utility>

namespace wg::control {
namespace {

std::uint32_t low(std::uint64_t count) {
  return static_cast<std::uint32_t>(count);
}

// A counter that went back belongs to a peer that was created again.
template <typename Count>
float per_second(Count now, Count before, double seconds) {
  return now < before ? 0 : static_cast<float>(static_cast<double>(now - before) / seconds);
}

}  // namespace

void PeerRates::ask(Clock::time_point now) {
  asked_at_ = now;
  if (timer_ == 0) next();
}

// One slice, and when the next one is due.
void PeerRates::next() {
  const auto now = Clock::now();
  if (now - asked_at_ > kPatience) return end();
  const bool more = read_slice(now);
  const auto wait =
      more ? Clock::duration(kPause) : std::max<Clock::duration>(sweep_began_ + kPeriod - now, kPause);
  timer_ = loop_.after(wait, [this] { next(); });
}

void PeerRates::end() {
  timer_ = 0;
  sweeps_ = 0;
  next_slot_ = 0;
  samples_ = {};
  last_ = now_ = {};
}

// The table gives out its lowest free slot first, so a sweep has met every slot in use when it has met as
// many peers as there are.
bool PeerRates::read_slice(Clock::time_point now) {
  const std::size_t count = count_();
  if (next_slot_ == 0) {
    sweep_began_ = now;
    now_ = {};
    // Memory is touched slice by slice; some more is reserved, so that a new peer does not move all of it.
    if (samples_.capacity() < count) samples_.reserve(count + count / 4 + kSlice);
  }
  const std::size_t last = std::min(next_slot_ + kSlice, table_.capacity());
  while (next_slot_ < last && now_.peers < count) read(next_slot_++, now);
  if (next_slot_ == last && last < table_.capacity() && now_.peers < count) return true;
  samples_.resize(std::min<std::size_t>(samples_.size(), next_slot_));
  next_slot_ = 0;
  last_ = now_;
  ++sweeps_;
  return false;
}

PeerRates::Sample PeerRates::sample_of(const dataplane::Peer& peer, Clock::time_point at) {
  const dataplane::Traffic in = peer.received(), out = peer.sent();
  std::uint32_t drops = 0;
#define X(reason) drops += dataplane::Peer::relaxed(peer.drop_##reason);
  LINEGATE_PEER_DROPS(X)
#undef X
  Sample sample;
  sample.rx_bytes = in.bytes;
  sample.tx_bytes = out.bytes;
  sample.at = at;
  sample.generation = dataplane::Peer::relaxed(peer.generation);
  sample.rx_packets = low(in.packets);
  sample.tx_packets = low(out.packets);
  sample.drops = drops;
  return sample;
}

void PeerRates::set_rates(Sample& now, const Sample& before) {
  if (before.at == Clock::time_point{} || before.generation != now.generation || now.at <= before.at) return;
  const double seconds = std::chrono::duration<double>(now.at - before.at).count();
  now.rx_bytes_rate = per_second(now.rx_bytes, before.rx_bytes, seconds);
  now.tx_bytes_rate = per_second(now.tx_bytes, before.tx_bytes, seconds);
  // These wrap: the difference is right all the same.
  now.rx_packets_rate = per_second(now.rx_packets - before.rx_packets, 0u, seconds);
  now.tx_packets_rate = per_second(now.tx_packets - before.tx_packets, 0u, seconds);
  now.drops_rate = per_second(now.drops - before.drops, 0u, seconds);
}

void PeerRates::read(std::uint32_t slot, Clock::time_point at) {
  if (slot >= samples_.size()) samples_.resize(slot + 1);
  Sample now = sample_of(table_.at(slot), at);
  if (now.generation == 0) {  // a free slot
    samples_[slot] = {};
    return;
  }
  set_rates(now, samples_[slot]);
  samples_[slot] = now;
  const Rate rate = rate_of(now);
  ++now_.peers;
  now_.moving += rate.rx_packets + rate.tx_packets > 0;
  now_.sum.rx_bytes += rate.rx_bytes;
  now_.sum.tx_bytes += rate.tx_bytes;
  now_.sum.rx_packets += rate.rx_packets;
  now_.sum.tx_packets += rate.tx_packets;
  now_.sum.drops += rate.drops;
}

Rate PeerRates::rate_of(const Sample& sample) {
  return {sample.rx_bytes_rate, sample.tx_bytes_rate, sample.rx_packets_rate, sample.tx_packets_rate,
          sample.drops_rate};
}

std::vector<PeerRates::Found> PeerRates::busiest(RateOrder order, std::size_t most) const {
  std::vector<std::pair<float, std::uint32_t>> found;  // the rate below zero, so that ties are in slot order
  found.reserve(samples_.size());
  for (std::uint32_t slot = 0; slot < samples_.size(); ++slot) {
    const Sample& sample = samples_[slot];
    if (sample.at != Clock::time_point{} &&
        dataplane::Peer::relaxed(table_.at(slot).generation) == sample.generation)
      found.emplace_back(-static_cast<float>(rate_of(sample).by(order)), slot);
  }
  const auto end = found.begin() + static_cast<std::ptrdiff_t>(std::min(most, found.size()));
  if (end != found.end()) std::nth_element(found.begin(), end, found.end());
  std::sort(found.begin(), end);
  std::vector<Found> out;
  for (auto at = found.begin(); at != end; ++at) out.push_back({at->second, rate_of(samples_[at->second])});
  return out;
}

}  // namespace wg::control
