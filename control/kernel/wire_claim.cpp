#include "control/kernel/wire_claim.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <optional>
#include <utility>

namespace wg::control {

namespace {

struct AbstractName {
  sockaddr_un address{};
  socklen_t length = 0;
  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&address); }
};

// The first byte of the path stays zero: no file, and a name of this network namespace alone.
AbstractName name_of(std::uint32_t ifindex) {
  const std::string name = "linegate/wire/" + std::to_string(ifindex);
  AbstractName out;
  out.address.sun_family = AF_UNIX;
  std::copy(name.begin(), name.end(), out.address.sun_path + 1);
  out.length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  return out;
}

int open_socket() {
  return ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

std::optional<ucred> holder_of(const AbstractName& name) {
  const int fd = open_socket();
  ucred holder{};
  socklen_t length = sizeof holder;
  const bool known = fd >= 0 && ::connect(fd, name.get(), name.length) == 0 &&
                     ::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &holder, &length) == 0;
  if (fd >= 0) ::close(fd);
  return known ? std::optional(holder) : std::nullopt;
}

// Any process may bind the name. Only one that could open the wire as well is believed.
bool is_believed(const ucred& holder) {
  return holder.uid == 0 || holder.uid == ::geteuid();
}

}  // namespace

Expected<WireClaim> WireClaim::take(std::uint32_t ifindex, const std::string& name) {
  WireClaim claim(open_socket());
  if (claim.fd_ < 0) return Refusal{errno, std::string("a socket: ") + std::strerror(errno)};
  const AbstractName own = name_of(ifindex);
  if (::bind(claim.fd_, own.get(), own.length) == 0) {
    ::listen(claim.fd_, 8);
    return claim;
  }
  const int error = errno;
  if (error != EADDRINUSE) return Refusal{error, "claiming " + name + ": " + std::strerror(error)};
  const std::optional<ucred> holder = holder_of(own);
  if (holder && !is_believed(*holder)) return claim;
  const std::string who = holder ? "process " + std::to_string(holder->pid) : "another process";
  return Refusal{EBUSY,
                 name + " is the wire of another gateway (" + who + "): stop that one, or use another wire"};
}

WireClaim::~WireClaim() {
  if (fd_ >= 0) ::close(fd_);
}

WireClaim::WireClaim(WireClaim&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

WireClaim& WireClaim::operator=(WireClaim&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

}  // namespace wg::control
