// The sockets wg(8) talks to: /var/run/wireguard/<interface>.sock, one per interface.
//
// A WgSocket lives on the control thread's EventLoop. It never waits for a client: input is read as it
// comes, a get is rendered as fast as the client takes it, and a client that neither sends nor takes for
// `idle_timeout` within a request is closed. Created with umask 077; a stale file is removed at start, the
// own one at stop. Buffers that held keys are wiped.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <unordered_map>

#include "control/api/event_loop.h"
#include "control/api/operations.h"

namespace wg::control {

struct WgSocketLimits {
  std::size_t clients = 64;  ///< beyond: accepted and closed at once
  std::chrono::milliseconds idle_timeout{10000};
  std::size_t chunk = 64 * 1024;  ///< bytes read or rendered per turn of the loop
};

inline constexpr const char* kWgSocketDirectory = "/var/run/wireguard";

class WgSocket {
 public:
  /// Throws std::system_error (with the path in its text) when the socket cannot be made, e.g. because
  /// another live process answers on it. `operations` and `loop` outlive this.
  WgSocket(EventLoop& loop, Operations& operations, std::string interface,
           const std::string& directory = kWgSocketDirectory, WgSocketLimits limits = {});
  ~WgSocket();
  WgSocket(const WgSocket&) = delete;
  WgSocket& operator=(const WgSocket&) = delete;

  const std::string& path() const { return path_; }
  std::size_t clients() const { return clients_.size(); }
  /// Serves a connected stream socket (takes ownership); for socketpair tests and socket activation.
  void adopt(int fd);

 private:
  class Client;
  void accept_clients();
  void close_client(int fd);

  EventLoop& loop_;
  Operations& operations_;
  std::string interface_;
  std::string path_;
  WgSocketLimits limits_;
  int listen_fd_ = -1;
  std::unordered_map<int, std::unique_ptr<Client>> clients_;
};

}  // namespace wg::control
