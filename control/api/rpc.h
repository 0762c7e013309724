// The control sockets: newline-delimited JSON, requests and answers, and a stream of events.
// docs/control-socket.md is the specification.
//
// Two sockets give two roles: control.sock (mode 0660, admin group) may do everything, read.sock (mode 0660,
// read group) may look but neither change anything nor see a secret. Lives on the control thread's
// EventLoop and never waits for a client: requests are bounded, large answers are rendered as the client
// takes them, each caller has one request carried out in a round of the loop, and a subscriber that does not
// keep up loses events (it receives their number) and delays no one.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "control/api/log_source.h"
#include "control/api/rates.h"
#include "control/api/ring_source.h"
#include "control/api/rpc_access.h"
#include "control/api/stream.h"
#include "control/api/unix_socket.h"
#include "control/api/watch_source.h"
#include "control/loop/event_loop.h"

namespace wg::control {

// Bytes of one line. What a reader may send holds the control thread for as long as parsing it takes.
inline constexpr std::size_t kRpcRequestMax = std::size_t{1} << 20;
inline constexpr std::size_t kRpcReadRequestMax = std::size_t{1} << 14;
inline constexpr unsigned kRpcNestingMax = 16;  // arrays and objects within one another
inline constexpr std::size_t kRpcEventBacklogMax = std::size_t{1} << 18;  // bytes waiting for one subscriber
inline constexpr std::size_t kRpcWatchBacklogMax = std::size_t{1} << 20;  // bytes of a capture that wait
// The number of connections of the control socket that may have interfaces bound to them: these are not
// closed to make room for others.
inline constexpr std::size_t bound_connections_max(std::size_t connections) {
  return connections * 3 / 4;
}
inline constexpr unsigned kRpcInFlightMax = 16;  // unanswered requests of one client

struct RpcSockets {
  std::string admin_path;   // control.sock
  std::string read_path;    // empty: no read-only socket
  std::string admin_group;  // empty: the process's own group
  std::string read_group;
};

// read.sock beside control.sock, west-read.sock beside west.sock.
std::string read_socket_beside(const std::string& admin_path);

enum class RpcRole : std::uint8_t { kRead, kAdmin };

// The objects that the sockets serve; they outlive the server. The read-only socket is given `status` alone.
struct RpcTargets {
  const StatusSource& status;
  const SecretSource& secrets;
  ChangeSink& changes;
  OnChange on_change;
  WatchSource* watches = nullptr;  // null: captures and traces are refused
  RateSource* rates = nullptr;     // for both sockets; null: rates are refused
  LogSource* log = nullptr;        // null: log.subscribe is refused
  RingSource* rings = nullptr;     // null: rings are refused
  OnChange on_read = {};           // before a method that only reads; empty: not reported
};

class RpcServer {
 public:
  // Throws std::system_error when a socket cannot be made (another instance answers on it, unknown group).
  RpcServer(EventLoop& loop, const RpcTargets& targets, const RpcSockets& sockets, StreamLimits limits = {});
  ~RpcServer();
  RpcServer(const RpcServer&) = delete;
  RpcServer& operator=(const RpcServer&) = delete;

  // Sends an event to every subscriber.
  void publish(const GatewayEvent& event);
  // Gives up the addresses and takes no more requests. Connections end when their answers are out, those
  // without an open request at once.
  void retire();
  std::size_t subscribers() const { return counts_.subscribers; }
  std::size_t clients() const { return admins_.size() + readers_.size(); }
  // Serves a connected non-blocking stream socket (takes ownership).
  void adopt(int fd, RpcRole role);

 private:
  class Client;
  // State that clients share: the numbers of those in each mode.
  struct Counts {
    std::size_t subscribers = 0;
    std::size_t log_subscribers = 0;
    std::size_t bound = 0;  // connections that interfaces are bound to
    const std::size_t bound_max = 0;
  };
  std::vector<std::shared_ptr<Stream>> all_clients() const;
  void follow_log();
  void publish_line(const LogLine& line);

  EventLoop& loop_;
  const ReadAccess read_access_;
  const AdminAccess admin_access_;
  RateSource* const rates_;
  LogSource* const log_;
  const OnChange on_read_;
  std::uint64_t log_follower_ = 0;  // 0: the log is not followed
  Counts counts_;
  StreamSet admins_, readers_;  // apart, so that readers cannot crowd out the administrator
  std::unique_ptr<UnixListener> admin_listener_, read_listener_;
};

}  // namespace wg::control
