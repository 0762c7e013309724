// Warnings for an operator, in one sentence each: which rules of Linux the short cut passes by, and
// what keeps packets off it. `show` lists them; the log says when one begins and when it is over.
#pragma once

#include <string>
#include <vector>

#include "control/gateway/objects.h"
#include "control/log.h"
#include "control/services.h"

namespace wg::control {

class Notices {
 public:
  Notices(const Services& services, const Objects& objects, Logger log);

  // Asks Linux again. Once a second, and when a plan was carried out.
  void refresh();
  [[nodiscard]] const std::vector<std::string>& current() const { return current_; }

 private:
  [[nodiscard]] std::vector<std::string> gather() const;
  void add_hindrances(const std::string& what, std::uint32_t ifindex, std::vector<std::string>& out) const;
  void add_rules(std::vector<std::string>& out) const;
  [[nodiscard]] bool short_cut_is_used() const;
  [[nodiscard]] bool port_to_port_is_used() const;

  const Services& services_;
  const Objects& objects_;
  Logger log_;
  std::vector<std::string> current_;
};

}  // namespace wg::control
