// A network namespace of a test's own.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <thread>

namespace wg::dataplane::test {

// It disappears with its last file descriptor.
class Namespace {
 public:
  Namespace() {
    std::thread([this] {
      if (::unshare(CLONE_NEWNET) == 0) fd_ = ::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    }).join();
  }
  ~Namespace() {
    if (fd_ >= 0) ::close(fd_);
  }
  Namespace(const Namespace&) = delete;
  Namespace& operator=(const Namespace&) = delete;
  [[nodiscard]] bool usable() const { return fd_ >= 0; }

  template <typename Body>
  void run(Body body) const {
    std::thread([&] {
      ASSERT_EQ(::setns(fd_, CLONE_NEWNET), 0);
      body();
    }).join();
  }

 private:
  int fd_ = -1;
};

}  // namespace wg::dataplane::test
