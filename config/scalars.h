// Text forms of the scalar types, and the wording that several readers share.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "config/types.h"

namespace wg::config {

// Decimal digits only, no sign, no spaces; nullopt beyond 64 bits.
[[nodiscard]] std::optional<std::uint64_t> parse_number(std::string_view text);
// Decimal, or hexadecimal after 0x (a firewall mark is usually written so).
[[nodiscard]] std::optional<std::uint32_t> parse_mark(std::string_view text);
// A whole number with K, M or G (powers of 1024, as DPDK counts memory). A bare number is refused:
// DPDK means megabytes by it, everyone else bytes.
[[nodiscard]] std::optional<Size> parse_size(std::string_view text);
// A whole number with ns, us, ms, s, m or h.
[[nodiscard]] std::optional<std::chrono::nanoseconds> parse_duration(std::string_view text);
// PCI address (the domain may be left out and is then 0000), linux: and the name of a network interface,
// DPDK virtual device, or tap.
[[nodiscard]] std::optional<Device> parse_device(std::string_view text);

// For a message: control characters replaced, cut after 60 bytes.
[[nodiscard]] std::string printable(std::string_view text);
// The same in single quotes.
[[nodiscard]] std::string quoted(std::string_view text);
// The name within two edits (one for short names) of `text`, or empty.
[[nodiscard]] std::string_view nearest_name(std::string_view text, std::span<const std::string_view> names);
[[nodiscard]] std::string join(std::span<const std::string_view> words, std::string_view separator);

// `path` as seen from the directory of `file`: absolute paths and the empty path stay as they are.
[[nodiscard]] std::string relative_to_file(const std::string& file, std::string_view path);

}  // namespace wg::config
