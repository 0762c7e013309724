// One row per setting: a key whose change is only another value.
//
// From its row follow the reader's entry, the refusal, the text that `save` and `import` write, the
// comparison in diff(), the action ChangeSettings with its words, and whether a restart is needed. What a new
// setting still needs by hand: its member in types.h, its row here, and, when workers are to see it, a line
// in control/view.cpp.
//
// Not here are keys with an effect of their own (private key, listen port, addresses, routes, peers ...):
// they have actions of their own in diff.h, which say more than a value can.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "config/forms.h"
#include "config/types.h"

namespace wg::config {

enum class Change : std::uint8_t {
  kLive,     // a reload applies it
  kRestart,  // a reload names it and keeps the old value
};

// `Owner` is the struct of types.h that a map of the file fills.
template <class Owner>
struct Setting {
  std::string_view key;    // as in the file; with the name of an inner map, `idle.mode`
  std::string_view words;  // what a plan calls it; the value follows
  Change change;
  std::span<const std::string_view> examples;  // valid texts of at least two different values
  std::string (*allowed)();                    // for refusals
  // Sets the value that `text` means. A refusal says what is wrong with the text, and nothing has changed.
  Expected<> (*set)(Owner& owner, std::string_view text);
  bool (*same)(const Owner& a, const Owner& b);
  void (*copy)(const Owner& from, Owner& to);
  std::string (*text)(const Owner& owner);         // the value as in the file
  std::string (*value_words)(const Owner& owner);  // the value as in a plan

  // The name of the inner map that holds the key; empty: the owner's own map.
  [[nodiscard]] constexpr std::string_view map() const {
    const auto dot = key.find('.');
    return dot == std::string_view::npos ? std::string_view() : key.substr(0, dot);
  }
  // The key within that map.
  [[nodiscard]] constexpr std::string_view name() const { return key.substr(key.find('.') + 1); }
};

template <class Owner, class T>
Owner owner_of(T Owner::*member);

// The value that a chain of members leads to: &Dpdk::idle, &Idle::mode.
template <auto... kPath>
[[nodiscard]] auto& member(auto& owner) {
  return (owner.*....*kPath);
}

template <const auto& kForm>
[[nodiscard]] std::string allowed_by() {
  if (!kForm.allowed.empty()) return std::string(kForm.allowed);
  std::string names;
  for (const auto name : kForm.examples) names += (names.empty() ? "" : ", ") + std::string(name);
  return names;
}

// A row: the form of the value, then the members that lead to it.
template <const auto& kForm, auto kFirst, auto... kRest>
[[nodiscard]] constexpr auto setting(std::string_view key, std::string_view words,
                                     Change change = Change::kLive) {
  using Owner = decltype(owner_of(kFirst));
  Setting<Owner> row{};
  row.key = key;
  row.words = words;
  row.change = change;
  row.examples = kForm.examples;
  row.allowed = allowed_by<kForm>;
  row.set = [](Owner& owner, std::string_view text) -> Expected<> {
    auto value = kForm.parse(text);
    if (!value) return std::move(value.error());
    member<kFirst, kRest...>(owner) = *std::move(value);
    return {};
  };
  row.same = [](const Owner& a, const Owner& b) {
    return member<kFirst, kRest...>(a) == member<kFirst, kRest...>(b);
  };
  row.copy = [](const Owner& from, Owner& to) {
    member<kFirst, kRest...>(to) = member<kFirst, kRest...>(from);
  };
  row.text = [](const Owner& owner) { return kForm.text(member<kFirst, kRest...>(owner)); };
  row.value_words = [](const Owner& owner) { return kForm.words(member<kFirst, kRest...>(owner)); };
  return row;
}

// ---------------------------------------------------------------- the rows

inline constexpr std::array kInterfaceSettings{
    setting<kChoice<Forwarding>, &Interface::forwarding>("forwarding", "forwarding"),
    setting<kChoice<OnLoss>, &Interface::on_loss>("on_loss", "on loss"),
    setting<kFlag, &Interface::hairpin>("hairpin", "hairpin"),
    setting<kChoice<Dscp>, &Interface::dscp>("dscp", "dscp"),
    setting<kFlag, &Interface::udp_checksum4>("udp_checksum4", "UDP checksums over IPv4"),
    setting<kMssClamp, &Interface::mss_clamp>("mss_clamp", "mss clamp"),
    setting<kFlag, &Interface::remember_endpoints>("remember_endpoints", "remembering endpoints"),
    setting<kOwnLogLevel, &Interface::log_level>("log_level", "log level"),
    setting<kUuid, &Interface::id>("id", "id"),
    setting<kTypeName, &Interface::type>("type", "type"),
};

inline constexpr std::array kPortSettings{
    setting<kChoice<Forwarding>, &Port::forwarding>("forwarding", "forwarding"),
    setting<kFlag, &Port::port_to_port>("port_to_port", "port to port"),
    setting<kChoice<PortPeer>, &Port::peer>("peer", "other side"),
};

inline constexpr std::array kDpdkSettings{
    setting<kMemory, &Dpdk::memory>("memory", "memory", Change::kRestart),
    setting<kChoice<Hugepages>, &Dpdk::hugepages>("hugepages", "hugepages", Change::kRestart),
    setting<kFlag, &Dpdk::spread>("spread", "spread", Change::kRestart),
    setting<kChoice<IdleMode>, &Dpdk::idle, &Idle::mode>("idle.mode", "idle mode"),
    setting<kMaxSleep, &Dpdk::idle, &Idle::max_sleep>("idle.max_sleep", "longest sleep"),
};

inline constexpr std::array kFlowsSettings{
    setting<kFlowMark, &Flows::mark>("mark", "mark"),
    setting<kFlowMax, &Flows::max>("max", "at most"),
};

inline constexpr std::array kControlSettings{
    setting<kChoice<LogLevel>, &Control::log, &Log::level>("log.level", "log level"),
    setting<kChoice<LogFormat>, &Control::log, &Log::format>("log.format", "log format"),
    setting<kAbsolutePath, &Control::state_directory>("state_directory", "state directory"),
    setting<kUserName, &Control::user>("user", "user", Change::kRestart),
    setting<kFlag, &Control::reload_on_change>("reload_on_change", "reload on change"),
    setting<kFlag, &Control::sandbox>("sandbox", "sandbox", Change::kRestart),
};

inline constexpr std::size_t kMaxSettings = 32;  // of one owner: SettingSet has as many bits

// The rows of an owner; none for one whose keys all have an effect of their own.
template <class Owner>
[[nodiscard]] constexpr std::span<const Setting<Owner>> settings_of() {
  std::span<const Setting<Owner>> rows;
  if constexpr (std::is_same_v<Owner, Interface>) rows = kInterfaceSettings;
  if constexpr (std::is_same_v<Owner, Port>) rows = kPortSettings;
  if constexpr (std::is_same_v<Owner, Dpdk>) rows = kDpdkSettings;
  if constexpr (std::is_same_v<Owner, Flows>) rows = kFlowsSettings;
  if constexpr (std::is_same_v<Owner, Control>) rows = kControlSettings;
  return rows;
}

static_assert(kInterfaceSettings.size() <= kMaxSettings && kPortSettings.size() <= kMaxSettings &&
              kDpdkSettings.size() <= kMaxSettings && kControlSettings.size() <= kMaxSettings);

// Some of an owner's rows.
class SettingSet {
 public:
  void add(std::size_t row) { bits_ |= 1U << row; }
  [[nodiscard]] bool has(std::size_t row) const { return (bits_ >> row & 1U) != 0; }
  [[nodiscard]] bool empty() const { return bits_ == 0; }
  bool operator==(const SettingSet&) const = default;

 private:
  std::uint32_t bits_ = 0;
};

// The rows of one kind of change in which two owners differ.
template <class Owner>
[[nodiscard]] SettingSet differing_settings(const Owner& a, const Owner& b, Change change) {
  SettingSet differing;
  const auto rows = settings_of<Owner>();
  for (std::size_t i = 0; i < rows.size(); ++i)
    if (rows[i].change == change && !rows[i].same(a, b)) differing.add(i);
  return differing;
}

template <class Owner>
void copy_settings(const Owner& from, Owner& to, Change change) {
  for (const auto& row : settings_of<Owner>())
    if (row.change == change) row.copy(from, to);
}

// The live settings alone; everything else as by default. Holds no key and no peer.
template <class Owner>
[[nodiscard]] Owner live_settings(const Owner& owner) {
  Owner settings;
  copy_settings(owner, settings, Change::kLive);
  return settings;
}

}  // namespace wg::config
