#include "config/save.h"

#include <algorithm>
#include <map>
#include <unordered_map>

#include "config/diff.h"
#include "config/emit.h"
#include "config/import_wg_quick.h"
#include "config/scalars.h"
#include "config/yaml_edit.h"

namespace wg::config {
namespace {

using Texts = std::map<std::string, std::string>;

std::vector<std::string> words_of(const std::vector<Prefix>& prefixes) {
  std::vector<std::string> words;
  for (const Prefix& prefix : prefixes) words.push_back(to_string(prefix));
  return words;
}

std::vector<std::string> words_of(const std::vector<InterfaceAddress>& addresses) {
  std::vector<std::string> words;
  for (const InterfaceAddress& address : addresses) words.push_back(to_string(address));
  return words;
}

// The wanted values in the order the file has them, then the rest.
template <class T>
std::vector<T> in_order_of(const std::vector<T>& written, const std::vector<T>& wanted) {
  std::vector<T> out;
  const auto has = [](const std::vector<T>& list, const T& value) {
    return std::find(list.begin(), list.end(), value) != list.end();
  };
  for (const T& value : written)
    if (has(wanted, value)) out.push_back(value);
  for (const T& value : wanted)
    if (!has(written, value)) out.push_back(value);
  return out;
}

const std::string* entry(const std::vector<Entry>& entries, std::string_view key) {
  for (const auto& [name, value] : entries)
    if (name == key) return &value;
  return nullptr;
}

std::string hex_prefix(const Key& key) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (std::size_t i = 0; i < 8; ++i) {
    text += kDigits[key.bytes[i] >> 4];
    text += kDigits[key.bytes[i] & 15];
  }
  return text;
}

// One attempt at a save: `rewrite` says whether changed interfaces are edited or rewritten.
class Saver {
 public:
  Saver(const std::string& path, const Gateway& on_disk, const Texts& texts, const SaveOptions& options)
      : path_(path), on_disk_(on_disk), texts_(texts), options_(options) {}

  // `wanted` as it looks in the file: file paths, order and switched-off peers as they are there.
  Gateway value_in_file(const Gateway& wanted) {
    Gateway out = on_disk_;
    out.interfaces.clear();
    for (const auto& [name, interface] : wanted.interfaces) {
      const auto old = on_disk_.interfaces.find(name);
      static const Interface kNone;
      out.interfaces[name] =
          settle_interface(name, old == on_disk_.interfaces.end() ? kNone : old->second, interface);
    }
    return out;
  }

  Texts edit(const Gateway& wanted, bool rewrite) {
    Texts out;
    for (std::size_t file = 0; file < on_disk_.sources.files.size(); ++file) {
      const std::string& name = on_disk_.sources.files[file];
      YamlEdit edit(texts_.at(name));
      if (file == 0)
        edit_main(edit, wanted, rewrite);
      else
        edit_peer_file(edit, static_cast<std::uint32_t>(file), wanted, rewrite);
      if (edit.changed()) out[name] = edit.apply();
    }
    return out;
  }

  std::vector<SavedKey> take_keys() { return std::move(keys_); }
  std::vector<std::string> take_remarks() { return std::move(remarks_); }

 private:
  // ---------------------------------------------------------------- what the file should say

  Interface settle_interface(const std::string& name, const Interface& old, const Interface& wanted) {
    Interface out = wanted;
    out.private_key_file = old.private_key_file.empty() ? wanted.private_key_file : old.private_key_file;
    if (!out.private_key_file.empty() && out.private_key && out.private_key != old.private_key)
      keys_.push_back({relative_to_file(path_, out.private_key_file), *out.private_key});
    out.peer_files = old.peer_files;
    out.addresses = in_order_of(old.addresses, wanted.addresses);
    out.peers.clear();
    std::unordered_map<Key, const Peer*> left;
    for (const Peer& peer : wanted.peers) left.emplace(peer.public_key, &peer);
    for (const Peer& peer : old.peers) {
      const auto found = left.find(peer.public_key);
      if (found != left.end()) {
        out.peers.push_back(settle_peer(name, peer, *found->second));
        left.erase(found);
      } else if (!peer.enabled && options_.keep_disabled_peers) {
        out.peers.push_back(peer);
      }
    }
    for (const Peer& peer : wanted.peers)
      if (left.contains(peer.public_key)) out.peers.push_back(settle_peer(name, Peer{}, peer));
    return out;
  }

  Peer settle_peer(const std::string& interface, const Peer& old, const Peer& wanted) {
    Peer out = wanted;
    out.where = old.where;
    out.allowed_ips = in_order_of(old.allowed_ips, wanted.allowed_ips);
    out.preshared_key_file = old.preshared_key_file;
    if (!out.preshared_key) {
      out.preshared_key_file.clear();
    } else if (out.preshared_key != old.preshared_key) {
      if (out.preshared_key_file.empty() && !old.preshared_key && !options_.preshared_key_directory.empty())
        out.preshared_key_file =
            options_.preshared_key_directory + "/" + interface + "-" + hex_prefix(out.public_key) + ".psk";
      if (!out.preshared_key_file.empty())
        keys_.push_back({relative_to_file(file_of_peer(old), out.preshared_key_file), *out.preshared_key});
    }
    return out;
  }

  const std::string& file_of_peer(const Peer& peer) const {
    return on_disk_.sources.files[peer.where.self.known() ? peer.where.self.file : 0];
  }

  // ---------------------------------------------------------------- the main file

  void edit_main(YamlEdit& edit, const Gateway& wanted, bool rewrite) {
    const auto interfaces = edit.find(edit.tree().root(), "interfaces");
    if (!interfaces) return append_section(edit, wanted);
    for (const auto& [name, interface] : on_disk_.interfaces) {
      const auto entry = edit.find(*interfaces.value, name);
      const auto kept = wanted.interfaces.find(name);
      if (!entry) throw EditUnsupported("an interface that is not found again");
      if (kept == wanted.interfaces.end())
        edit.replace_entry(entry, {});
      else if (rewrite && own(interface) != own(kept->second))
        rewrite_interface(edit, entry, name, kept->second);
      else if (!rewrite)
        edit_interface(edit, *entry.value, interface, kept->second);
    }
    for (const auto& [name, interface] : wanted.interfaces)
      if (!on_disk_.interfaces.contains(name)) append_interface(edit, interfaces, name, interface);
  }

  void append_section(YamlEdit& edit, const Gateway& wanted) {
    std::string lines = "interfaces:\n";
    for (const auto& [name, interface] : wanted.interfaces) lines += emit_interface(name, interface);
    if (!wanted.interfaces.empty()) edit.append_after(edit.tree().root(), lines);
  }

  void append_interface(YamlEdit& edit, const YamlEdit::Pair& interfaces, const std::string& name,
                        const Interface& interface) {
    if (interfaces.value->kind != NodeKind::kMap || interfaces.value->flow) {
      if (interfaces.value->children != 0) throw EditUnsupported("a flow map of interfaces");
      return edit.replace_entry(interfaces, "interfaces:\n" + emit_interface(name, interface));
    }
    edit.append_after(
        *interfaces.value,
        emit_interface(name, interface, edit.tree().first_child(*interfaces.value)->column - 1));
  }

  // The interface as the main file writes it: without the peers of peer files.
  Interface own(const Interface& interface) const {
    Interface out = interface;
    std::erase_if(out.peers, [](const Peer& peer) { return peer.where.self.file != 0; });
    return out;
  }

  void rewrite_interface(YamlEdit& edit, const YamlEdit::Pair& entry, const std::string& name,
                         const Interface& interface) {
    edit.replace_entry(entry, emit_interface(name, own(interface), entry.key->column - 1));
    remarks_.push_back("interface " + name + " was rewritten; its comments are lost");
  }

  void edit_interface(YamlEdit& edit, const Node& map, const Interface& old, const Interface& now) {
    const std::string_view after = old.private_key_file.empty() ? "private_key" : "private_key_file";
    edit_entries(edit, map, entries_of(old), entries_of(now), after, "addresses", words_of(now.addresses));
    const auto peers = edit.find(map, "peers");
    edit_peers(edit, peers ? peers.value : nullptr, 0, old, now, [&](const std::string& lines) {
      if (peers)
        edit.fill_list(peers, lines);
      else
        edit.append_after(map,
                          std::string(edit.tree().first_child(map)->column - 1, ' ') + "peers:\n" + lines);
    });
  }

  // Keys whose text differs are set, keys that are gone are removed. `list_key` is set item by item.
  static void edit_entries(YamlEdit& edit, const Node& map, const std::vector<Entry>& old,
                           const std::vector<Entry>& now, std::string_view after, std::string_view list_key,
                           const std::vector<std::string>& list) {
    for (const auto& [key, value] : now) {
      const std::string* before = entry(old, key);
      if (before != nullptr && *before == value) continue;
      if (key == list_key)
        edit.set_list(map, key, list, after);
      else
        edit.set(map, key, value, after);
    }
    for (const auto& [key, value] : old)
      if (entry(now, key) == nullptr) edit.remove(map, key);
  }

  // ---------------------------------------------------------------- peers of one file

  template <class AddList>
  void edit_peers(YamlEdit& edit, const Node* list, std::uint32_t file, const Interface& old,
                  const Interface& now, AddList add_list) {
    std::unordered_map<Key, const Peer*> wanted;
    for (const Peer& peer : now.peers) wanted.emplace(peer.public_key, &peer);
    const Node* item = list != nullptr ? edit.tree().first_child(*list) : nullptr;
    std::size_t kept = 0;
    for (const Peer& peer : old.peers) {
      if (peer.where.self.file != file) continue;
      if (item == nullptr) throw EditUnsupported("a peer that is not found again");
      const auto found = wanted.find(peer.public_key);
      if (found == wanted.end())
        edit.remove_item(*list, *item);
      else
        edit_peer(edit, *item, peer, *found->second), ++kept;
      item = edit.tree().next_sibling(*item);
    }
    if (file == 0) append_peers(edit, list, kept, now, add_list);
  }

  static void edit_peer(YamlEdit& edit, const Node& item, const Peer& old, const Peer& now) {
    const auto before = entries_of(old);
    const auto after = entries_of(now);
    if (before == after) return;
    if (item.flow) return edit.replace(item, emit_peer_flow(now));
    edit_entries(edit, item, before, after, "public_key", "allowed_ips", words_of(now.allowed_ips));
  }

  template <class AddList>
  static void append_peers(YamlEdit& edit, const Node* list, std::size_t kept, const Interface& now,
                           AddList add_list) {
    const bool in_block = list != nullptr && !list->flow && edit.tree().first_child(*list) != nullptr;
    const bool all_flow = in_block && edit.tree().first_child(*list)->flow;
    const std::size_t column = in_block ? edit.dash_column(*list) : 6;
    std::string lines;
    for (const Peer& peer : now.peers) {
      if (peer.where.self.known()) continue;
      if (kept != 0 && list->flow)
        edit.append_flow(*list, emit_peer_flow(peer));
      else
        lines += all_flow ? std::string(column, ' ') + "- " + emit_peer_flow(peer) + "\n"
                          : emit_peer(peer, column);
    }
    if (lines.empty()) return;
    if (in_block)
      edit.append_lines(*list, lines);
    else
      add_list(lines);
  }

  // ---------------------------------------------------------------- a peer file

  void edit_peer_file(YamlEdit& edit, std::uint32_t file, const Gateway& wanted, bool rewrite) {
    const auto owner =
        std::find_if(on_disk_.interfaces.begin(), on_disk_.interfaces.end(), [&](const auto& entry) {
          return std::any_of(entry.second.peers.begin(), entry.second.peers.end(),
                             [&](const Peer& peer) { return peer.where.self.file == file; });
        });
    if (owner == on_disk_.interfaces.end()) return;  // an empty file
    const auto kept = wanted.interfaces.find(owner->first);
    if (kept == wanted.interfaces.end()) {
      remarks_.push_back("peer file " + on_disk_.sources.files[file] + " belongs to interface " +
                         owner->first + ", which is gone; it was left as it is");
      return;
    }
    const auto named = edit.find(edit.tree().root(), "peers");
    const Node& list = named ? *named.value : edit.tree().root();
    if (!rewrite)
      return edit_peers(edit, &list, file, owner->second, kept->second, [](const std::string&) {});
    rewrite_peer_file(edit, list, file, owner->second, kept->second);
  }

  void rewrite_peer_file(YamlEdit& edit, const Node& list, std::uint32_t file, const Interface& old,
                         const Interface& now) {
    const auto of_file = [file](const Interface& interface) {
      std::vector<Peer> peers;
      for (const Peer& peer : interface.peers)
        if (peer.where.self.file == file) peers.push_back(peer);
      return peers;
    };
    if (of_file(old) == of_file(now)) return;
    std::string text = "[";
    for (const Peer& peer : of_file(now))
      text += (text.size() == 1 ? "\n  " : ",\n  ") + emit_peer_flow(peer);
    edit.replace(list, text + (text.size() == 1 ? "]" : "\n]"));
    remarks_.push_back("peer file " + on_disk_.sources.files[file] + " was rewritten; its comments are lost");
  }

  const std::string& path_;
  const Gateway& on_disk_;
  const Texts& texts_;
  const SaveOptions& options_;
  std::vector<SavedKey> keys_;
  std::vector<std::string> remarks_;
};

// Reads like the real thing, except that files about to be written read as they will be.
ParseOptions overlay(const Texts& texts, const std::vector<SavedKey>& keys) {
  ParseOptions options;
  options.read = [&texts, &keys](const std::string& path, const ReadLimits& limits) {
    if (const auto text = texts.find(path); text != texts.end())
      return Expected<FileText>({text->second, 0600});
    const auto key =
        std::find_if(keys.begin(), keys.end(), [&](const SavedKey& saved) { return saved.path == path; });
    if (key != keys.end()) return Expected<FileText>({reveal(key->key), 0600});
    return read_file(path, limits);
  };
  return options;
}

bool reads_as(const std::string& path, const Texts& texts, const std::vector<SavedKey>& keys,
              const Gateway& wanted) {
  const auto result = parse_file(path, overlay(texts, keys));
  return result && runtime_view(*result).interfaces == runtime_view(wanted).interfaces;
}

bool attempt(const std::string& path, Saver& saver, const Gateway& in_file, const std::vector<SavedKey>& keys,
             bool rewrite, Texts& edited) try {
  edited = saver.edit(in_file, rewrite);
  return reads_as(path, edited, keys, in_file);
} catch (const EditUnsupported&) {
  return false;
}

// How often a key stands in a YAML text itself; also in its comments, which do not change.
std::size_t inline_secrets(std::string_view text) {
  std::size_t count = 0;
  for (const std::string_view key : {"private_key", "preshared_key"})
    for (auto at = text.find(key); at != text.npos; at = text.find(key, at + 1)) {
      const auto rest = text.substr(at + key.size(), 2);
      count += rest.starts_with(':') || rest == "\":" || rest == "':" ? 1 : 0;
    }
  return count;
}

// An interface that wg(8) has left without a key cannot stand in a file.
Problems keyless(const std::string& path, const Gateway& wanted) {
  Problems problems;
  for (const auto& [name, interface] : wanted.interfaces) {
    if (interface.private_key) continue;
    problems.push_back({path,
                        {},
                        "interfaces." + name,
                        "has no private key, without which it cannot be saved; allowed: `wg set " + name +
                            " private-key FILE`, or `linegate interface delete " + name + "`"});
  }
  return problems;
}

void wipe_all(Texts& texts) {
  for (auto& [path, text] : texts) wipe(text);
}

}  // namespace

Expected<Saved, Problems> save(const std::string& path, const Gateway& wanted, const SaveOptions& options) {
  Texts texts;
  std::map<std::string, mode_t> modes;
  ParseOptions recording;
  recording.read = [&texts, &modes](const std::string& file, const ReadLimits& limits) {
    Expected<FileText> read = read_file(file, limits);
    if (read) texts[file] = read->text, modes[file] = read->mode;
    return read;
  };
  const auto on_disk = parse_file(path, recording);
  Problems problems = on_disk ? keyless(path, wanted) : on_disk.error();
  if (!problems.empty()) {
    wipe_all(texts);
    return problems;
  }
  Saver saver(path, *on_disk, texts, options);
  Saved saved;
  const Gateway in_file = saver.value_in_file(wanted);
  saved.keys = saver.take_keys();
  Texts edited;
  bool done = attempt(path, saver, in_file, saved.keys, false, edited);
  saver.take_remarks();
  if (!done) done = attempt(path, saver, in_file, saved.keys, true, edited);
  saved.remarks = saver.take_remarks();
  for (auto& [file, text] : edited)
    saved.files.push_back({file, text, inline_secrets(text) > inline_secrets(texts.at(file))});
  wipe_all(texts);
  if (!done) {
    for (auto& file : saved.files) wipe(file.text);
    return Problems{{path,
                     {},
                     {},
                     "cannot be edited in place; write interfaces as a map with one key per line, or save by "
                     "hand"}};
  }
  wipe_all(edited);
  for (const auto& file : saved.files)
    if (file.gains_secret && (modes[file.path] & 077) != 0)
      saved.remarks.push_back(file.path + ": holds a key now, so only its owner may read it");
  return saved;
}

Expected<> write(const Saved& saved) {
  for (const auto& [path, key] : saved.keys)
    if (const Expected<> done = write_key_file(path, key); !done) return done.error().about(path);
  for (const auto& [path, text, gains_secret] : saved.files) {
    const mode_t at_most = gains_secret ? 0700 : 07777;
    if (const Expected<> done = replace_file(path, text, 0600, at_most); !done)
      return done.error().about(path);
  }
  return {};
}

}  // namespace wg::config
