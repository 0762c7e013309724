// A wg-quick(8) or wg(8) file as an interface of ours.
//
// What has a counterpart is carried over (PrivateKey, ListenPort, FwMark, Address, MTU, Table and all
// keys of peers); what has none (DNS, hooks, SaveConfig) is reported as a note with its line, never
// dropped in silence. As in wg(8): section and key names in any case, `#` starts a comment, lists are
// separated by commas, an address without a length is a single host, of two peers with the same
// prefix the later one gets it. `# Name = alice` or `# friendly_name = alice` in a [Peer] names it.
#pragma once

#include <string>
#include <string_view>

#include "config/parse.h"
#include "config/types.h"

namespace wg::config {

struct ImportOptions {
  // Written into the YAML as private_key_file; the caller writes the key there (write_key_file).
  // Empty: the key stands in the YAML itself.
  std::string private_key_file;
};

struct Imported {
  Interface interface;
  Problems notes;  // warnings: what was left out or decided, with line numbers
};

// A refusal has the errors by line, then the warnings.
[[nodiscard]] Expected<Imported, Problems> import_wg_quick(std::string_view text, const std::string& filename,
                                                           const ImportOptions& options = {});

// A whole YAML file with this one interface, for `linegate import`. Secret when the key is inline.
[[nodiscard]] std::string to_yaml(std::string_view interface_name, const Interface& interface);

// base64 and a newline, mode 0600, replaced atomically. A refusal's text does not name the file.
Expected<> write_key_file(const std::string& path, const SecretKey& key);

}  // namespace wg::config
