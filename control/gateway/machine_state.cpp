#include "control/gateway/machine_state.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <utility>

#include "control/ignore.h"
#include "control/interface/route_requests.h"
#include "control/kernel/sysctl.h"
#include "dataplane/base/directory.h"

namespace wg::control {
namespace {

constexpr const char* kHead = "linegate-machine-1";
constexpr const char* kAnyway = "-";
constexpr const char* kSysctl = "sysctl";
constexpr const char* kInterface = "interface";
constexpr const char* kSettings[] = {"up", "noarp", "promiscuous", "mtu"};

// Identifies this boot and this network namespace.
std::string this_place() {
  std::string boot;
  std::getline(std::ifstream("/proc/sys/kernel/random/boot_id") >> std::ws, boot);
  struct stat found {};
  const bool known = ::stat("/proc/self/ns/net", &found) == 0;
  return boot + ":" + (known ? std::to_string(found.st_ino) : "");
}

std::string conf(const char* family, const std::string& link, const char* leaf) {
  return std::string("net/") + family + "/conf/" + link + "/" + leaf;
}

std::vector<std::string> links_of(const char* family) {
  std::vector<std::string> links = names_in(std::string("/proc/sys/net/") + family + "/conf");
  std::sort(links.begin(), links.end());
  return links;
}

}  // namespace

// ---------------------------------------------------------------- the file

std::string to_text(const std::string& place, const std::vector<MachineState::Entry>& entries) {
  std::string text = std::string(kHead) + " " + place + "\n";
  for (const MachineState::Entry& entry : entries)
    text += entry.subject + " " + entry.key + " " + entry.before + " " + entry.ours + "\n";
  return text;
}

std::vector<MachineState::Entry> machine_entries(const std::string& place, const std::string& text) {
  std::istringstream lines(text);
  std::string head, of_place;
  lines >> head >> of_place;
  std::vector<MachineState::Entry> entries;
  if (head != kHead || of_place != place) return entries;
  MachineState::Entry entry;
  while (lines >> entry.subject >> entry.key >> entry.before >> entry.ours) entries.push_back(entry);
  return entries;
}

MachineState::MachineState(const std::string& directory, NetlinkConfigure& netlink, Logger log)
    : path_(directory + "/machine"),
      netlink_(netlink),
      log_(log),
      reports_(std::move(log), "after a crash what was changed on this machine will not be put back") {
  const auto bytes = read_state_file(path_);
  if (!bytes) return;
  entries_ = machine_entries(this_place(), std::string(bytes->begin(), bytes->end()));
  if (!entries_.empty())
    log_->write(log_event::crash_found, {},
                "the previous run did not restore what it changed on this machine");
}

void MachineState::save_if_new() {
  if (unsaved_) save();
}

void MachineState::save() {
  unsaved_ = false;
  if (entries_.empty()) {
    if (::unlink(path_.c_str()) != 0 && errno != ENOENT)
      log_->write(log_event::state_unwritten, {}, "{}: cannot be removed", path_);
    return;
  }
  const std::string text = to_text(this_place(), entries_);
  reports_.report(path_, write_state_file(path_, {text.begin(), text.end()}));
}

// The values that the first run found count.
void MachineState::remember(Entry entry) {
  for (Entry& known : entries_) {
    if (known.subject != entry.subject || known.key != entry.key) continue;
    known.current = true;
    if (std::exchange(known.ours, entry.ours) != entry.ours) save();
    return;
  }
  entry.current = true;
  entries_.push_back(std::move(entry));
  save();
}

// ---------------------------------------------------------------- changes

Expected<> MachineState::set_sysctl(const std::string& path, const std::string& value) {
  const Expected<std::string> before = read_sysctl(path);
  if (!before) return before.error();
  const bool known =
      std::any_of(entries_.begin(), entries_.end(), [&](const Entry& entry) { return entry.key == path; });
  if (*before == value && !known) return {};
  remember({kSysctl, path, *before, value});
  return *before == value ? Expected<>{} : write_sysctl(path, value);
}

// Switching forwarding on for all, and off again, sets it for each link: what they had is put back after it.
void MachineState::remember_forwarding(const char* family) {
  for (const std::string& link : links_of(family)) {
    const std::string path = conf(family, link, "forwarding");
    if (link != "all" && read_sysctl(path).value_or("0") == "1") remember({kSysctl, path, "1", kAnyway});
  }
}

// A router takes no router advertisements unless it is configured to.
void MachineState::keep_router_advertisements() {
  for (const std::string& link : links_of("ipv6")) {
    const std::string path = conf("ipv6", link, "accept_ra");
    if (link == "all" || link == "default" || link == "lo") continue;
    if (read_sysctl(path).value_or("") == "1" &&
        read_sysctl(conf("ipv6", link, "forwarding")).value_or("") == "0")
      ignore(set_sysctl(path, "2"), "/proc/sys may be read-only");
  }
}

void MachineState::enable_forwarding() {
  const std::string v4 = kIpForward, v6 = kIpForward6;
  if (read_sysctl(v4).value_or("1") == "0") {
    remember_forwarding("ipv4");
    remember({kSysctl, v4, "0", "1"});
    ignore(enable_ipv4_forwarding(), "/proc/sys may be read-only and already set");
  }
  if (read_sysctl(v6).value_or("1") == "0") {
    keep_router_advertisements();
    remember_forwarding("ipv6");
    ignore(set_sysctl(v6, "1"), "/proc/sys may be read-only");
  }
  for (Entry& entry : entries_)
    if (entry.key.ends_with("forwarding") || entry.key == v4 || entry.key.ends_with("accept_ra"))
      entry.current = true;
  for (const std::string& path : {v4, v6})
    if (read_sysctl(path).value_or("") == "1") forwarding_.keep(path, "1");
}

std::vector<WantedSysctl> MachineState::wanted() const {
  std::vector<WantedSysctl> all = forwarding_.all();
  for (const Entry& entry : entries_)
    if (entry.current && entry.key.ends_with("/accept_ra")) all.push_back({entry.key, entry.ours});
  return all;
}

Expected<> MachineState::set_link(std::uint32_t ifindex, LinkSetting setting, std::uint32_t value,
                                  std::uint32_t before) {
  const auto index = static_cast<std::size_t>(setting);
  const std::string subject = std::to_string(ifindex);
  const bool known = std::any_of(entries_.begin(), entries_.end(), [&](const Entry& entry) {
    return entry.subject == subject && entry.key == kSettings[index];
  });
  if (before != value || known)
    remember({subject, kSettings[index], std::to_string(before), std::to_string(value)});
  switch (setting) {
    case LinkSetting::kUp:
      return netlink_.set_up(ifindex, value != 0);
    case LinkSetting::kNoArp:
      return netlink_.set_noarp(ifindex, value != 0);
    case LinkSetting::kPromiscuous:
      return netlink_.set_promiscuous(ifindex, value != 0);
    case LinkSetting::kMtu:
      return netlink_.set_mtu(ifindex, value);
  }
  return {};
}

void MachineState::note_interface(const std::string& name) {
  const auto same = [&](const Entry& entry) { return entry.subject == kInterface && entry.key == name; };
  const auto known = std::find_if(entries_.begin(), entries_.end(), same);
  if (known != entries_.end()) {
    known->current = true;
    return;
  }
  entries_.push_back({kInterface, name, kAnyway, kAnyway, true});
  unsaved_ = true;
}

// ---------------------------------------------------------------- putting back

void MachineState::put_back_sysctl(const Entry& entry) {
  const Expected<std::string> now = read_sysctl(entry.key);
  if (!now || *now == entry.before || (entry.ours != kAnyway && *now != entry.ours)) return;
  if (const Expected<> written = write_sysctl(entry.key, entry.before); !written)
    log_->write(log_event::machine_not_put_back, {}, "not put back: {}", written.error().text);
}

void MachineState::put_back_link_setting(const Entry& entry) {
  const auto ifindex = static_cast<std::uint32_t>(std::strtoul(entry.subject.c_str(), nullptr, 10));
  const auto before = static_cast<std::uint32_t>(std::strtoul(entry.before.c_str(), nullptr, 10));
  const std::optional<LinkSummary> link = netlink_.find_link(ifindex);
  if (!link) return;
  constexpr const char* kWhy = "the wire may vanish while it is put back";
  if (entry.key == "noarp") ignore(netlink_.set_noarp(ifindex, before != 0), kWhy);
  if (entry.key == "promiscuous") ignore(netlink_.set_promiscuous(ifindex, before != 0), kWhy);
  if (entry.key == "up") ignore(netlink_.set_up(ifindex, before != 0), kWhy);
  if (entry.key == "mtu" && std::to_string(link->mtu) == entry.ours)
    ignore(netlink_.set_mtu(ifindex, before), kWhy);
}

// An interface that runs takes care of them itself.
void MachineState::remove_unreachable_routes(const std::string& interface) {
  if (!netlink_.find_link(interface))
    netlink_.remove_unreachable(kRouteProtocol, metric_of_unreachable(interface));
}

void MachineState::put_back(const Entry& entry) {
  if (entry.subject == kSysctl) return put_back_sysctl(entry);
  if (entry.subject == kInterface) return remove_unreachable_routes(entry.key);
  put_back_link_setting(entry);
}

void MachineState::put_back_link(std::uint32_t ifindex) {
  const std::string subject = std::to_string(ifindex);
  const std::optional<LinkSummary> link = netlink_.find_link(ifindex);
  const std::string v6 = link ? conf("ipv6", link->name, "disable_ipv6") : "";
  const auto is_its = [&](const Entry& entry) { return entry.subject == subject || entry.key == v6; };
  for (auto entry = entries_.rbegin(); entry != entries_.rend(); ++entry)
    if (is_its(*entry)) put_back(*entry);
  if (std::erase_if(entries_, is_its) != 0) save();
}

void MachineState::put_back_rest_of_crash() {
  const auto is_left = [](const Entry& entry) { return !entry.current; };
  for (auto entry = entries_.rbegin(); entry != entries_.rend(); ++entry)
    if (is_left(*entry)) put_back(*entry);
  if (std::erase_if(entries_, is_left) != 0) unsaved_ = true;
  save_if_new();
}

void MachineState::put_back_all() {
  const bool any = !entries_.empty();
  for (auto entry = entries_.rbegin(); entry != entries_.rend(); ++entry)
    if (entry->subject != kInterface) put_back(*entry);  // an interface that goes takes its routes along
  entries_.clear();
  if (any) save();
}

}  // namespace wg::control
