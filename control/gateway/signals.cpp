#include "control/gateway/signals.h"

#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <utility>

#include "dataplane/base/expected.h"

namespace wg::control {

Signals::~Signals() {
  if (fd_ < 0) return;
  loop_.remove(fd_);
  close(fd_);
}

void Signals::watch(Actions actions) {
  actions_ = std::move(actions);
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, signal);
  fd_ = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
  if (fd_ < 0) value_or_throw(Expected<>(Refusal::from_errno(errno, "signalfd")));
  value_or_throw(loop_.add(fd_, EPOLLIN, [this](std::uint32_t) { receive(); }));
}

void Signals::receive() {
  signalfd_siginfo info;
  while (read(fd_, &info, sizeof info) == sizeof info) {
    if (info.ssi_signo == SIGHUP) {
      actions_.reload();
    } else {
      actions_.stop(static_cast<int>(info.ssi_signo));
    }
  }
}

}  // namespace wg::control
