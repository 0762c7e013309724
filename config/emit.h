// Values back to YAML text, in the style of the commented examples: block maps, one key per line,
// defaults left out.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/types.h"

namespace wg::config {

// One entry of `interfaces:`, indented by `indent` spaces, every line ended. A secret whose *_file is
// set is written as that path, otherwise in clear: then the text is secret and the file must be 0600.
[[nodiscard]] std::string emit_interface(std::string_view name, const Interface& interface,
                                         std::size_t indent = 2);

// One element of `peers:` in block style; `indent` is the column of its dash.
[[nodiscard]] std::string emit_peer(const Peer& peer, std::size_t indent);
// The same in flow style, `{ name: …, … }`, on one line without the dash.
[[nodiscard]] std::string emit_peer_flow(const Peer& peer);

// Keys and their values as text, in the order they are written; defaults left out. Lists
// (addresses, allowed_ips, peer_files) are in flow style; `peers` is not among them.
using Entry = std::pair<std::string_view, std::string>;
[[nodiscard]] std::vector<Entry> entries_of(const Peer& peer);
[[nodiscard]] std::vector<Entry> entries_of(const Interface& interface);

// `[10.0.0.0/8, "fd00::/8"]`
[[nodiscard]] std::string emit_prefixes(const std::vector<Prefix>& prefixes);
// A scalar, double-quoted where YAML would read it as something else.
[[nodiscard]] std::string emit_scalar(std::string_view text);
// "off" or the number of seconds.
[[nodiscard]] std::string emit_keepalive(std::chrono::seconds interval);

}  // namespace wg::config
