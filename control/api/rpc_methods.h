// The methods of the control socket, apart from how bytes come and go.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "control/api/json.h"
#include "control/api/operations.h"
#include "control/api/rpc.h"
#include "control/api/stream.h"

namespace wg::control {

/// Where the answer to one request goes: exactly one of the three, once, at any time on the loop's thread.
/// Copyable; does nothing when the client has gone.
struct RpcAnswer {
  std::function<void(Json result)> result;
  /// Codes: bad_json, bad_request, unsupported_version, unknown_method, bad_params, forbidden, not_found,
  /// exists, invalid, busy, failed, too_large.
  std::function<void(std::string_view code, const std::string& message)> error;
  /// The whole `result` as text, piece by piece.
  std::function<void(Stream::Source)> stream;
};

struct RpcMethod {
  std::string_view name;
  RpcRole role;  ///< the least that may call it
  bool changes;
  void (*call)(Operations& operations, Json& params, const RpcAnswer& answer);
};

/// nullptr: no such method. `subscribe` and `unsubscribe` belong to the client itself and are not here.
const RpcMethod* find_rpc_method(std::string_view name);

}  // namespace wg::control
