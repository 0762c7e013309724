#include "control/api/rpc.h"

#include <filesystem>
#include <utility>

#include "control/api/json.h"
#include "control/api/rpc_client.h"

namespace wg::control {

std::string read_socket_beside(const std::string& admin_path) {
  // Two gateways may keep their sockets in one directory, so a name of one's own makes a pair of one's own.
  const std::filesystem::path admin(admin_path);
  const std::string stem = admin.stem().string();
  return std::filesystem::path(admin)
      .replace_filename((stem == "control" ? "" : stem + "-") + "read.sock")
      .string();
}

RpcServer::RpcServer(EventLoop& loop, const RpcTargets& targets, const RpcSockets& sockets,
                     StreamLimits limits)
    : loop_(loop),
      read_access_(targets.status),
      admin_access_(targets.status, targets.secrets, targets.changes, targets.on_change, targets.watches,
                    targets.rings),
      rates_(targets.rates),
      log_(targets.log),
      on_read_(targets.on_read),
      counts_{.bound_max = bound_connections_max(limits.streams)},
      admins_(loop, limits),
      readers_(loop, limits) {
  const auto serve = [this](const std::string& path, const std::string& group, RpcRole role) {
    auto listener = std::make_unique<UnixListener>(path, 0660, group);
    listener->serve(loop_, [this, role](int fd) { adopt(fd, role); });
    return listener;
  };
  if (!sockets.admin_path.empty())
    admin_listener_ = serve(sockets.admin_path, sockets.admin_group, RpcRole::kAdmin);
  if (!sockets.read_path.empty())
    read_listener_ = serve(sockets.read_path, sockets.read_group, RpcRole::kRead);
}

RpcServer::~RpcServer() {
  if (log_follower_ != 0) log_->unfollow(log_follower_);
}

void RpcServer::adopt(int fd, RpcRole role) {
  const bool admin = role == RpcRole::kAdmin;
  const RpcAccess& access = admin ? static_cast<const RpcAccess&>(admin_access_) : read_access_;
  const std::size_t request_max = admin ? kRpcRequestMax : kRpcReadRequestMax;
  (admin ? admins_ : readers_).admit(std::make_shared<Client>(loop_, fd, access, request_max, *this));
}

void RpcServer::retire() {
  admin_listener_.reset();
  read_listener_.reset();
  for (const auto& stream : all_clients()) static_cast<Client&>(*stream).retire();
}

// In a list of their own: a stream that closes removes itself from its set.
std::vector<std::shared_ptr<Stream>> RpcServer::all_clients() const {
  std::vector<std::shared_ptr<Stream>> clients;
  for (const auto* set : {&admins_, &readers_})
    for (const auto& [key, stream] : set->all()) clients.push_back(stream);
  return clients;
}

// Follows the log from the first subscriber on; publish_line() ends that when none is left.
void RpcServer::follow_log() {
  if (log_follower_ == 0) log_follower_ = log_->follow([this](const LogLine& line) { publish_line(line); });
}

void RpcServer::publish_line(const LogLine& line) {
  if (counts_.log_subscribers == 0) {
    log_->unfollow(std::exchange(log_follower_, 0));
    return;
  }
  for (const auto& stream : all_clients()) static_cast<Client&>(*stream).publish_line(line);
}

void RpcServer::publish(const GatewayEvent& event) {
  if (counts_.subscribers == 0) return;
  const std::string line = dump({{"event", to_json(event)}}) + "\n";
  for (const auto& stream : all_clients()) static_cast<Client&>(*stream).publish(event, line);
}

}  // namespace wg::control
