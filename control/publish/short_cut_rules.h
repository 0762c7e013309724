// May we answer for Linux? A packet takes the short cut only if Linux would do exactly the same with it. What
// is not modelled here is left to Linux. The table in docs/architecture.md, "What may take the short cut",
// names every condition.
//
// These are questions about the state of Linux. The answers go into the published ports, interfaces and
// routes, so that no packet pays for them.
#pragma once

#include <optional>
#include <string>

#include "control/kernel/netlink_mirror.h"

namespace wg::control {

class ShortCutRules {
 public:
  // Only the control thread calls. `mirror` outlives it.
  explicit ShortCutRules(const NetlinkMirror& mirror) : mirror_(mirror) {}

  // ---- where packets come in. `link`: a TAP, a VLAN device on one, or a TUN.
  // Do frames that come in by the link belong to its own IP stack? Not those of a bridge, a bond, an ipvlan
  // or an XDP program.
  [[nodiscard]] bool keeps_its_frames(const Link& link) const;
  // Would Linux forward any IP packet that comes in by the link, without looking at its source?
  [[nodiscard]] bool forwards_from(const Link& link, bool v6) const { return !hindrance(link, v6); }
  // The sysctl that is off, or that makes Linux look at sources: "net.ipv4.conf.lan0.forwarding is 0".
  [[nodiscard]] std::optional<std::string> forwarding_is_off(const Link& link, bool v6) const;
  [[nodiscard]] std::optional<std::string> source_is_checked(const Link& link, bool v6) const;
  // Why not, as the end of a sentence: "net.ipv4.conf.lan0.forwarding is 0". nullopt: it would.
  [[nodiscard]] std::optional<std::string> hindrance(const Link& link, bool v6) const;

  // ---- where packets go
  // Does the destination alone decide, by the tables local and main? Not with routing rules of the operator.
  [[nodiscard]] bool destination_decides(bool v6) const;
  // The entry of the longest-prefix match for exactly this prefix. type RTN_UNSPEC and not `unsure`: no
  // entry. `unsure`: Linux decides.
  [[nodiscard]] Resolved route_for(const IpPrefix& prefix) const;

 private:
  [[nodiscard]] bool has_address(const Link& link, bool v6) const;

  const NetlinkMirror& mirror_;
};

}  // namespace wg::control
