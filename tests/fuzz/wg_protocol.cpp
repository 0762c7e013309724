// Bytes from a wg(8) socket: any fragmentation gives the same requests, what parses applies, and what is
// applied and shown again parses to the same device.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "control/api/wg_protocol.h"

namespace {

using wg::control::WgRequestReader;
using Kind = WgRequestReader::Kind;

wg::control::WgDevice device_of(const wg::config::Interface& interface) {
  wg::control::WgDevice device;
  device.private_key = interface.private_key;
  device.listen_port = interface.listen_port;
  device.fwmark = interface.fwmark;
  for (const auto& peer : interface.peers) {
    auto& shown = device.peers.emplace_back();
    shown.public_key = peer.public_key;
    if (peer.preshared_key) shown.preshared_key = *peer.preshared_key;
    shown.endpoint = peer.endpoint;
    shown.keepalive = peer.persistent_keepalive;
    shown.allowed_ips = peer.allowed_ips;
  }
  return device;
}

std::string shown(const wg::config::Interface& interface, std::size_t target) {
  wg::control::WgGetWriter writer(device_of(interface));
  std::string all, piece;
  for (bool more = true; more; piece.clear()) {
    more = writer.write(piece, target);
    if (piece.size() > target + wg::control::WgGetWriter::kOvershoot) std::abort();
    all += piece;
  }
  return all;
}

struct Played {
  std::string log;
  wg::config::Interface interface;
};

Played play(std::string_view bytes, std::size_t step) {
  Played played;
  WgRequestReader reader;
  bool open = true;
  const auto act = [&](Kind kind) {
    played.log += static_cast<char>('0' + static_cast<int>(kind));
    if (kind == Kind::kSet)
      static_cast<void>(
          wg::control::apply(reader.take_set(), played.interface, played.interface.listen_port));
    if (kind == Kind::kClose || kind == Kind::kFatal) open = false;
  };
  while (open && !bytes.empty()) {
    auto piece = bytes.substr(0, step);
    bytes.remove_prefix(piece.size());
    while (open && !piece.empty())
      if (const Kind kind = reader.feed(piece); kind != Kind::kNeedMore) act(kind);
  }
  if (open) act(reader.finish());
  return played;
}

// A get is a set but for the statistics, which a set does not know.
std::string as_set(const std::string& state) {
  std::string set = "set=1\nreplace_peers=true\n";
  for (std::size_t at = 0; at < state.size();) {
    const auto end = state.find('\n', at);
    const auto line = state.substr(at, end - at + 1);
    const bool statistic = line.starts_with("last_handshake") || line.starts_with("tx_bytes") ||
                           line.starts_with("rx_bytes") || line.starts_with("errno") || line == "\n";
    if (!statistic) set += line;
    at = end + 1;
  }
  return set + "\n";
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto whole = play(bytes, size + 1);
  const auto bytewise = play(bytes, 1);
  if (whole.log != bytewise.log || whole.interface != bytewise.interface) std::abort();
  const auto state = shown(whole.interface, 1);
  if (state != shown(whole.interface, 1 << 20)) std::abort();
  const auto replayed = play(as_set(state), 7);
  if (shown(replayed.interface, 1) != state) std::abort();
  return 0;
}
