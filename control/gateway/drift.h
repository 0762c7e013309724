// Keeps Linux as the file says, or says where it is not. What was lost (an address, a route) is put back
// after a second; what an operator has set otherwise (MTU, MAC address, up or down, a sysctl) is shown, and
// put back by `reload` (docs/decisions/0042-drift.md).
//
// Control thread only.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "control/gateway/objects.h"
#include "control/gateway/running_config.h"
#include "control/kernel/wanted_link.h"
#include "control/log.h"
#include "control/services.h"

namespace wg::control {

class Drift {
 public:
  Drift(Services& services, Objects& objects, const RunningConfig& running, Logger log);

  // Called with the changes that the mirror has just taken.
  void on_changes(const std::vector<Change>& changes);
  void every_second();
  // At a reload: everything. In words, what was put back; routes of many peers follow in steps.
  std::vector<std::string> put_back_all();
  // As it is now, in words.
  [[nodiscard]] std::vector<std::string> now();
  // As of the last second.
  [[nodiscard]] const std::vector<std::string>& current() const { return current_; }

 private:
  struct Found {
    WantedLink wanted;
    Deviation deviation;
  };
  // State of a thing that is lost repeatedly.
  struct Patience {
    unsigned used = 0;
    unsigned rest = 0;   // seconds until it is tried again
    unsigned quiet = 0;  // seconds without a loss; of routes
  };

  [[nodiscard]] std::vector<WantedLink> wanted() const;
  [[nodiscard]] std::vector<Found> find() const;
  void read_sysctls(std::size_t links);
  [[nodiscard]] bool may_try(const std::string& what);
  void check_routes();
  bool mend(const Found& found);
  void report(std::vector<std::string> now);
  void announce(GatewayEventKind kind, const std::string& detail);
  std::string put_back_routes(const std::string& name, Interface& interface);

  Services& services_;
  Objects& objects_;
  const RunningConfig& running_;
  Logger log_;
  std::vector<std::string> current_;
  std::vector<std::string> before_;                        // found a second ago
  std::map<std::string, Patience> patience_;               // by what is lost
  std::map<std::string, std::vector<Deviation>> sysctls_;  // as they were last read, by WantedLink::what
  std::size_t next_link_ = 0;                              // whose sysctls are read
};

}  // namespace wg::control
