// The sysctls that were set for a link, with the values that they should keep.
#pragma once

#include <string>
#include <vector>

#include "control/kernel/sysctl.h"

namespace wg::control {

class OwnSysctls {
 public:
  // One that cannot be written is not kept: /proc/sys of a container may be read-only, the kernel may lack
  // IPv6.
  void set(const std::string& path, const std::string& value);
  void set_v4(const std::string& link, const char* leaf, const char* value);
  void set_v6(const std::string& link, const char* leaf, const char* value);
  // For one that another part has set.
  void keep(const std::string& path, const std::string& value);
  [[nodiscard]] const std::vector<WantedSysctl>& all() const { return all_; }

 private:
  std::vector<WantedSysctl> all_;
};

}  // namespace wg::control
