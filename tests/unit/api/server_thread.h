// A loop on its own thread, for tests whose clients are real processes or block.
#pragma once

#include <future>
#include <thread>

#include "control/loop/event_loop.h"

namespace wg::control::test {

class ServerThread {
 public:
  ServerThread() : thread_([this] { loop.run(); }) {}
  ~ServerThread() {
    loop.stop();
    thread_.join();
  }
  ServerThread(const ServerThread&) = delete;
  ServerThread& operator=(const ServerThread&) = delete;

  // Runs `work` on the loop's thread and waits for it.
  template <typename Work>
  void on_loop(Work work) {
    std::promise<void> done;
    loop.post([&] {
      work();
      done.set_value();
    });
    done.get_future().wait();
  }

  EventLoop loop;

 private:
  std::thread thread_;
};

}  // namespace wg::control::test
