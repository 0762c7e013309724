#include "control/kernel/readiness.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace wg::control {

Readiness::Readiness(int watched)
    : epoll_fd_(epoll_create1(EPOLL_CLOEXEC)), event_fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  bool good = epoll_fd_ >= 0 && event_fd_ >= 0;
  for (const int fd : {watched, event_fd_}) {
    epoll_event event{};
    event.events = EPOLLIN;
    good = good && epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, fd, &event) == 0;
  }
  if (good) return;
  const int error = errno;
  close(epoll_fd_);
  close(event_fd_);
  throw std::system_error(error, std::generic_category(), "watching rtnetlink");
}

Readiness::~Readiness() {
  close(epoll_fd_);
  close(event_fd_);
}

void Readiness::set_more_to_do(bool more) {
  if (more == more_) return;
  more_ = more;
  eventfd_t count = 1;
  more ? eventfd_write(event_fd_, count) : eventfd_read(event_fd_, &count);
}

}  // namespace wg::control
