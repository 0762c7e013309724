// The signals that end and reload the daemon: SIGTERM and SIGINT, and SIGHUP. They are blocked in every
// thread (daemon.cpp) and arrive here, on the control thread.
#pragma once

#include <functional>

#include "control/loop/event_loop.h"

namespace wg::control {

class Signals {
 public:
  struct Actions {
    std::function<void()> reload;
    std::function<void(int signal)> stop;
  };

  explicit Signals(EventLoop& loop) : loop_(loop) {}
  ~Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  // From here on `actions` are called. Throws std::runtime_error.
  void watch(Actions actions);

 private:
  void receive();

  EventLoop& loop_;
  Actions actions_;
  int fd_ = -1;  // signalfd(2); -1: not watched
};

}  // namespace wg::control
