// How the values of settings are written: in the file, in refusals, in the words of a plan.
//
// A Form belongs to a type of value, not to a key: two keys with the same form read, write and refuse
// alike. Forms know nothing of YAML; read_setting() (reader.h) brings text and position.
#pragma once

#include <array>
#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "config/types.h"
#include "dataplane/base/expected.h"

namespace wg::config {

template <class T>
struct Form {
  std::string_view allowed;                     // what may stand there; empty: one of `examples`
  std::span<const std::string_view> examples;   // valid texts of at least two different values
  Expected<T> (*parse)(std::string_view text);  // a refusal says what is wrong with it: `is out of range`
  std::string (*text)(const T& value);          // as in the file; parse() reads it back
  std::string (*words)(const T& value);         // as in a plan
};

template <NamedEnum E>
Expected<E> parse_choice(std::string_view text) {
  constexpr auto& kWords = kNames<E>;
  for (std::size_t i = 0; i < kWords.size(); ++i)
    if (kWords[i] == text) return static_cast<E>(i);
  return Refusal{EINVAL, "is not known here"};
}

template <NamedEnum E>
[[nodiscard]] std::string name_of_choice(const E& value) {
  return std::string(to_string(value));
}

// One of the names of an enumeration.
template <NamedEnum E>
inline constexpr Form<E> kChoice{{}, kNames<E>, parse_choice<E>, name_of_choice<E>, name_of_choice<E>};

Expected<bool> parse_flag(std::string_view text);
[[nodiscard]] std::string flag_text(const bool& on);
[[nodiscard]] std::string flag_words(const bool& on);
inline constexpr std::array<std::string_view, 2> kFlagExamples{"true", "false"};
inline constexpr Form<bool> kFlag{{}, kFlagExamples, parse_flag, flag_text, flag_words};

Expected<MssClamp> parse_mss_clamp(std::string_view text);
[[nodiscard]] std::string mss_clamp_text(const MssClamp& clamp);
inline constexpr std::array<std::string_view, 3> kMssClampExamples{"auto", "off", "1300"};
inline constexpr Form<MssClamp> kMssClamp{"off, auto, or 536 to 9000 bytes", kMssClampExamples,
                                          parse_mss_clamp, mss_clamp_text, mss_clamp_text};

// An interface's own level; absent: control.log.level.
Expected<std::optional<LogLevel>> parse_own_log_level(std::string_view text);
[[nodiscard]] std::string own_log_level_text(const std::optional<LogLevel>& level);
[[nodiscard]] std::string own_log_level_words(const std::optional<LogLevel>& level);
inline constexpr Form<std::optional<LogLevel>> kOwnLogLevel{
    {}, kNames<LogLevel>, parse_own_log_level, own_log_level_text, own_log_level_words};

Expected<std::chrono::microseconds> parse_max_sleep(std::string_view text);
[[nodiscard]] std::string max_sleep_text(const std::chrono::microseconds& sleep);
[[nodiscard]] std::string max_sleep_words(const std::chrono::microseconds& sleep);
inline constexpr std::array<std::string_view, 3> kMaxSleepExamples{"500us", "0us", "2ms"};
inline constexpr Form<std::chrono::microseconds> kMaxSleep{
    "0us to 100ms with a unit us, ms or s, such as 500us", kMaxSleepExamples, parse_max_sleep, max_sleep_text,
    max_sleep_words};

Expected<Size> parse_memory(std::string_view text);
[[nodiscard]] std::string memory_text(const Size& size);
inline constexpr std::array<std::string_view, 3> kMemoryExamples{"512M", "64M", "2G"};
inline constexpr Form<Size> kMemory{"64M to 1024G with a unit K, M or G, such as 1024M", kMemoryExamples,
                                    parse_memory, memory_text, memory_text};

// Bits of a mark, at least one.
Expected<std::uint32_t> parse_flow_mark(std::string_view text);
[[nodiscard]] std::string flow_mark_text(const std::uint32_t& mark);
inline constexpr std::array<std::string_view, 3> kFlowMarkExamples{"0x40000000", "0x1", "4096"};
inline constexpr Form<std::uint32_t> kFlowMark{"a 32-bit number that is not 0, such as 0x40000000",
                                               kFlowMarkExamples, parse_flow_mark, flow_mark_text,
                                               flow_mark_text};

Expected<std::uint32_t> parse_flow_max(std::string_view text);
[[nodiscard]] std::string flow_max_text(const std::uint32_t& max);
inline constexpr std::array<std::string_view, 3> kFlowMaxExamples{"262144", "1024", "4000000"};
inline constexpr Form<std::uint32_t> kFlowMax{"1024 to 16777216 connections", kFlowMaxExamples,
                                              parse_flow_max, flow_max_text, flow_max_text};

[[nodiscard]] std::string verbatim(const std::string& text);
Expected<std::string> parse_absolute_path(std::string_view text);
inline constexpr std::array<std::string_view, 2> kPathExamples{"/var/lib/linegate", "/srv/linegate"};
inline constexpr Form<std::string> kAbsolutePath{"an absolute path", kPathExamples, parse_absolute_path,
                                                 verbatim, verbatim};

Expected<std::string> parse_user_name(std::string_view text);
[[nodiscard]] std::string user_words(const std::string& name);
inline constexpr std::array<std::string_view, 2> kUserExamples{"linegate", "_gateway"};
inline constexpr Form<std::string> kUserName{"the name of a user", kUserExamples, parse_user_name, verbatim,
                                             user_words};

// 32 hexadecimal digits, with the dashes of a UUID or without; as a UUID in lower case.
Expected<std::string> parse_uuid(std::string_view text);
[[nodiscard]] std::string text_or_none(const std::string& text);
inline constexpr std::array<std::string_view, 2> kUuidExamples{"6f0a4b5e-0a1c-4f7e-9a53-3f0c1b7d2e11",
                                                               "00112233445566778899aabbccddeeff"};
inline constexpr Form<std::string> kUuid{"a UUID, such as 6f0a4b5e-0a1c-4f7e-9a53-3f0c1b7d2e11",
                                         kUuidExamples, parse_uuid, verbatim, text_or_none};

inline constexpr std::size_t kTypeNameMax = 127;
Expected<std::string> parse_type_name(std::string_view text);
inline constexpr std::array<std::string_view, 2> kTypeNameExamples{"office", "home"};
inline constexpr Form<std::string> kTypeName{"1 to 127 bytes without control characters", kTypeNameExamples,
                                             parse_type_name, verbatim, text_or_none};

// useradd(8): a letter or underscore first, then also digits, dashes and dots; at most 32 characters.
[[nodiscard]] bool is_account_name(std::string_view name);

}  // namespace wg::config
