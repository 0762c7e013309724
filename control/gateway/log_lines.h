// The lines of the log, brought from the writer's thread to those who follow them on the control thread.
//
// W: the writer's thread (the queue). R: the control thread. Without a follower nothing is copied.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>

#include "control/api/log_source.h"
#include "control/loop/event_loop.h"

namespace wg::control {

class LogLines final : public LogSource {
 public:
  static constexpr std::size_t kWaitingMax = 4096;  // lines that the control thread has not taken yet

  explicit LogLines(EventLoop& loop);
  ~LogLines() override;
  LogLines(const LogLines&) = delete;
  LogLines& operator=(const LogLines&) = delete;

  [[nodiscard]] std::uint64_t follow(Follower follower) override;
  void unfollow(std::uint64_t id) override;

 private:
  struct Queue;
  void deliver();

  EventLoop& loop_;
  std::shared_ptr<Queue> queue_;
  std::map<std::uint64_t, Follower> followers_;
  std::uint64_t next_id_ = 1;
};

}  // namespace wg::control
