// How a sleeper is woken: an eventfd written only while the other side says it sleeps.
#pragma once

#include <atomic>

namespace wg::dataplane {

class Doorbell {
 public:
  Doorbell();  // throws std::runtime_error without a file descriptor
  ~Doorbell();
  Doorbell(const Doorbell&) = delete;
  Doorbell& operator=(const Doorbell&) = delete;

  // ---- the sleeper
  [[nodiscard]] int fd() const noexcept { return fd_; }
  // Work posted before this call rang no bell: look once more before sleeping.
  void prepare_sleep() noexcept;
  void awake() noexcept;

  // ---- any thread
  void ring() noexcept;  // one system call at most, none while the sleeper is awake

 private:
  int fd_;
  std::atomic<bool> sleeping_{false};
};

}  // namespace wg::dataplane
