// Reads secret keys: inline, or from a file that only its owner can open.
#include "config/read_file.h"
#include "config/reader.h"

namespace wg::config {
namespace {

constexpr std::string_view kKeyAllowed =
    "32 bytes as 44 characters of base64 (linegate genkey) or 64 hexadecimal digits";
constexpr std::size_t kMaxKeyFile = 4096;
constexpr mode_t kOthersBits = 077;

std::string octal(mode_t mode) {
  std::string text = "0000";
  for (std::size_t i = 0; i < 4; ++i) text[3 - i] = static_cast<char>('0' + ((mode >> (3 * i)) & 7));
  return text;
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  const auto first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

// The text of a secret never appears in a message.
std::string fault_of_key(std::string_view text) {
  return "is not a key (" + std::to_string(text.size()) +
         " characters); allowed: " + std::string(kKeyAllowed);
}

void complain_about_file(const Value& value, const std::string& path, std::string_view what) {
  value.complain("file " + quoted(path) + " " + std::string(what));
}

}  // namespace

void read_secret(const Value& value, std::optional<SecretKey>& out) {
  const auto text = value.scalar(kKeyAllowed);
  if (!text) return;
  if (auto key = parse_secret_key(*text))
    out = std::move(key);
  else
    value.complain(fault_of_key(*text));
}

void read_secret_file(const Value& value, std::optional<SecretKey>& out, std::string& path) {
  auto written = read_string(value, "the path of a key file");
  if (!written) return;
  path = *std::move(written);
  if (!value.source().context.options.open_files) return;
  const std::string full = relative_to_file(value.source().filename(), path);
  const ReadLimits limits{kMaxKeyFile, std::chrono::milliseconds(100), std::chrono::milliseconds(0)};
  Expected<FileText> file = value.source().context.options.read(full, limits);
  if (!file) return complain_about_file(value, full, file.error().text);
  if ((file->mode & kOthersBits) != 0) {
    complain_about_file(value, full,
                        "is open to its group or to others (mode " + octal(file->mode) +
                            "); allowed: 0600 or 0400 (chmod 600)");
  } else if (auto key = parse_secret_key(trimmed(file->text))) {
    out = std::move(key);
  } else {
    complain_about_file(value, full, fault_of_key(trimmed(file->text)));
  }
  wipe(file->text);
}

}  // namespace wg::config
