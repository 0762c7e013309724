// The calls that a client of the control socket may make: its socket decides, and types hold it.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>

#include "control/api/change_sink.h"
#include "control/api/ring_source.h"
#include "control/api/rpc_methods.h"
#include "control/api/secret_source.h"
#include "control/api/status_source.h"
#include "control/api/watch_source.h"

namespace wg::control {

// The process that asked for a change or a secret, by SO_PEERCRED: for the log.
struct RpcCaller {
  pid_t pid = 0;
  uid_t uid = 0;
  gid_t gid = 0;
  std::uint64_t connection = 0;  // what `bound` interfaces are bound to; 0: the connection cannot bind any
};
// The process at the other end of a connected AF_UNIX socket; zeros when the kernel does not say.
RpcCaller caller_of(int fd);
using OnChange = std::function<void(const RpcCaller& caller, const std::string& method)>;

class RpcAccess {
 public:
  virtual ~RpcAccess() = default;
  [[nodiscard]] virtual bool allows(const RpcMethod& method) const = 0;
  // Only what it allows.
  virtual void call(const RpcMethod& method, const RpcCaller& caller, Json& params,
                    const RpcAnswer& answer) const = 0;
  [[nodiscard]] virtual const StatusSource& status() const = 0;
  // nullptr: not allowed.
  [[nodiscard]] virtual const SecretSource* secrets() const { return nullptr; }
  [[nodiscard]] virtual ChangeSink* changes() const { return nullptr; }
  // Called before a change is made or a secret is sent, for the log.
  virtual void note(const RpcCaller&, const std::string&) const {}
  // For captures and traces; nullptr: not allowed.
  [[nodiscard]] virtual WatchSource* watches(const RpcCaller&, const std::string&) const { return nullptr; }
  // nullptr: not allowed.
  [[nodiscard]] virtual RingSource* rings() const { return nullptr; }
};

// Access of the read-only socket. It holds nothing that could change the daemon.
class ReadAccess final : public RpcAccess {
 public:
  explicit ReadAccess(const StatusSource& status) : status_(status) {}
  [[nodiscard]] bool allows(const RpcMethod& method) const override;
  void call(const RpcMethod& method, const RpcCaller& caller, Json& params,
            const RpcAnswer& answer) const override;
  [[nodiscard]] const StatusSource& status() const override { return status_; }

 private:
  const StatusSource& status_;
};

// Access of the administrator's socket: everything.
class AdminAccess final : public RpcAccess {
 public:
  // `on_change` is called before a method that changes something or returns secrets is carried out.
  AdminAccess(const StatusSource& status, const SecretSource& secrets, ChangeSink& changes,
              OnChange on_change, WatchSource* watches = nullptr, RingSource* rings = nullptr);
  [[nodiscard]] bool allows(const RpcMethod&) const override { return true; }
  void call(const RpcMethod& method, const RpcCaller& caller, Json& params,
            const RpcAnswer& answer) const override;
  [[nodiscard]] const StatusSource& status() const override { return status_; }
  [[nodiscard]] const SecretSource* secrets() const override { return &secrets_; }
  [[nodiscard]] ChangeSink* changes() const override { return &changes_; }
  void note(const RpcCaller& caller, const std::string& what) const override;
  [[nodiscard]] WatchSource* watches(const RpcCaller& caller, const std::string& method) const override;
  [[nodiscard]] RingSource* rings() const override { return rings_; }

 private:
  const StatusSource& status_;
  const SecretSource& secrets_;
  ChangeSink& changes_;
  OnChange on_change_;
  WatchSource* const watches_;
  RingSource* const rings_;
};

}  // namespace wg::control
