#include "control/gateway/log_lines.h"

#include <mutex>
#include <utility>
#include <vector>

#include "control/log.h"

namespace wg::control {

struct LogLines::Queue {
  std::mutex mutex;
  std::vector<LogLine> lines;
  std::uint64_t lost = 0;
  bool posted = false;

  // True: the control thread must be woken.
  bool push(LogLine&& line) {
    const std::lock_guard lock(mutex);
    if (lines.size() >= kWaitingMax) {
      ++lost;
      return false;
    }
    line.lost = std::exchange(lost, 0);
    lines.push_back(std::move(line));
    return !std::exchange(posted, true);
  }
  std::vector<LogLine> take() {
    const std::lock_guard lock(mutex);
    posted = false;
    return std::exchange(lines, {});
  }
};

LogLines::LogLines(EventLoop& loop) : loop_(loop), queue_(std::make_shared<Queue>()) {}

LogLines::~LogLines() {
  tap_log({});
}

std::uint64_t LogLines::follow(Follower follower) {
  if (followers_.empty())
    tap_log([this, queue = queue_](LogLine&& line) {
      if (!queue->push(std::move(line))) return;
      loop_.post([this, weak = std::weak_ptr<Queue>(queue)] {
        if (!weak.expired()) deliver();
      });
    });
  followers_.emplace(next_id_, std::move(follower));
  return next_id_++;
}

void LogLines::unfollow(std::uint64_t id) {
  followers_.erase(id);
  if (followers_.empty()) tap_log({});
}

// A follower may unfollow while it is called.
void LogLines::deliver() {
  const std::map<std::uint64_t, Follower> followers = followers_;
  for (const LogLine& line : queue_->take())
    for (const auto& [id, follower] : followers)
      if (followers_.contains(id)) follower(line);
}

}  // namespace wg::control
