// The control sockets: newline-delimited JSON, requests and answers, and a stream of events.
// docs/control-socket.md is the specification.
//
// Two sockets give two roles: control.sock (mode 0660, admin group) may do everything, read.sock (mode
// 0660, read group) may look but neither change anything nor see a secret. Lives on the control thread's
// EventLoop; never waits for a client; requests are bounded, large answers are rendered as the client takes
// them, and a subscriber that does not keep up loses events (it is told how many), never delays anyone.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>

#include "control/api/event_loop.h"
#include "control/api/operations.h"

namespace wg::control {

inline constexpr int kRpcVersion = 1;

struct RpcLimits {
  std::size_t clients = 64;
  std::size_t request_bytes = std::size_t{1} << 20;
  std::size_t event_backlog_bytes = std::size_t{1} << 18;
  std::chrono::milliseconds idle_timeout{10000};  ///< within a request or an answer
  std::size_t chunk = 64 * 1024;
};

struct RpcSockets {
  std::string admin_path;   ///< control.sock
  std::string read_path;    ///< empty: no read-only socket
  std::string admin_group;  ///< empty: the process's own group
  std::string read_group;
};

/// read.sock beside control.sock.
std::string read_socket_beside(const std::string& admin_path);

class RpcServer {
 public:
  enum class Role : std::uint8_t { kRead, kAdmin };

  /// Throws std::system_error when a socket cannot be made (another instance answers on it, unknown group).
  RpcServer(EventLoop& loop, Operations& operations, const RpcSockets& sockets, RpcLimits limits = {});
  ~RpcServer();
  RpcServer(const RpcServer&) = delete;
  RpcServer& operator=(const RpcServer&) = delete;

  /// Sends an event to every subscriber.
  void publish(const GatewayEvent& event);
  std::size_t clients() const;
  void adopt(int fd, Role role);

 private:
  struct Shared;  // outlived by answers that are still on their way
  std::shared_ptr<Shared> shared_;
};

}  // namespace wg::control
