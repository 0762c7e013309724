#include "control/interface/remembered_peers.h"

#include <sodium.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "control/noise/primitives.h"

namespace wg::control {

namespace {

constexpr std::array<std::uint8_t, 8> kMagic{'L', 'G', 'P', 'E', 'E', 'R', 'S', 1};
constexpr std::size_t kAddressAt = 32, kLocalAt = 48, kHeardAt = 64, kPortAt = 72, kFlagsAt = 74;
constexpr std::size_t kRecord = 84;
constexpr std::uint16_t kRemoteV6 = 1, kLocalV6 = 2;
constexpr std::size_t kExpiredAtOnce = 4096;  // about a millisecond

void store(std::uint8_t* out, std::uint64_t value, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; ++i) out[i] = static_cast<std::uint8_t>(value >> (8 * i));
}
std::uint64_t load_integer(const std::uint8_t* in, std::size_t bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = bytes; i-- > 0;) value = value << 8 | in[i];
  return value;
}

void write_record(std::uint8_t* out, const RememberedPeer& peer) {
  std::memset(out, 0, kRecord);
  std::memcpy(out, peer.key.bytes.data(), peer.key.bytes.size());
  std::memcpy(out + kAddressAt, peer.remote.address.bytes.data(), 16);
  std::memcpy(out + kLocalAt, peer.local.bytes.data(), 16);
  store(out + kHeardAt, static_cast<std::uint64_t>(peer.heard_at.time_since_epoch().count()), 8);
  store(out + kPortAt, number_of(peer.remote.port), 2);
  const int flags = (peer.remote.address.v6 ? kRemoteV6 : 0) | (peer.local.v6 ? kLocalV6 : 0);
  store(out + kFlagsAt, static_cast<std::uint64_t>(flags), 2);
}

RememberedPeer read_record(const std::uint8_t* in) {
  RememberedPeer peer;
  std::memcpy(peer.key.bytes.data(), in, peer.key.bytes.size());
  std::memcpy(peer.remote.address.bytes.data(), in + kAddressAt, 16);
  std::memcpy(peer.local.bytes.data(), in + kLocalAt, 16);
  peer.heard_at = WallTime(std::chrono::nanoseconds(load_integer(in + kHeardAt, 8)));
  peer.remote.port = dataplane::UdpPort{static_cast<std::uint16_t>(load_integer(in + kPortAt, 2))};
  const std::uint64_t flags = load_integer(in + kFlagsAt, 2);
  peer.remote.address.v6 = (flags & kRemoteV6) != 0;
  peer.local.v6 = (flags & kLocalV6) != 0;
  return peer;
}

bool fresh(const RememberedPeer& peer, const noise::Now& now) {
  return peer.heard_at <= now.wall && peer.heard_at >= now.wall - RememberedPeers::kFreshFor;
}

}  // namespace

std::vector<std::uint8_t> encode(std::span<const RememberedPeer> peers) {
  std::vector<std::uint8_t> out(kMagic.size() + peers.size() * kRecord);
  std::copy(kMagic.begin(), kMagic.end(), out.begin());
  std::uint8_t* at = out.data() + kMagic.size();
  for (const RememberedPeer& peer : peers) {
    write_record(at, peer);
    at += kRecord;
  }
  const noise::Hash checksum = noise::hash(out);
  out.insert(out.end(), checksum.begin(), checksum.end());
  return out;
}

std::optional<std::vector<RememberedPeer>> decode(std::span<const std::uint8_t> bytes) {
  constexpr std::size_t kFixed = kMagic.size() + sizeof(noise::Hash);
  if (bytes.size() < kFixed || (bytes.size() - kFixed) % kRecord != 0) return std::nullopt;
  const auto body = bytes.first(bytes.size() - sizeof(noise::Hash));
  const auto checksum = bytes.last(sizeof(noise::Hash));
  if (!std::equal(kMagic.begin(), kMagic.end(), body.begin())) return std::nullopt;
  const noise::Hash wanted = noise::hash(body);
  if (!std::equal(wanted.begin(), wanted.end(), checksum.begin())) return std::nullopt;
  std::vector<RememberedPeer> peers;
  peers.reserve((body.size() - kMagic.size()) / kRecord);
  for (std::size_t at = kMagic.size(); at < body.size(); at += kRecord)
    peers.push_back(read_record(body.data() + at));
  return peers;
}

RememberedPeers::EndpointHash::EndpointHash() : secret() {
  noise::SystemRandom().fill(secret);
}

std::size_t RememberedPeers::EndpointHash::operator()(const noise::Endpoint& endpoint) const noexcept {
  std::array<std::uint8_t, 18> text{};
  std::copy(endpoint.address.bytes.begin(), endpoint.address.bytes.end(), text.begin());
  store(text.data() + 16, number_of(endpoint.port), 2);
  std::uint64_t out = 0;
  static_assert(crypto_shorthash_BYTES == sizeof out && crypto_shorthash_KEYBYTES == sizeof secret);
  crypto_shorthash(reinterpret_cast<std::uint8_t*>(&out), text.data(), text.size(), secret.data());
  return out;
}

void RememberedPeers::load(std::vector<RememberedPeer> peers, const noise::Now& now) {
  old_at_ = now.boot + kFreshFor;
  for (const RememberedPeer& peer : peers) {
    if (peer.remote.known() && fresh(peer, now)) peers_[peer.key] = peer;
  }
}

std::optional<RememberedPeer> RememberedPeers::claim(const config::Key& key, std::uint32_t slot,
                                                     const noise::Now& now) {
  const auto at = peers_.find(key);
  if (at == peers_.end() || !fresh(at->second, now)) return std::nullopt;
  slots_[at->second.remote] = slot;
  return at->second;
}

std::optional<std::uint32_t> RememberedPeers::slot_at(const noise::Endpoint& remote) const {
  const auto at = slots_.find(remote);
  return at == slots_.end() ? std::nullopt : std::optional(at->second);
}

void RememberedPeers::forget(const config::Key& key) {
  const auto at = peers_.find(key);
  if (at == peers_.end()) return;
  slots_.erase(at->second.remote);
  peers_.erase(at);
}

void RememberedPeers::expire(const noise::Now& now) {
  if (now.boot < old_at_) return;
  for (std::size_t i = 0; i < kExpiredAtOnce && !peers_.empty(); ++i) {
    slots_.erase(peers_.begin()->second.remote);
    peers_.erase(peers_.begin());
  }
}

std::vector<RememberedPeer> RememberedPeers::list(const noise::Now& now) const {
  std::vector<RememberedPeer> out;
  out.reserve(peers_.size());
  for (const auto& [key, peer] : peers_) {
    if (fresh(peer, now)) out.push_back(peer);
  }
  return out;
}

}  // namespace wg::control
