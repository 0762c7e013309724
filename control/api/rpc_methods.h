// The methods of the control socket, apart from how bytes come and go.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <variant>

#include "control/api/change_sink.h"
#include "control/api/json.h"
#include "control/api/ring_source.h"
#include "control/api/secret_source.h"
#include "control/api/status_source.h"
#include "control/api/stream.h"
#include "control/api/watch_source.h"

namespace wg::control {

inline constexpr int kRpcVersion = 1;
inline constexpr const char* kLogLevelsAllowed = "level is one of off, error, warn, info, debug, trace";

// Where the answer to one request goes: exactly one of the three, once, at any time on the loop's thread.
// Copyable; does nothing when the client has gone.
struct RpcAnswer {
  std::function<void(Json result)> result;
  // Codes: bad_json, bad_request, unsupported_version, unknown_method, bad_params, forbidden, not_found,
  // exists, invalid, busy, failed, too_large.
  std::function<void(std::string_view code, const std::string& message)> error;
  // The whole `result` as text, piece by piece.
  std::function<void(Stream::Source)> stream;
};

// A method's type says what it can do: the read-only socket calls the first kind alone.
using ReadMethod = void (*)(const StatusSource& status, Json& params, const RpcAnswer& answer);
using SecretMethod = void (*)(const SecretSource& secrets, Json& params, const RpcAnswer& answer);
using ChangeMethod = void (*)(ChangeSink& sink, Json& params, const RpcAnswer& answer);
// Interfaces it makes may be bound to `connection`, and end with it. 0: cannot be bound.
using BindMethod = void (*)(ChangeSink& sink, std::uint64_t connection, Json& params,
                            const RpcAnswer& answer);

struct RpcMethod {
  std::string_view name;
  std::variant<ReadMethod, SecretMethod, ChangeMethod, BindMethod> call;
  bool changes = false;  // whoever called it is logged
};

// Codes of refusals by errno: not_found, exists, invalid, busy, failed.
const char* name_of_refusal(int code);
// Reads the params of `capture` and `trace`. Throws BadParam for a wrong value.
WatchRequest watch_request_of(const Json& params, bool trace);

// Reads the params of `ring.open`. Throws BadParam for a wrong value.
RingRequest ring_request_of(const Json& params);

// Whether what the method makes is to be bound to the connection. Throws BadParam for a wrong value.
bool asks_to_bind(const RpcMethod& method, const Json& params);

// nullptr: no such method. `subscribe`, `unsubscribe`, `log.subscribe`, `interface.wg`, `capture`, `trace`,
// `ring.open` and `ring.start` belong to the client itself and are not here.
const RpcMethod* find_rpc_method(std::string_view name);

}  // namespace wg::control
