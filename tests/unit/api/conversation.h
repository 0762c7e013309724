// One end of a socketpair whose other end is served on a loop that the test turns by hand.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <string>
#include <string_view>

#include "control/loop/event_loop.h"

namespace wg::control::test {

class Conversation {
 public:
  // `serve(fd)` gives the other end to the server under test.
  template <typename Serve>
  Conversation(EventLoop& loop, Serve serve) : loop_(loop) {
    std::array<int, 2> ends{};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()) != 0) std::abort();
    fd_ = ends[0];
    serve(ends[1]);
  }
  ~Conversation() { close(); }
  Conversation(const Conversation&) = delete;
  Conversation& operator=(const Conversation&) = delete;

  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  void end_of_input() { shutdown(fd_, SHUT_WR); }

  // Sends all of it, turning the loop when the socket is full; false when the other end has closed.
  bool say(std::string_view bytes) {
    while (!bytes.empty()) {
      const auto sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent > 0) {
        bytes.remove_prefix(static_cast<std::size_t>(sent));
      } else if (errno != EAGAIN) {
        return false;
      } else {
        turn();
        take();
      }
    }
    return true;
  }

  // Turns the loop until nothing more comes for a while (long answers are made in many turns); what has been
  // heard since the last call.
  std::string hear() {
    for (int quiet = 0; quiet < 200;) {
      turn();
      quiet = take() ? 0 : quiet + 1;
    }
    return std::exchange(heard_, {});
  }

  // What has arrived, without a turn of the loop.
  std::string heard() {
    while (take()) continue;
    return std::exchange(heard_, {});
  }

  std::string ask(std::string_view bytes) {
    say(bytes);
    return hear();
  }

  // The other end has closed (as far as it has been heard).
  bool ended() {
    hear_more();
    return ended_;
  }

 private:
  void turn() { loop_.run_once(std::chrono::milliseconds{0}); }
  void hear_more() {
    for (int i = 0; i < 5; ++i) {
      turn();
      take();
    }
  }
  bool take() {
    std::array<char, 65536> buffer;
    const auto got = recv(fd_, buffer.data(), buffer.size(), 0);
    if (got > 0) heard_.append(buffer.data(), static_cast<std::size_t>(got));
    ended_ = ended_ || got == 0 || (got < 0 && errno == ECONNRESET);
    return got > 0;
  }

  EventLoop& loop_;
  int fd_ = -1;
  std::string heard_;
  bool ended_ = false;
};

}  // namespace wg::control::test
