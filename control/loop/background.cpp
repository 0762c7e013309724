#include "control/loop/background.h"

#include <exception>
#include <utility>

#include "control/surely.h"

namespace wg::control {

void Background::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void Background::run(std::function<void()> task, std::function<void()> done) {
  {
    const std::lock_guard lock(mutex_);
    items_.push_back({std::move(task), std::move(done)});
  }
  wake_.notify_one();
}

void Background::run() {
  for (;;) {
    Item item;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return stopping_ || !items_.empty(); });
      if (stopping_) return;
      item = std::move(items_.front());
      items_.pop_front();
    }
    try {
      item.task();
    } catch (const std::exception&) {
      // The failure goes to the loop, because this thread has no caller. `done` follows: a caller waits for
      // it.
      surely([&] { loop_.post([failed = std::current_exception()] { std::rethrow_exception(failed); }); });
    }
    if (item.done) surely([&] { loop_.post(item.done); });
  }
}

}  // namespace wg::control
