// The sockets of wg(8): /var/run/wireguard/<interface>.sock, one per interface.
//
// A WgSocket lives on the control thread's EventLoop. It never waits for a client: it reads input as it
// arrives and renders a get as fast as the client reads. It closes a client that makes no progress within a
// request or an answer for `idle_timeout`. The file has mode 0700. A stale file is removed at start, the
// socket's own file at stop. Buffers are wiped. An idle client costs only its descriptor.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "control/api/change_sink.h"
#include "control/api/rpc_access.h"
#include "control/api/secret_source.h"
#include "control/api/stream.h"
#include "control/api/unix_socket.h"
#include "control/loop/event_loop.h"

namespace wg::control {

inline constexpr const char* kWgSocketDirectory = "/var/run/wireguard";

// Called before a set is applied, whatever becomes of it: for the log.
using OnWgSet = std::function<void(const RpcCaller& caller, const WgSet& set)>;

class WgSocket {
 public:
  // Throws std::system_error (with the path in its text) when the socket cannot be made, e.g. because
  // another live process answers on it. What it refers to outlives this.
  WgSocket(EventLoop& loop, const SecretSource& secrets, ChangeSink& changes, std::string interface,
           const std::string& directory = kWgSocketDirectory, StreamLimits limits = {}, OnWgSet on_set = {});
  WgSocket(const WgSocket&) = delete;
  WgSocket& operator=(const WgSocket&) = delete;

  const std::string& path() const { return listener_.path(); }
  std::size_t clients() const { return clients_.size(); }
  // Serves a connected non-blocking stream socket and takes ownership of it.
  void adopt(int fd);

 private:
  EventLoop& loop_;
  const SecretSource& secrets_;
  ChangeSink& changes_;
  std::string interface_;
  const OnWgSet on_set_;
  UnixListener listener_;
  StreamSet clients_;
};

}  // namespace wg::control
