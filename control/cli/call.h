// Requests to the running gateway over its control socket.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>

#include "control/api/json.h"
#include "control/cli/cli.h"

namespace wg::control::cli {

enum class Access {
  kAny,    // falls back to the read-only socket when opening the control socket is not permitted
  kAdmin,  // requires the control socket
};

constexpr std::chrono::seconds kPatience{10};

// One connection to the gateway. Throws CommandFailed: kNotRunning without an answer, kFailed or kBadUsage by
// the error code of the answer.
class RpcClient {
 public:
  RpcClient(const std::string& socket, Access access);
  ~RpcClient();
  RpcClient(const RpcClient&) = delete;
  RpcClient& operator=(const RpcClient&) = delete;

  Json call(const std::string& method, const Json& params = Json::object(),
            std::chrono::milliseconds patience = kPatience);
  // nullopt: the interface or the peer that `params` names does not exist.
  std::optional<Json> try_call(const std::string& method, const Json& params);
  // Subscribes to events and calls `take` with each one until it returns false or the gateway stops.
  void listen(const Json& params, const std::function<bool(const Json& event)>& take);
  // One piece of a capture's stream. nullopt: nothing within `patience`. Empty: the end.
  std::optional<std::string> receive(std::chrono::milliseconds patience);
  // Nothing more will be asked; the gateway finishes what it is sending.
  void end_requests();

 private:
  Json ask(const std::string& method, const Json& params, std::chrono::milliseconds patience);
  [[noreturn]] void refused(const Json& error, const Json& params);
  std::string nearest_existing(const Json& params);
  void send(std::string text);
  std::string line(std::chrono::milliseconds patience);  // -1 ms: no limit. Returns an empty line when the
                                                         // gateway has closed the connection.

  std::string socket_;
  int fd_ = -1;
  std::string received_;
};

}  // namespace wg::control::cli
