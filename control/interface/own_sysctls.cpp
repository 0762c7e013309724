#include "control/interface/own_sysctls.h"

#include <algorithm>

#include "control/ignore.h"

namespace wg::control {

void OwnSysctls::set(const std::string& path, const std::string& value) {
  const Expected<> written = write_sysctl(path, value);
  if (written || read_sysctl(path).value_or("") == value) return keep(path, value);
  ignore(written, "/proc/sys may be read-only, the kernel may lack IPv6");
}

void OwnSysctls::set_v4(const std::string& link, const char* leaf, const char* value) {
  set("net/ipv4/conf/" + link + "/" + leaf, value);
}

void OwnSysctls::set_v6(const std::string& link, const char* leaf, const char* value) {
  set("net/ipv6/conf/" + link + "/" + leaf, value);
}

void OwnSysctls::keep(const std::string& path, const std::string& value) {
  const auto known =
      std::find_if(all_.begin(), all_.end(), [&](const WantedSysctl& wanted) { return wanted.path == path; });
  if (known != all_.end()) {
    known->value = value;
  } else {
    all_.push_back({path, value});
  }
}

}  // namespace wg::control
