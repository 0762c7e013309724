#include "control/api/wg_protocol.h"

#include <sodium.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <limits>

namespace wg::control {
namespace {

constexpr std::size_t kHexKey = 2 * config::kKeyBytes;

// Parses decimal digits only: no sign, no space, no 0x. Leading zeros are allowed.
template <typename Number>
std::optional<Number> decimal(std::string_view text) {
  Number value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 10);
  const bool digits = !text.empty() && text.front() >= '0' && text.front() <= '9';
  if (!digits || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<config::SecretKey> hex_secret(std::string_view text) {
  if (text.size() != kHexKey) return std::nullopt;  // this protocol has no base64
  return config::parse_secret_key(text);
}

std::optional<config::Key> hex_key(std::string_view text) {
  if (text.size() != kHexKey) return std::nullopt;
  return config::parse_key(text);
}

// Parses IP:port, [IP6]:port or [IP6%zone]:port. Unlike an endpoint of the configuration it is never a host
// name, and port 0 is allowed.
std::optional<config::Endpoint> literal_endpoint(std::string_view text) {
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const auto port = decimal<std::uint16_t>(text.substr(colon + 1));
  auto host = text.substr(0, colon);
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  config::Endpoint endpoint;
  if (bracketed) host = host.substr(1, host.size() - 2);
  if (const auto percent = host.find('%'); bracketed && percent != std::string_view::npos) {
    endpoint.zone = std::string(host.substr(percent + 1));
    if (!config::is_interface_name(endpoint.zone)) return std::nullopt;
    host = host.substr(0, percent);
  }
  const auto address = config::parse_address(host);
  if (!port || !address || address->is_v4() == bracketed) return std::nullopt;
  endpoint.host = *address;
  endpoint.port = UdpPort{*port};
  return endpoint;
}

void append_hex(std::string& out, std::span<const std::uint8_t> bytes) {
  char text[kHexKey + 1];
  sodium_bin2hex(text, sizeof text, bytes.data(), bytes.size());
  out.append(text, 2 * bytes.size());
  sodium_memzero(text, sizeof text);
}

void append_number(std::string& out, std::string_view key, std::uint64_t value) {
  char digits[20];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  out.append(key).append(digits, end).push_back('\n');
}

void append_handshake(std::string& out, const std::optional<WallTime>& at) {
  using namespace std::chrono;
  const auto since = at ? duration_cast<nanoseconds>(at->time_since_epoch()) : 0ns;
  append_number(out, "last_handshake_time_sec=", static_cast<std::uint64_t>(since / 1s));
  append_number(out, "last_handshake_time_nsec=", static_cast<std::uint64_t>((since % 1s).count()));
}

void append_header(std::string& out, const WgDevice& device) {
  if (device.private_key && !device.private_key->is_zero()) {
    out += "private_key=";
    append_hex(out, clamped(*device.private_key).bytes());
    out += '\n';
  }
  if (device.own_public_key) {
    out += "own_public_key=";
    append_hex(out, device.own_public_key->bytes);
    out += '\n';
  }
  if (device.listen_port != kAnyPort) append_number(out, "listen_port=", number_of(device.listen_port));
  if (device.fwmark != 0) append_number(out, "fwmark=", device.fwmark);
}

// The order is that of wireguard-go. Tools that read line by line rely on public_key as the first line.
void append_peer(std::string& out, const WgPeer& peer) {
  out += "public_key=";
  append_hex(out, peer.public_key.bytes);
  out += "\npreshared_key=";
  append_hex(out, peer.preshared_key.bytes());
  out += "\nprotocol_version=1\n";
  if (peer.endpoint) out.append("endpoint=").append(config::to_string(*peer.endpoint)).push_back('\n');
  append_handshake(out, peer.last_handshake);
  append_number(out, "tx_bytes=", peer.tx_bytes);
  append_number(out, "rx_bytes=", peer.rx_bytes);
  append_number(out, "persistent_keepalive_interval=", static_cast<std::uint64_t>(peer.keepalive.count()));
}

// The value is not cited: it may be a key.
Refusal bad_value(std::string_view key) {
  return {EINVAL, "the key `" + std::string(key) + "` is unknown here, or its value is not allowed"};
}

// `member` is empty when its value was refused.
template <class T>
Expected<> stored(const std::optional<T>& member, std::string_view key) {
  if (!member) return bad_value(key);
  return {};
}

Expected<> allowed_ip(WgPeerSet& peer, std::string_view value) {
  const bool remove = value.starts_with('-');
  const auto prefix = config::parse_prefix(remove ? value.substr(1) : value);
  if (!prefix) return bad_value("allowed_ip");
  peer.allowed_ips.push_back(
      {remove ? AllowedIpChange::Verb::kRemove : AllowedIpChange::Verb::kAdd, *prefix});
  return {};
}

}  // namespace

config::SecretKey clamped(const config::SecretKey& key) {
  std::array<std::uint8_t, config::kKeyBytes> bytes;
  std::copy(key.bytes().begin(), key.bytes().end(), bytes.begin());
  bytes[0] &= 248;
  bytes[31] = static_cast<std::uint8_t>((bytes[31] & 127) | 64);
  config::SecretKey result{bytes};
  sodium_memzero(bytes.data(), bytes.size());
  return result;
}

// ---------------------------------------------------------------- one set

Expected<> WgSetReader::line(std::string_view line) {
  const auto equals = line.find('=');
  if (equals == std::string_view::npos) return Refusal{EPROTO, "a line without `=`"};
  const auto key = line.substr(0, equals);
  const auto value = line.substr(equals + 1);
  if (key == "public_key") return start_peer(value);
  return in_peer_ ? peer_line(key, value) : device_line(key, value);
}

Expected<> WgSetReader::start_peer(std::string_view value) {
  const auto key = hex_key(value);
  if (!key) return bad_value("public_key");
  in_peer_ = true;
  removed_ = false;
  set_.peers.emplace_back().public_key = *key;
  return {};
}

Expected<> WgSetReader::device_line(std::string_view key, std::string_view value) {
  if (key == "private_key") return stored(set_.private_key = hex_secret(value), key);
  if (key == "listen_port") {
    const auto port = decimal<std::uint16_t>(value);
    if (port) set_.listen_port = UdpPort{*port};
    return stored(port, key);
  }
  if (key == "fwmark") return stored(set_.fwmark = decimal<std::uint32_t>(value), key);
  if (key != "replace_peers" || value != "true") return bad_value(key);
  set_.replace_peers = true;
  return {};
}

Expected<> WgSetReader::peer_line(std::string_view key, std::string_view value) {
  WgPeerSet ignored;  // keys after remove=true must still be valid
  WgPeerSet& peer = removed_ ? ignored : set_.peers.back();
  if (key == "preshared_key") return stored(peer.preshared_key = hex_secret(value), key);
  if (key == "endpoint") return stored(peer.endpoint = literal_endpoint(value), key);
  if (key == "persistent_keepalive_interval") {
    const auto seconds = decimal<std::uint16_t>(value);
    if (seconds) peer.keepalive = std::chrono::seconds(*seconds);
    return stored(seconds, key);
  }
  if (key == "allowed_ip") return allowed_ip(peer, value);
  if (key == "protocol_version" && value == "1") return {};
  if (value != "true") return bad_value(key);
  if (key == "update_only") {
    peer.update_only = true;
  } else if (key == "replace_allowed_ips") {
    peer.allowed_ips.push_back({AllowedIpChange::Verb::kClear, {}});
  } else if (key == "remove") {
    const auto public_key = peer.public_key;
    peer = WgPeerSet{};
    peer.public_key = public_key;
    peer.remove = removed_ = true;
  } else {
    return bad_value(key);
  }
  return {};
}

// ---------------------------------------------------------------- the stream

WgRequestReader::~WgRequestReader() {
  wipe_partial();
}

WgSet WgRequestReader::take_set() {
  WgSet taken = set_.take();
  set_ = WgSetReader{};
  return taken;
}

void WgRequestReader::wipe_partial() {
  config::wipe(partial_);
  partial_.clear();
}

WgRequestReader::Kind WgRequestReader::refuse(Kind kind, Refusal refusal, State next) {
  refusal_ = std::move(refusal);
  state_ = next;
  set_ = WgSetReader{};
  return kind;
}

WgRequestReader::Kind WgRequestReader::operation(std::string_view line) {
  set_bytes_ = 0;
  if (line == "get=1") {
    state_ = State::kGetEnd;
  } else if (line == "set=1") {
    state_ = State::kSet;
  } else {
    return refuse(Kind::kClose, {0, {}}, State::kClosed);
  }
  return Kind::kNeedMore;
}

WgRequestReader::Kind WgRequestReader::set_line(std::string_view line) {
  if (line.empty()) {
    state_ = State::kOperation;
    return Kind::kSet;
  }
  set_bytes_ += line.size() + 1;
  if (set_bytes_ > kWgSetMax) return refuse(Kind::kFatal, {EIO, "the set is too large"}, State::kClosed);
  Expected<> read = set_.line(line);
  return read ? Kind::kNeedMore : refuse(Kind::kRefused, std::move(read.error()), State::kDiscard);
}

WgRequestReader::Kind WgRequestReader::line(std::string_view line) {
  switch (state_) {
    case State::kOperation:
      return operation(line);
    case State::kGetEnd:
      if (!line.empty())
        return refuse(Kind::kFatal, {EINVAL, "a get with more than its first line"}, State::kClosed);
      state_ = State::kOperation;
      return Kind::kGet;
    case State::kSet:
      return set_line(line);
    case State::kDiscard:
      if (line.empty()) state_ = State::kOperation;
      return Kind::kNeedMore;
    case State::kClosed:
      break;
  }
  return Kind::kClose;
}

WgRequestReader::Kind WgRequestReader::feed(std::string_view& bytes) {
  while (!bytes.empty()) {
    if (state_ == State::kClosed) return Kind::kClose;
    const auto newline = bytes.find('\n');
    const auto piece = bytes.substr(0, newline);
    if (partial_.size() + piece.size() > kWgLineMax)
      return refuse(state_ == State::kSet ? Kind::kFatal : Kind::kClose, {EIO, "a line is too long"},
                    State::kClosed);
    bytes.remove_prefix(newline == std::string_view::npos ? bytes.size() : newline + 1);
    if (newline == std::string_view::npos || !partial_.empty()) {
      partial_.reserve(kWgLineMax);  // never reallocates afterwards, so no copy of a key stays in memory
      partial_ += piece;
    }
    if (newline == std::string_view::npos) return Kind::kNeedMore;
    const Kind kind = line(partial_.empty() ? piece : std::string_view(partial_));
    if (!partial_.empty()) wipe_partial();
    if (kind != Kind::kNeedMore) return kind;
  }
  return Kind::kNeedMore;
}

WgRequestReader::Kind WgRequestReader::finish() {
  if (state_ != State::kSet) return Kind::kClose;
  const Kind last = partial_.empty() ? Kind::kNeedMore : set_line(partial_);
  wipe_partial();
  state_ = State::kClosed;
  return last == Kind::kNeedMore ? Kind::kSet : last;
}

// ---------------------------------------------------------------- answers

WgGetWriter::WgGetWriter(WgDevice device, More more) : device_(std::move(device)), more_(std::move(more)) {}

// False: there is no room for the rest of the portion.
bool WgGetWriter::write_peers(std::string& out, std::size_t target) {
  while (next_peer_ < device_.peers.size()) {
    const WgPeer& peer = device_.peers[next_peer_];
    if (!peer_begun_) append_peer(out, peer);
    peer_begun_ = true;
    while (next_prefix_ < peer.allowed_ips.size()) {
      if (out.size() >= target) return false;
      out.append("allowed_ip=").append(config::to_string(peer.allowed_ips[next_prefix_++])).push_back('\n');
    }
    ++next_peer_;
    next_prefix_ = 0;
    peer_begun_ = false;
    if (out.size() >= target) return false;
  }
  return true;
}

bool WgGetWriter::write(std::string& out, std::size_t target) {
  if (!header_written_) append_header(out, device_);
  header_written_ = true;
  if (!write_peers(out, target)) return true;
  if (more_) {
    device_.peers.clear();
    next_peer_ = 0;
    const Expected<bool> more = more_(device_.peers);
    if (more && !*more) more_ = {};
    if (more) return true;
    out += errno_answer(more.error().code);
    return false;
  }
  out += errno_answer(0);
  return false;
}

std::string errno_answer(int wire_value) {
  return "errno=" + std::to_string(wire_value) + "\n\n";
}

}  // namespace wg::control
