// Runtime changes (made by wg(8) or the control socket) back into the YAML, keeping its comments and
// order.
//
// Single values are edited in place; new peers are appended to the list of peers, removed ones are
// taken out. Where the text is written in a way that cannot be edited so, the interface (or the peer
// file) is rewritten, with a remark. Either way the new texts are parsed and compared before they
// are returned: what save() returns reads as `wanted`, or it returns problems and nothing else.
#pragma once

#include <string>
#include <vector>

#include "config/parse.h"
#include "config/types.h"

namespace wg::config {

struct SaveOptions {
  // Where a preshared key that is new goes, as written in the YAML. Empty: into the YAML itself.
  std::string preshared_key_directory;
  // A peer that the file has with `enabled: false` stays although `wanted` lacks it: it does not run.
  bool keep_disabled_peers = true;
};

struct SavedFile {
  std::string path;
  std::string text;           // may hold secrets: replace_file() keeps the mode of the old file
  bool gains_secret = false;  // an inline key more than before: what others may do is taken away
};
struct SavedKey {
  std::string path;
  SecretKey key;
};

struct Saved {
  std::vector<SavedFile> files;  // only those whose text changes
  std::vector<SavedKey> keys;    // key files to write first
  std::vector<std::string> remarks;
};

// `path` is the main file; `wanted` is what runs. Interfaces and their peers are written; ports,
// dpdk and control stay as they are in the file. A peer that the file has with `enabled: false` and
// that does not run stays there, unless the options say otherwise.
[[nodiscard]] Expected<Saved, Problems> save(const std::string& path, const Gateway& wanted,
                                             const SaveOptions& options = {});

// Key files, then peer files, then the main file, each replaced atomically. A refusal names the file.
Expected<> write(const Saved& saved);

}  // namespace wg::config
