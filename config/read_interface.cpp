// Reads the WireGuard interfaces, and the peers they keep in files of their own.
#include <glob.h>

#include <algorithm>
#include <iterator>
#include <set>

#include "config/read_file.h"
#include "config/reader.h"

namespace wg::config {
namespace {

constexpr std::size_t kMaxPeerFiles = 100'000;
constexpr std::size_t kMaxTotalBytes = 4 * kMaxFileBytes;

void read_listen_port(const Value& value, Interface& interface) {
  if (const auto port = read_number(value, 0, 65535, "0 (any free port) to 65535"))
    interface.listen_port = UdpPort{static_cast<std::uint16_t>(*port)};
}

void read_fwmark(const Value& value, Interface& interface) {
  constexpr std::string_view kAllowed = "off, or a 32-bit number such as 51820 or 0xca6c";
  const auto text = value.scalar(kAllowed);
  if (!text) return;
  if (*text == "off") {
    interface.fwmark = 0;
    return;
  }
  if (const auto mark = parse_mark(*text))
    interface.fwmark = *mark;
  else
    value.refuse(*text, "is not a firewall mark", kAllowed);
}

void read_table(const Value& value, Interface& interface) {
  if (value.node().text == "main") return interface.table.reset();
  if (const auto table =
          read_number(value, 1, 0xffffffff, "main, or the number of a routing table (1 to 4294967295)"))
    interface.table = static_cast<std::uint32_t>(*table);
}

void read_peer_file(const Value& value, const std::string& filename, Interface& interface) {
  ReadContext& context = value.source().context;
  const auto index = static_cast<std::uint32_t>(context.gateway.sources.files.size());
  context.gateway.sources.files.push_back(filename);
  ReadLimits limits;
  limits.settle = context.options.settle;
  Expected<FileText> file = context.options.read(filename, limits);
  if (!file) {
    context.problems.push_back({filename, {index, 0, 0}, {}, file.error().text});
    return;
  }
  context.bytes_read += file->text.size();
  const YamlTree tree = YamlTree::read(file->text, index, filename, context.problems);
  wipe(file->text);
  if (tree.empty()) return;
  const Source source{context, tree, index};
  const Path* interface_path = value.path().parent->parent;
  const Value root(source, tree.root(), {interface_path, "peers"});
  if (root.node().kind == NodeKind::kMap) {
    static constexpr Field<std::vector<Peer>> kFields[] = {{"peers", read_peers, true}};
    const Value map(source, tree.root(), *interface_path);
    read_map(map, kFields, "a list of peers", interface.peers);
  } else {
    read_peers(root, interface.peers);
  }
}

// The files a pattern names, in order of name. A pattern without wildcards names exactly one file.
std::vector<std::string> expand(const Value& value, const std::string& pattern) {
  glob_t found{};
  std::vector<std::string> files;
  const int status = ::glob(pattern.c_str(), GLOB_ERR, nullptr, &found);
  if (status == 0) files.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  ::globfree(&found);
  if (status == GLOB_NOMATCH && pattern.find_first_of("*?[") == std::string::npos) files.push_back(pattern);
  if (status == GLOB_ABORTED || status == GLOB_NOSPACE)
    value.complain(
        quoted(pattern) +
        " is in a directory that is absent or closed to us; allowed: a pattern in a readable directory");
  return files;
}

void read_peer_files(const Value& value, Interface& interface) {
  std::set<std::string> seen;
  for (const Value& element : value.elements("a list of file patterns such as [\"peers.d/*.yaml\"]")) {
    const auto pattern = read_string(element, "a file pattern such as peers.d/*.yaml");
    if (!pattern) continue;
    interface.peer_files.push_back(*pattern);
    if (!element.source().context.options.open_files) continue;
    for (const auto& file : expand(element, relative_to_file(element.source().filename(), *pattern))) {
      if (!seen.insert(file).second) continue;
      if (seen.size() > kMaxPeerFiles || element.source().context.bytes_read > kMaxTotalBytes)
        return element.complain("names too many files; allowed: 100000 files, 256 MB in all");
      read_peer_file(element, file, interface);
    }
  }
}

// Peers of the file itself stand before those of peer_files, whichever key is written first.
void read_own_peers(const Value& value, std::vector<Peer>& peers) {
  std::vector<Peer> from_files = std::exchange(peers, {});
  read_peers(value, peers);
  std::move(from_files.begin(), from_files.end(), std::back_inserter(peers));
}

void read_private_key_file(const Value& value, Interface& interface) {
  if (interface.where.of("private_key").known())
    value.complain("is given beside private_key; allowed: one of the two");
  read_secret_file(value, interface.private_key, interface.private_key_file);
}

void read_private_key(const Value& value, Interface& interface) {
  if (interface.where.of("private_key_file").known())
    value.complain("is given beside private_key_file; allowed: one of the two");
  read_secret(value, interface.private_key);
}

}  // namespace

void read_mtu(const Value& value, std::optional<std::uint16_t>& out) {
  if (value.node().text == "auto") return out.reset();
  if (const auto mtu = read_number(value, kLeastMtu, kGreatestMtu, "auto, or 576 to 9520 bytes"))
    out = static_cast<std::uint16_t>(*mtu);
}

void read_interface(const Value& value, Interface& interface) {
  static constexpr Field<Interface> kFields[] = {
      {"private_key", read_private_key},
      {"private_key_file", read_private_key_file},
      {"listen_port", read_listen_port},
      {"fwmark", read_fwmark},
      {"addresses", [](const Value& v, Interface& i) { read_addresses(v, i.addresses, i.where.addresses); }},
      {"mtu", [](const Value& v, Interface& i) { read_mtu(v, i.mtu); }},
      {"routes", [](const Value& v, Interface& i) { read_by<kChoice<Routes>>(v, i.routes); }},
      {"table", read_table},
      {"peers", [](const Value& v, Interface& i) { read_own_peers(v, i.peers); }},
      {"peer_files", read_peer_files},
      {"enabled", [](const Value& v, Interface& i) { read_by<kFlag>(v, i.enabled); }},
  };
  if (!read_map(value, kFields, "a map with at least private_key_file", interface)) return;
  const Marks& where = interface.where;
  if (!where.of("private_key").known() && !where.of("private_key_file").known())
    value.complain("the required key 'private_key_file' (or 'private_key') is missing");
}

}  // namespace wg::config
