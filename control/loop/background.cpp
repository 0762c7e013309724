#include "control/loop/background.h"

#include <chrono>
#include <exception>
#include <new>
#include <utility>

namespace wg::control {
namespace {

// A caller waits for it, so lack of memory only delays it; this thread may sleep.
void post_surely(EventLoop& loop, const std::function<void()>& call) {
  for (;;) {
    try {
      return loop.post(call);
    } catch (const std::bad_alloc&) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }
}

}  // namespace

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
      post_surely(loop_, [failed = std::current_exception()] { std::rethrow_exception(failed); });
    }
    if (item.done) post_surely(loop_, item.done);
  }
}

}  // namespace wg::control
