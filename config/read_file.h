// Reads a whole file and says whether it was whole.
//
// A configuration is replaced by writing a new file beside the old one and renaming it over the old
// name (rename(2) is atomic: a reader sees the old file or the new one). Files written in place are
// read with care: no process may have the file open for writing, and its size and modification time must
// be the same before and after. A writer that dies half-way leaves a half file that no reader can
// tell from a whole one; only the rename rule protects from that.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <string>

#include "dataplane/base/expected.h"

namespace wg::config {

inline constexpr std::size_t kMaxFileBytes = std::size_t{64} << 20;

struct ReadLimits {
  std::size_t max_bytes = kMaxFileBytes;
  // How long to wait for a writer to finish before giving up.
  std::chrono::milliseconds patience{500};
  // The file must not have been modified for this long (0: any age). For reload on file change.
  std::chrono::milliseconds settle{0};
};

struct FileText {
  std::string text;
  mode_t mode = 0;  // permission bits, for the check of key files
};

// A refusal's text does not name the file. EBUSY: it was still being written when the patience ended.
Expected<FileText> read_file(const std::string& path, const ReadLimits& limits = {});

// Writes `text` beside `path`, flushes it to disk and renames it over `path`, keeping the mode and
// the owner of a file already there (`mode` for a new one), of its permissions only those in `at_most`.
// A refusal's text does not name the file.
Expected<> replace_file(const std::string& path, const std::string& text, mode_t mode = 0600,
                        mode_t at_most = 07777);

// Makes the directory, for its owner alone, and those above it. One that is there stays as it is. Who then
// writes into it says what is wrong.
void make_private_directory(const std::string& path);

}  // namespace wg::config
