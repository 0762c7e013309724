// One thread for what may block (files, parsing large configurations), so that the control thread never does.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

#include "control/loop/event_loop.h"

namespace wg::control {

class Background {
 public:
  explicit Background(EventLoop& loop) : loop_(loop), thread_([this] { run(); }) {}
  ~Background() { stop(); }
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;

  // Finishes the task at hand and drops the others; later ones are dropped too.
  void stop();
  // Runs `task` on the thread, then `done` on the control thread. In order.
  void run(std::function<void()> task, std::function<void()> done);

 private:
  struct Item {
    std::function<void()> task, done;
  };
  void run();

  EventLoop& loop_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Item> items_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace wg::control
