// Reads the peers of an interface.
#include <algorithm>

#include "config/reader.h"

namespace wg::config {
namespace {

void read_name(const Value& value, Peer& peer) {
  peer.where.name = value.at();
  auto name = read_string(value, kAllowedPeerNames);
  if (!name) return;
  if (is_peer_name(*name))
    peer.name = std::move(*name);
  else
    value.refuse(*name, "is not a name", kAllowedPeerNames);
}

void read_public_key(const Value& value, Peer& peer) {
  constexpr std::string_view kAllowed = "32 bytes as 44 characters of base64 or 64 hexadecimal digits";
  peer.where.public_key = value.at();
  const auto text = value.scalar(kAllowed);
  if (!text) return;
  const auto key = parse_key(*text);
  // The text is not repeated: it may be a private key in the wrong place.
  if (!key)
    value.complain("is not a key (" + std::to_string(text->size()) +
                   " characters); allowed: " + std::string(kAllowed));
  else if (key->is_zero())
    value.complain("is the all-zero key, which no peer can have; allowed: " + std::string(kAllowed));
  else
    peer.public_key = *key;
}

void read_peer_endpoint(const Value& value, Peer& peer) {
  constexpr std::string_view kAllowed = "name:port, 192.0.2.1:51820 or [2001:db8::1]:51820";
  peer.where.endpoint = value.at();
  const auto text = value.scalar(kAllowed);
  if (!text) return;
  auto endpoint = parse_endpoint(*text);
  if (!endpoint)
    value.refuse(*text, endpoint.error().text, kAllowed);
  else if (endpoint->address() != nullptr && !is_unicast(*endpoint->address()))
    value.refuse(*text, "is not the address of one host", kAllowed);
  else
    peer.endpoint = *std::move(endpoint);
}

// nullopt: it was refused.
std::optional<Prefix> read_allowed_ip(const Value& value) {
  constexpr std::string_view kAllowed = "address/length such as 10.0.0.2/32 or fd00::/64";
  const auto text = value.scalar(kAllowed);
  if (!text) return std::nullopt;
  const auto prefix = parse_prefix(*text);
  if (!prefix) {
    const bool bare = text->find('/') == std::string_view::npos;
    value.refuse(*text, bare ? "has no prefix length" : "is not a prefix", kAllowed);
    return std::nullopt;
  }
  // Host bits that would be masked away are a slip more often than a habit; wg(8) masks in silence.
  const auto exact = parse_interface_address(*text);
  if (exact->address == prefix->address) return prefix;
  value.refuse(*text, "has bits beyond its length", to_string(*prefix));
  return std::nullopt;
}

void read_allowed_ips(const Value& value, Peer& peer) {
  constexpr std::string_view kAllowed = "a list of prefixes such as [10.0.0.2/32, \"fd00::2/128\"]";
  // A refused one keeps its place, so that validate() reports the others' places in the file.
  for (const Value& element : value.elements(kAllowed)) {
    peer.allowed_ips.push_back(read_allowed_ip(element).value_or(kRefusedPrefix));
    peer.where.allowed_ips.push_back(element.at());
  }
}

void read_keepalive(const Value& value, Peer& peer) {
  constexpr std::string_view kAllowed = "off, or 1 to 65535 seconds such as 25 or 25s";
  const auto text = value.scalar(kAllowed);
  if (!text) return;
  if (*text == "off") {
    peer.persistent_keepalive = std::chrono::seconds(0);
    return;
  }
  auto digits = *text;
  if (digits.ends_with('s')) digits.remove_suffix(1);
  const auto seconds = parse_number(digits);
  if (!seconds || *seconds > 65535)
    value.refuse(*text, seconds ? "is out of range" : "is not a number of seconds", kAllowed);
  else
    peer.persistent_keepalive = std::chrono::seconds(*seconds);
}

void read_preshared_key(const Value& value, Peer& peer) {
  if (peer.where.preshared_key.known())
    value.complain("is given beside preshared_key_file; allowed: one of the two");
  peer.where.preshared_key = value.at();
  read_secret(value, peer.preshared_key);
}

void read_preshared_key_file(const Value& value, Peer& peer) {
  if (peer.where.preshared_key.known())
    value.complain("is given beside preshared_key; allowed: one of the two");
  peer.where.preshared_key = value.at();
  read_secret_file(value, peer.preshared_key, peer.preshared_key_file);
}

void read_peer(const Value& value, Peer& peer) {
  static constexpr Field<Peer> kFields[] = {
      {"name", read_name},
      {"public_key", read_public_key, true},
      {"preshared_key", read_preshared_key},
      {"preshared_key_file", read_preshared_key_file},
      {"endpoint", read_peer_endpoint},
      {"allowed_ips", read_allowed_ips},
      {"persistent_keepalive", read_keepalive},
      {"mtu",
       [](const Value& v, Peer& p) {
         p.where.mtu = v.at();
         read_mtu(v, p.mtu);
       }},
      {"enabled", [](const Value& v, Peer& p) { read_by<kFlag>(v, p.enabled); }},
  };
  peer.where.self = value.at();
  read_map(value, kFields, "a map with at least public_key", peer);
}

}  // namespace

void read_peers(const Value& value, std::vector<Peer>& peers) {
  const auto elements = value.elements("a list of peers");
  peers.reserve(peers.size() + elements.size());
  for (const Value& element : elements) read_peer(element, peers.emplace_back());
}

}  // namespace wg::config
