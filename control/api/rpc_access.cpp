#include "control/api/rpc_access.h"

#include <sys/socket.h>

#include <utility>

namespace wg::control {

RpcCaller caller_of(int fd) {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) return {};
  return {credentials.pid, credentials.uid, credentials.gid};
}

bool ReadAccess::allows(const RpcMethod& method) const {
  return std::holds_alternative<ReadMethod>(method.call);
}

void ReadAccess::call(const RpcMethod& method, const RpcCaller&, Json& params,
                      const RpcAnswer& answer) const {
  std::get<ReadMethod>(method.call)(status_, params, answer);
}

AdminAccess::AdminAccess(const StatusSource& status, const SecretSource& secrets, ChangeSink& changes,
                         OnChange on_change, WatchSource* watches, RingSource* rings)
    : status_(status),
      secrets_(secrets),
      changes_(changes),
      on_change_(std::move(on_change)),
      watches_(watches),
      rings_(rings) {}

WatchSource* AdminAccess::watches(const RpcCaller& caller, const std::string& method) const {
  if (watches_ != nullptr) note(caller, method);
  return watches_;
}

void AdminAccess::note(const RpcCaller& caller, const std::string& what) const {
  if (on_change_) on_change_(caller, what);
}

void AdminAccess::call(const RpcMethod& method, const RpcCaller& caller, Json& params,
                       const RpcAnswer& answer) const {
  const auto* secret = std::get_if<SecretMethod>(&method.call);
  if (method.changes || secret != nullptr) note(caller, std::string(method.name));
  if (const auto* read = std::get_if<ReadMethod>(&method.call)) return (*read)(status_, params, answer);
  if (secret != nullptr) return (*secret)(secrets_, params, answer);
  if (const auto* bind = std::get_if<BindMethod>(&method.call))
    return (*bind)(changes_, caller.connection, params, answer);
  std::get<ChangeMethod>(method.call)(changes_, params, answer);
}

}  // namespace wg::control
