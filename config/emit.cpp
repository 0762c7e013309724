#include "config/emit.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "config/settings.h"

namespace wg::config {
namespace {

bool is_plain(std::string_view text) {
  const auto harmless = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("_./+=-").find(c) != std::string_view::npos;
  };
  const auto starts_well = [](char c) { return c != '-' && c != '=' && c != '.'; };
  const bool means_null = text == "null" || text == "Null" || text == "NULL";
  return !text.empty() && !means_null && starts_well(text.front()) &&
         std::all_of(text.begin(), text.end(), harmless);
}

std::string list(const std::vector<std::string>& items) {
  std::string text = "[";
  for (const auto& item : items) text += (text.size() == 1 ? "" : ", ") + item;
  return text + "]";
}

}  // namespace

std::vector<Entry> entries_of(const Peer& peer) {
  std::vector<Entry> entries;
  if (!peer.name.empty()) entries.emplace_back("name", emit_scalar(peer.name));
  entries.emplace_back("public_key", emit_scalar(to_string(peer.public_key)));
  if (!peer.preshared_key_file.empty())
    entries.emplace_back("preshared_key_file", emit_scalar(peer.preshared_key_file));
  else if (peer.preshared_key)
    entries.emplace_back("preshared_key", emit_scalar(reveal(*peer.preshared_key)));
  if (peer.endpoint) entries.emplace_back("endpoint", emit_scalar(to_string(*peer.endpoint)));
  if (!peer.allowed_ips.empty()) entries.emplace_back("allowed_ips", emit_prefixes(peer.allowed_ips));
  if (peer.persistent_keepalive.count() != 0)
    entries.emplace_back("persistent_keepalive", emit_keepalive(peer.persistent_keepalive));
  if (peer.mtu) entries.emplace_back("mtu", std::to_string(*peer.mtu));
  if (!peer.enabled) entries.emplace_back("enabled", "false");
  return entries;
}

std::vector<Entry> entries_of(const Interface& interface) {
  const Interface defaults;
  std::vector<Entry> entries;
  const auto add = [&](std::string_view key, const auto& value, const auto& otherwise, const auto& text) {
    if (value != otherwise) entries.emplace_back(key, text());
  };
  if (!interface.private_key_file.empty())
    entries.emplace_back("private_key_file", emit_scalar(interface.private_key_file));
  else if (interface.private_key)
    entries.emplace_back("private_key", emit_scalar(reveal(*interface.private_key)));
  std::vector<std::string> addresses, files;
  for (const auto& address : interface.addresses) addresses.push_back(emit_scalar(to_string(address)));
  for (const auto& file : interface.peer_files) files.push_back(emit_scalar(file));
  const Interface& i = interface;
  add("listen_port", i.listen_port, defaults.listen_port,
      [&] { return std::to_string(number_of(i.listen_port)); });
  add("fwmark", i.fwmark, defaults.fwmark, [&] { return std::to_string(i.fwmark); });
  add("addresses", i.addresses, defaults.addresses, [&] { return list(addresses); });
  add("mtu", i.mtu, defaults.mtu, [&] { return std::to_string(*i.mtu); });
  add("routes", i.routes, defaults.routes, [&] { return std::string(to_string(i.routes)); });
  add("table", i.table, defaults.table, [&] { return std::to_string(*i.table); });
  add("enabled", i.enabled, defaults.enabled, [&] { return std::string("false"); });
  for (const auto& row : settings_of<Interface>())
    if (!row.same(i, defaults)) entries.emplace_back(row.key, emit_scalar(row.text(i)));
  add("peer_files", i.peer_files, defaults.peer_files, [&] { return list(files); });
  return entries;
}

std::string emit_scalar(std::string_view text) {
  if (is_plain(text)) return std::string(text);
  std::string out = "\"";
  constexpr std::string_view kHex = "0123456789abcdef";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      out += "\\x";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
      continue;
    }
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

std::string emit_prefixes(const std::vector<Prefix>& prefixes) {
  std::vector<std::string> items;
  for (const Prefix& prefix : prefixes) items.push_back(emit_scalar(to_string(prefix)));
  return list(items);
}

std::string emit_keepalive(std::chrono::seconds interval) {
  return interval.count() == 0 ? "off" : std::to_string(interval.count());
}

std::string emit_peer(const Peer& peer, std::size_t indent) {
  std::string text;
  for (const auto& [key, value] : entries_of(peer))
    text += std::string(indent, ' ') + (text.empty() ? "- " : "  ") + std::string(key) + ": " + value + "\n";
  return text;
}

std::string emit_peer_flow(const Peer& peer) {
  std::string text = "{ ";
  for (const auto& [key, value] : entries_of(peer))
    text += (text.size() == 2 ? "" : ", ") + std::string(key) + ": " + value;
  return text + " }";
}

std::string emit_interface(std::string_view name, const Interface& interface, std::size_t indent) {
  const std::string inner(indent + 2, ' ');
  std::string text = std::string(indent, ' ') + emit_scalar(name) + ":\n";
  for (const auto& [key, value] : entries_of(interface))
    text += inner + std::string(key) + ": " + value + "\n";
  if (!interface.peers.empty()) text += inner + "peers:\n";
  for (const Peer& peer : interface.peers) text += emit_peer(peer, indent + 4);
  return text;
}

}  // namespace wg::config
