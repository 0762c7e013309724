// Talking to the running gateway.
#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "control/api/json.h"
#include "control/cli/cli.h"

namespace wg::control::cli {

enum class Access {
  kAny,    ///< the read-only socket does when the other one may not be opened
  kAdmin,  ///< must be the control socket
};

/// One connection. Throws CommandFailed: kNotRunning when nobody answers, kFailed and kBadUsage as the
/// answer's error says.
class Gateway {
 public:
  Gateway(const std::string& socket, Access access);
  ~Gateway();
  Gateway(const Gateway&) = delete;
  Gateway& operator=(const Gateway&) = delete;

  Json call(const std::string& method, const Json& params = Json::object(),
            std::chrono::milliseconds patience = std::chrono::seconds{10});
  /// Calls `take` with each event until it returns false or the gateway ends.
  void listen(const Json& params, const std::function<bool(const Json& event)>& take);

 private:
  void send(std::string text);
  std::string line(std::chrono::milliseconds patience);  // -1 ms: for ever; empty: the gateway has closed

  std::string socket_;
  int fd_ = -1;
  std::string received_;
};

}  // namespace wg::control::cli
