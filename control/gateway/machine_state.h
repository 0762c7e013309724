// The daemon's changes to the machine beside its own interfaces: sysctls, and flags and MTU of the wires.
// Each value that was there before is on disk before it is changed, and put back at the stop; after a crash
// by the next run, which knows what was there before the first (docs/decisions/0042-drift.md). A value that
// another program has changed meanwhile stays.
//
// Control thread only.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "control/gateway/state_file.h"
#include "control/interface/own_sysctls.h"
#include "control/kernel/netlink_configure.h"
#include "control/log.h"

namespace wg::control {

class MachineState {
 public:
  // Reads what a run that crashed has left in the directory. What is of another boot or another network
  // namespace is void.
  MachineState(const std::string& directory, NetlinkConfigure& netlink, Logger log);

  // ---- changes, each remembered first
  // Both families, and router advertisements that the machine took before are taken still.
  void enable_forwarding();
  Expected<> set_sysctl(const std::string& path, const std::string& value);
  // Set, or found on, by enable_forwarding().
  [[nodiscard]] std::vector<WantedSysctl> wanted() const;

  enum class LinkSetting : std::uint8_t { kUp, kNoArp, kPromiscuous, kMtu };
  // `before`: 0 or 1, or bytes.
  Expected<> set_link(std::uint32_t ifindex, LinkSetting setting, std::uint32_t value, std::uint32_t before);
  // Interfaces that may leave unreachable routes behind in a crash. On disk with the next save_if_new().
  void note_interface(const std::string& name);
  // Every few seconds.
  void save_if_new();

  // ---- putting back
  // Of one link, newest first; of a link that is gone nothing.
  void put_back_link(std::uint32_t ifindex);
  // Changes of the run that crashed that this one does not make. Once, when the file has been carried out.
  void put_back_rest_of_crash();
  // Everything, at the stop.
  void put_back_all();

  // One thing that was changed. Public for the form of the file.
  struct Entry {
    std::string subject;  // "sysctl", "interface", or the ifindex of a link
    std::string key;      // path below /proc/sys, name, or setting
    std::string before;
    std::string ours;      // "-": put back whatever there is now
    bool current = false;  // of this run
    bool operator==(const Entry&) const = default;
  };
  [[nodiscard]] const std::vector<Entry>& entries() const { return entries_; }

 private:
  void remember(Entry entry);
  void save();
  void put_back(const Entry& entry);
  void put_back_sysctl(const Entry& entry);
  void put_back_link_setting(const Entry& entry);
  void remove_unreachable_routes(const std::string& interface);
  void remember_forwarding(const char* family);
  void keep_router_advertisements();

  std::string path_;
  NetlinkConfigure& netlink_;
  Logger log_;
  std::vector<Entry> entries_;  // in the order of the changes
  OwnSysctls forwarding_;
  bool unsaved_ = false;
  StateFileReports reports_;
};

// The text of the file. `place`: the boot and the network namespace.
[[nodiscard]] std::string to_text(const std::string& place, const std::vector<MachineState::Entry>& entries);
// Empty when it is of another place, or no such file.
[[nodiscard]] std::vector<MachineState::Entry> machine_entries(const std::string& place,
                                                               const std::string& text);

}  // namespace wg::control
