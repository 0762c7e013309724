#include "config/scalars.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <numeric>
#include <utility>
#include <vector>

namespace wg::config {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kQuotedBytes = 60;

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_hex(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

std::size_t digits_at_start(std::string_view text) {
  return static_cast<std::size_t>(std::find_if_not(text.begin(), text.end(), is_digit) - text.begin());
}

// DDDD:BB:DD.F with the digits of a template: x stands for one.
bool matches_pci(std::string_view text) {
  constexpr std::string_view kShape = "xxxx:xx:xx.x";
  return text.size() == kShape.size() &&
         std::equal(text.begin(), text.end(), kShape.begin(),
                    [](char c, char shape) { return shape == 'x' ? is_hex(c) : c == shape; }) &&
         text.back() <= '7';
}

// A DPDK network vdev: driver name net_… (or the older eth_…), then optional key=value arguments.
bool matches_vdev(std::string_view text) {
  if (!text.starts_with("net_") && !text.starts_with("eth_")) return false;
  const auto name = text.substr(0, text.find(','));
  const auto in_name = [](char c) { return is_digit(c) || (c >= 'a' && c <= 'z') || c == '_'; };
  if (name.size() < 5 || !std::all_of(name.begin(), name.end(), in_name)) return false;
  return std::none_of(text.begin(), text.end(), [](char c) { return c <= ' ' || c == 0x7f; }) &&
         !text.ends_with(',');
}

// The kernel's rule for the name of a network interface (dev_valid_name).
bool is_kernel_name(std::string_view name) {
  const auto refused = [](char c) { return c <= ' ' || c == 0x7f || c == '/' || c == ':'; };
  return !name.empty() && name.size() <= 15 && name != "." && name != ".." &&
         std::none_of(name.begin(), name.end(), refused);
}

// Two neighbours that changed places are one slip.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before, row(b.size() + 1), next(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (std::size_t i = 0; i < a.size(); ++i) {
    next[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      next[j + 1] = std::min({row[j] + (a[i] == b[j] ? 0 : 1), next[j] + 1, row[j + 1] + 1});
      if (i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j])
        next[j + 1] = std::min(next[j + 1], before[j - 1] + 1);
    }
    before = row;
    row = next;
  }
  return row.back();
}

}  // namespace

std::optional<std::uint64_t> parse_number(std::string_view text) {
  std::uint64_t value = 0;
  if (text.empty() || !is_digit(text.front())) return std::nullopt;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<std::uint32_t> parse_mark(std::string_view text) {
  std::uint32_t value = 0;
  const bool hex = text.starts_with("0x") || text.starts_with("0X");
  if (hex) text.remove_prefix(2);
  if (text.empty() || !is_hex(text.front())) return std::nullopt;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, hex ? 16 : 10);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<Size> parse_size(std::string_view text) {
  constexpr std::string_view kUnits = "KMG";
  if (text.size() < 2) return std::nullopt;
  const auto unit = kUnits.find(text.back());
  const auto number = parse_number(text.substr(0, text.size() - 1));
  if (unit == std::string_view::npos || !number) return std::nullopt;
  const auto shift = 10 * (unit + 1);
  if (*number > (std::numeric_limits<std::uint64_t>::max() >> shift)) return std::nullopt;
  return Size{*number << shift};
}

std::optional<std::chrono::nanoseconds> parse_duration(std::string_view text) {
  constexpr std::array<std::pair<std::string_view, std::chrono::nanoseconds>, 6> kUnits{
      {{"ns", 1ns}, {"us", 1us}, {"ms", 1ms}, {"s", 1s}, {"m", 1min}, {"h", 1h}}};
  const auto length = digits_at_start(text);
  const auto number = parse_number(text.substr(0, length));
  if (!number) return std::nullopt;
  for (const auto& [name, unit] : kUnits) {
    if (text.substr(length) != name) continue;
    const auto most = static_cast<std::uint64_t>(std::chrono::nanoseconds::max() / unit);
    if (*number > most) return std::nullopt;
    return unit * static_cast<std::int64_t>(*number);
  }
  return std::nullopt;
}

std::optional<Device> parse_device(std::string_view text) {
  if (text == "tap") return Device{DeviceKind::kTap, "tap"};
  if (matches_pci(text)) return Device{DeviceKind::kPci, std::string(text)};
  const std::string with_domain = "0000:" + std::string(text);
  if (matches_pci(with_domain)) return Device{DeviceKind::kPci, with_domain};
  if (matches_vdev(text)) return Device{DeviceKind::kVdev, std::string(text)};
  if (text.starts_with(kLinuxDevice) && is_kernel_name(text.substr(kLinuxDevice.size())))
    return Device{DeviceKind::kLinux, std::string(text)};
  return std::nullopt;
}

std::string printable(std::string_view text) {
  std::size_t end = std::min(text.size(), kQuotedBytes);
  // Never cut inside a UTF-8 sequence.
  while (end < text.size() && end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  std::string out;
  for (const char c : text.substr(0, end))
    out += (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) ? '?' : c;
  return end < text.size() ? out + "…" : out;
}

std::string quoted(std::string_view text) {
  return "'" + printable(text) + "'";
}

namespace {

// "ListenPort", "listen-port" and "listen_port" are one word.
std::string bare(std::string_view name) {
  std::string out;
  for (const char c : name)
    if (c != '_' && c != '-') out += static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  return out;
}

// The only name that ends with the word: "persistent_keepalive" for "keepalive".
std::string_view only_ending(const std::string& word, std::span<const std::string_view> names) {
  std::string_view found;
  for (const auto name : names) {
    if (word.size() < 5 || !bare(name).ends_with(word)) continue;
    if (!found.empty()) return {};
    found = name;
  }
  return found;
}

}  // namespace

std::string_view nearest_name(std::string_view text, std::span<const std::string_view> names) {
  std::string_view best;
  std::size_t best_distance = text.size() <= 4 ? 2 : 3;
  if (text.size() > 64) return best;
  const std::string word = bare(text);
  for (const auto name : names) {
    const auto distance = std::min(edit_distance(text, name), edit_distance(word, bare(name)));
    if (distance >= best_distance) continue;
    best = name;
    best_distance = distance;
  }
  return best.empty() ? only_ending(word, names) : best;
}

std::string join(std::span<const std::string_view> words, std::string_view separator) {
  std::string out;
  for (const auto word : words) {
    if (!out.empty()) out += separator;
    out += word;
  }
  return out;
}

std::string relative_to_file(const std::string& file, std::string_view path) {
  const auto slash = file.rfind('/');
  if (path.empty() || path.starts_with('/') || slash == std::string::npos) return std::string(path);
  return file.substr(0, slash + 1) + std::string(path);
}

}  // namespace wg::config
