#include "control/kernel/sysctl.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>
#include <vector>

#include "dataplane/base/directory.h"

namespace wg::control {
namespace {

std::string family_path(const std::string& link, bool v6, const char* leaf) {
  return std::string("net/") + (v6 ? "ipv6" : "ipv4") + "/conf/" + link + "/" + leaf;
}

Expected<> write_link_sysctl(const std::string& link, bool v6, const char* leaf, int value) {
  const std::string path = family_path(link, v6, leaf);
  // An interface name must be a single path component.
  if (link.empty() || link == "." || link == ".." || link.find('/') != std::string::npos) {
    return Refusal::from_errno(EINVAL, "writing " + path);
  }
  return write_sysctl(path, std::to_string(value));
}

}  // namespace

Expected<> write_sysctl(const std::string& path, std::string_view value) {
  const std::string what = "writing " + std::string(value) + " to /proc/sys/" + path;
  const int fd = ::open(("/proc/sys/" + path).c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return Refusal::from_errno(errno, what);
  const ssize_t written = ::write(fd, value.data(), value.size());
  const int error = written < 0 ? errno : 0;
  ::close(fd);
  if (error != 0) return Refusal::from_errno(error, what);
  return {};
}

Expected<std::string> read_sysctl(const std::string& path) {
  const std::string what = "reading /proc/sys/" + path;
  const int fd = ::open(("/proc/sys/" + path).c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return Refusal::from_errno(errno, what);
  char text[256];
  const ssize_t got = ::read(fd, text, sizeof text);
  const int error = got < 0 ? errno : 0;
  ::close(fd);
  if (error != 0) return Refusal::from_errno(error, what);
  std::string value(text, static_cast<std::size_t>(got));
  while (!value.empty() && value.back() == '\n') value.pop_back();
  return value;
}

Expected<> set_ipv6_disabled(const std::string& link, bool disabled) {
  return write_link_sysctl(link, true, "disable_ipv6", disabled);
}

Expected<> set_forwarding(const std::string& link, IpVersion version, Switch wanted) {
  return write_link_sysctl(link, version == IpVersion::kV6, "forwarding", wanted == Switch::kOn);
}

Expected<> enable_ipv4_forwarding() {
  const std::string all = kIpForward;
  if (read_sysctl(all).value_or("0") != "0") return {};
  std::vector<std::string> off;
  for (const std::string& link : names_in("/proc/sys/net/ipv4/conf")) {
    const bool is_link = link != "all" && link != "default";
    if (is_link && read_sysctl(family_path(link, false, "forwarding")) == "0") off.push_back(link);
  }
  if (Expected<> result = write_sysctl(all, "1"); !result) return result;
  Expected<> first_failure;
  for (const std::string& link : off) {
    Expected<> result = set_forwarding(link, IpVersion::kV4, Switch::kOff);
    if (!result && first_failure) first_failure = std::move(result);
  }
  return first_failure;
}

Expected<> set_rp_filter(const std::string& link, int mode) {
  return write_link_sysctl(link, false, "rp_filter", mode);
}

Expected<> set_accept_dad(const std::string& link, int mode) {
  return write_link_sysctl(link, true, "accept_dad", mode);
}

Expected<> set_addr_gen_mode(const std::string& link, int mode) {
  return write_link_sysctl(link, true, "addr_gen_mode", mode);
}

}  // namespace wg::control
