// A descriptor for an event loop: readable while another descriptor is, or while its owner has more to do
// than what the other one tells of.
#pragma once

namespace wg::control {

class Readiness {
 public:
  // `watched` outlives this object. Throws std::system_error.
  explicit Readiness(int watched);
  ~Readiness();
  Readiness(const Readiness&) = delete;
  Readiness& operator=(const Readiness&) = delete;

  [[nodiscard]] int fd() const { return epoll_fd_; }
  void set_more_to_do(bool more);

 private:
  int epoll_fd_ = -1;
  int event_fd_ = -1;  // readable while `more_`
  bool more_ = false;
};

}  // namespace wg::control
