#include "config/import_wg_quick.h"

#include <algorithm>
#include <array>
#include <unordered_map>

#include "config/emit.h"
#include "config/read_file.h"
#include "config/scalars.h"
#include "config/yaml_tree.h"

namespace wg::config {
namespace {

std::string_view trim(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r";
  const auto first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

template <class Take>
void each_item(std::string_view list, Take take) {
  while (!list.empty()) {
    const auto comma = list.find(',');
    if (const auto item = trim(list.substr(0, comma)); !item.empty()) take(item);
    list = comma == std::string_view::npos ? std::string_view{} : list.substr(comma + 1);
  }
}

std::optional<InterfaceAddress> address_or_host(std::string_view text) {
  if (text.find('/') != std::string_view::npos) return parse_interface_address(text);
  const auto address = parse_address(text);
  if (!address) return std::nullopt;
  return InterfaceAddress{*address, static_cast<std::uint8_t>(address->bits())};
}

class Importer {
 public:
  Importer(const std::string& filename, const ImportOptions& options)
      : filename_(filename), options_(options) {}

  Expected<Imported, Problems> run(std::string_view text) {
    while (!text.empty()) {
      const auto end = text.find('\n');
      ++line_;
      read_line(text.substr(0, end));
      text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
    }
    finish();
    sort_by_position(problems_);
    sort_by_position(notes_);
    if (problems_.empty()) return Imported{std::move(interface_), std::move(notes_)};
    problems_.insert(problems_.end(), notes_.begin(), notes_.end());
    return std::move(problems_);
  }

 private:
  enum class Section { kNone, kInterface, kPeer };
  struct Known {
    std::string_view key;
    void (Importer::*read)(std::string_view value);
  };

  void complain(std::string message) {
    problems_.push_back({filename_, {0, line_, 1}, {}, std::move(message)});
  }
  void note(std::string message) { note_at(line_, std::move(message)); }
  void note_at(std::uint32_t line, std::string message) {
    notes_.push_back({filename_, {0, line, 1}, {}, std::move(message), Severity::kWarning});
  }
  void refuse(std::string_view value, std::string_view fault) {
    complain(key_ + ": " + quoted(value) + " " + std::string(fault));
  }

  // ---------------------------------------------------------------- lines

  void read_line(std::string_view line) {
    const auto hash = line.find('#');
    if (hash != std::string_view::npos) read_comment(trim(line.substr(hash + 1)));
    line = trim(line.substr(0, hash));
    if (line.empty()) return;
    if (line.front() == '[') return open_section(line);
    const auto equals = line.find('=');
    if (equals == std::string_view::npos) return complain("is neither a [section] nor a 'key = value'");
    key_ = std::string(trim(line.substr(0, equals)));
    read_key(trim(line.substr(equals + 1)));
  }

  void open_section(std::string_view line) {
    const auto name = lower(line);
    if (name == "[interface]") {
      section_ = Section::kInterface;
    } else if (name == "[peer]") {
      section_ = Section::kPeer;
      peers_.emplace_back();
      peers_.back().where.self = {0, line_, 1};
    } else {
      section_ = Section::kNone;
      complain(quoted(line) + " is not a section; allowed: [Interface], [Peer]");
    }
  }

  void read_comment(std::string_view comment) {
    const auto equals = comment.find('=');
    if (section_ != Section::kPeer || equals == std::string_view::npos) return;
    const auto word = lower(trim(comment.substr(0, equals)));
    const auto name = trim(comment.substr(equals + 1));
    const bool printable_name = std::all_of(
        name.begin(), name.end(), [](char c) { return static_cast<unsigned char>(c) >= 0x20 && c != 0x7f; });
    if ((word == "name" || word == "friendly_name") && !name.empty() && name.size() <= 64 && printable_name &&
        is_yaml_text(name))
      peers_.back().name = name;
  }

  void read_key(std::string_view value) {
    static constexpr Known kInterfaceKeys[] = {{"privatekey", &Importer::read_private_key},
                                               {"listenport", &Importer::read_listen_port},
                                               {"fwmark", &Importer::read_fwmark},
                                               {"address", &Importer::read_address},
                                               {"mtu", &Importer::read_mtu},
                                               {"table", &Importer::read_table},
                                               {"dns", &Importer::note_dns},
                                               {"preup", &Importer::note_hook},
                                               {"postup", &Importer::note_hook},
                                               {"predown", &Importer::note_hook},
                                               {"postdown", &Importer::note_hook},
                                               {"saveconfig", &Importer::note_save_config}};
    static constexpr Known kPeerKeys[] = {{"publickey", &Importer::read_public_key},
                                          {"presharedkey", &Importer::read_preshared_key},
                                          {"endpoint", &Importer::read_endpoint},
                                          {"allowedips", &Importer::read_allowed_ips},
                                          {"persistentkeepalive", &Importer::read_keepalive}};
    if (section_ == Section::kInterface) return dispatch(kInterfaceKeys, value);
    if (section_ == Section::kPeer) return dispatch(kPeerKeys, value);
    complain(quoted(key_) + " is outside a section; allowed: after [Interface] or [Peer]");
  }

  void dispatch(std::span<const Known> table, std::string_view value) {
    const auto name = lower(key_);
    for (const auto& [key, read] : table)
      if (key == name) return (this->*read)(value);
    complain(quoted(key_) + " is not a key of this section");
  }

  // ---------------------------------------------------------------- [Interface]

  void read_private_key(std::string_view value) {
    interface_.private_key = parse_secret_key(value);
    if (!interface_.private_key) complain("PrivateKey: is not a key");
  }
  void read_listen_port(std::string_view value) {
    const auto port = parse_number(value);
    if (!port || *port > 65535) return refuse(value, "is not a port");
    interface_.listen_port = UdpPort{static_cast<std::uint16_t>(*port)};
  }
  void read_fwmark(std::string_view value) {
    if (value == "off") {
      interface_.fwmark = 0;
      return;
    }
    const auto mark = parse_mark(value);
    if (!mark) return refuse(value, "is not a firewall mark");
    interface_.fwmark = *mark;
  }
  void read_address(std::string_view value) {
    each_item(value, [this](std::string_view item) {
      const auto address = address_or_host(item);
      if (!address) return refuse(item, "is not an address");
      if (std::find(interface_.addresses.begin(), interface_.addresses.end(), *address) ==
          interface_.addresses.end())
        interface_.addresses.push_back(*address);
    });
  }
  void read_mtu(std::string_view value) {
    const auto mtu = parse_number(value);
    if (!mtu || *mtu < 576 || *mtu > 9520) return refuse(value, "is not an MTU from 576 to 9520");
    interface_.mtu = static_cast<std::uint16_t>(*mtu);
  }
  void read_table(std::string_view value) {
    if (value == "off") {
      interface_.routes = Routes::kOff;
      return;
    }
    if (value == "auto" || value == "main") return;
    const auto table = parse_mark(value);
    if (!table || *table == 0) return refuse(value, "is not off, auto or the number of a routing table");
    interface_.table = *table;
  }
  void note_dns(std::string_view value) {
    note("DNS = " + std::string(printable(value)) +
         ": not carried over; a gateway's resolver is the host's affair");
  }
  void note_hook(std::string_view value) {
    note(key_ + " = " + std::string(printable(value)) + ": not carried over; linegate runs no commands");
  }
  void note_save_config(std::string_view) {
    note("SaveConfig: not carried over; runtime changes are written back by 'linegate save' when asked");
  }

  // ---------------------------------------------------------------- [Peer]

  Peer& peer() { return peers_.back(); }

  void read_public_key(std::string_view value) {
    const auto key = parse_key(value);
    if (!key || key->is_zero()) return refuse(value, "is not a public key");
    peer().public_key = *key;
  }
  void read_preshared_key(std::string_view value) {
    peer().preshared_key = parse_secret_key(value);
    if (!peer().preshared_key) return complain("PresharedKey: is not a key");
    if (peer().preshared_key->is_zero()) peer().preshared_key.reset();
  }
  void read_endpoint(std::string_view value) {
    auto endpoint = parse_endpoint(value);
    if (!endpoint) return refuse(value, endpoint.error().text);
    peer().endpoint = *std::move(endpoint);
  }
  void read_allowed_ips(std::string_view value) {
    each_item(value, [this](std::string_view item) {
      const auto address = address_or_host(item);
      if (!address) return refuse(item, "is not a prefix");
      const Prefix prefix = prefix_of(address->address, address->length);
      auto& own = peer().allowed_ips;
      if (std::find(own.begin(), own.end(), prefix) != own.end()) return;
      own.push_back(prefix);
      peer().where.allowed_ips.push_back({0, line_, 1});
    });
  }
  void read_keepalive(std::string_view value) {
    const auto seconds = value == "off" ? std::optional<std::uint64_t>(0) : parse_number(value);
    if (!seconds || *seconds > 65535) return refuse(value, "is not off or 0 to 65535 seconds");
    peer().persistent_keepalive = std::chrono::seconds(*seconds);
  }

  // ---------------------------------------------------------------- the whole

  void finish() {
    if (!interface_.private_key && problems_.empty()) {
      line_ = 0;
      complain("no PrivateKey in an [Interface] section");
    }
    check_peers();
    settle_prefixes();
    settle_names();
    if (!problems_.empty()) return;
    interface_.private_key_file = options_.private_key_file;
    for (Peer& peer : peers_) peer.where = {};
    interface_.peers = std::move(peers_);
    interface_.where = {};
  }

  void check_peers() {
    std::unordered_map<Key, std::uint32_t> lines;
    const Key own = interface_.private_key ? public_key_of(*interface_.private_key) : Key{};
    for (const Peer& candidate : peers_) {
      line_ = candidate.where.self.line;
      if (candidate.public_key.is_zero()) {
        complain("this [Peer] has no PublicKey");
        continue;
      }
      if (candidate.public_key == own) complain("this [Peer] has the interface's own key");
      const auto [first, fresh] = lines.emplace(candidate.public_key, line_);
      if (!fresh) complain("this [Peer] has the key of the one on line " + std::to_string(first->second));
    }
  }

  // wg(8) adds peers in order, and a prefix moves to the one that names it last.
  void settle_prefixes() {
    std::map<Prefix, std::uint32_t> owners;
    for (auto candidate = peers_.rbegin(); candidate != peers_.rend(); ++candidate) {
      std::erase_if(candidate->allowed_ips, [&](const Prefix& prefix) {
        const auto [owner, fresh] = owners.emplace(prefix, candidate->where.self.line);
        if (!fresh)
          note_at(candidate->where.self.line, to_string(prefix) + " also belongs to the [Peer] on line " +
                                                  std::to_string(owner->second) +
                                                  ", which gets it, as in wg(8)");
        return !fresh;
      });
    }
  }

  void settle_names() {
    std::unordered_map<std::string, std::uint32_t> lines;
    for (Peer& candidate : peers_) {
      if (candidate.name.empty()) continue;
      const auto [first, fresh] = lines.emplace(candidate.name, candidate.where.self.line);
      if (fresh) continue;
      note_at(candidate.where.self.line, "the name " + quoted(candidate.name) +
                                             " is that of the [Peer] on line " +
                                             std::to_string(first->second) + "; left without a name");
      candidate.name.clear();
    }
  }

  const std::string& filename_;
  const ImportOptions& options_;
  Problems problems_;
  Problems notes_;
  Interface interface_;
  std::vector<Peer> peers_;
  Section section_ = Section::kNone;
  std::string key_;
  std::uint32_t line_ = 0;
};

}  // namespace

Expected<Imported, Problems> import_wg_quick(std::string_view text, const std::string& filename,
                                             const ImportOptions& options) {
  return Importer(filename, options).run(text);
}

std::string to_yaml(std::string_view interface_name, const Interface& interface) {
  return "interfaces:\n" + emit_interface(interface_name, interface);
}

Expected<> write_key_file(const std::string& path, const SecretKey& key) {
  std::string text = reveal(key) + "\n";
  Expected<> written = replace_file(path, text, 0600);
  wipe(text);
  return written;
}

}  // namespace wg::config
