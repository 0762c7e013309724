#include "control/cli/call.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "control/api/rpc.h"
#include "control/api/unix_socket.h"
#include "control/cli/suggestion.h"

namespace wg::control::cli {
namespace {

[[noreturn]] void not_running(const std::string& socket) {
  throw CommandFailed(kNotRunning, "linegate is not running (no answer on " + socket + ")");
}

// Enough for people to choose from; a gateway has up to 100 000 peers.
constexpr std::size_t kNamesToSuggestFrom = 2000;

std::vector<std::string> names_in(const Json& rows) {
  std::vector<std::string> names;
  for (const auto& row : rows) names.push_back(row.value("name", ""));
  return names;
}

}  // namespace

RpcClient::RpcClient(const std::string& socket, Access access) : socket_(socket) {
  Expected<int> connected = connect_unix(socket);
  if (!connected && access == Access::kAny && connected.error().code == EACCES)
    connected = connect_unix(read_socket_beside(socket));
  if (!connected && connected.error().code != EACCES) not_running(socket);
  if (!connected)
    throw CommandFailed(
        kFailed, "permission denied on " + socket + ": run as root or as a member of the socket's group");
  fd_ = *connected;
}

RpcClient::~RpcClient() {
  close(fd_);
}

void RpcClient::send(std::string text) {
  std::string_view rest = text;
  while (!rest.empty()) {
    const auto sent = ::send(fd_, rest.data(), rest.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) not_running(socket_);
    rest.remove_prefix(static_cast<std::size_t>(sent));
  }
  config::wipe(text);
}

std::string RpcClient::line(std::chrono::milliseconds patience) {
  std::size_t searched = 0;
  for (;;) {
    if (const auto newline = received_.find('\n', searched); newline != std::string::npos) {
      std::string first = received_.substr(0, newline);
      received_.erase(0, newline + 1);
      return first;
    }
    searched = received_.size();
    pollfd readable{fd_, POLLIN, 0};
    if (poll(&readable, 1, static_cast<int>(patience.count())) == 0) not_running(socket_);
    std::array<char, 65536> buffer;
    const auto got = recv(fd_, buffer.data(), buffer.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return {};
    received_.append(buffer.data(), static_cast<std::size_t>(got));
  }
}

Json RpcClient::ask(const std::string& method, const Json& params, std::chrono::milliseconds patience) {
  send(dump({{"version", kRpcVersion}, {"id", 1}, {"method", method}, {"params", params}}) + "\n");
  const auto text = line(patience);
  if (text.empty()) not_running(socket_);
  Json answer = Json::parse(text, nullptr, false);
  if (!answer.is_object()) throw CommandFailed(kFailed, "malformed answer on " + socket_);
  return answer;
}

// "; did you mean …" for the port, the peer or the interface that a request named.
std::string RpcClient::nearest_existing(const Json& params) {
  if (params.contains("port")) {
    const Json ports = ask("show.ports", Json::object(), kPatience)["result"]["ports"];
    return suggestion(params.value("port", ""), names_in(ports));
  }
  auto interface = params.contains("interface") ? params.value("interface", "") : params.value("name", "");
  auto known = names_in(ask("show.interfaces", Json::object(), kPatience)["result"]["interfaces"]);
  if (params.contains("from")) {  // a port or an interface
    interface = params.value("from", "");
    for (auto& port : names_in(ask("show.ports", Json::object(), kPatience)["result"]["ports"]))
      known.push_back(std::move(port));
  }
  const bool exists = std::find(known.begin(), known.end(), interface) != known.end();
  if (!interface.empty() && !exists) return suggestion(interface, known);
  const auto peer = params.value("peer", "");
  if (peer.empty()) return {};
  const Json query = {{"interface", interface}, {"limit", kNamesToSuggestFrom}};
  return suggestion(peer, names_in(ask("show.peers", query, kPatience)["result"]["peers"]));
}

void RpcClient::refused(const Json& error, const Json& params) {
  const auto code = error.value("code", "");
  const bool usage = code == "bad_params" || code == "invalid";
  const auto more = code == "not_found" ? nearest_existing(params) : std::string{};
  throw CommandFailed(usage ? kBadUsage : kFailed, error.value("message", code) + more);
}

Json RpcClient::call(const std::string& method, const Json& params, std::chrono::milliseconds patience) {
  Json answer = ask(method, params, patience);
  if (answer.contains("error")) refused(answer["error"], params);
  return std::move(answer["result"]);
}

std::optional<Json> RpcClient::try_call(const std::string& method, const Json& params) {
  Json answer = ask(method, params, kPatience);
  if (!answer.contains("error")) return std::move(answer["result"]);
  if (answer["error"].value("code", "") == "not_found") return std::nullopt;
  refused(answer["error"], params);
}

std::optional<std::string> RpcClient::receive(std::chrono::milliseconds patience) {
  if (!received_.empty()) return std::exchange(received_, {});
  pollfd readable{fd_, POLLIN, 0};
  if (poll(&readable, 1, static_cast<int>(patience.count())) <= 0) return std::nullopt;
  std::string bytes(65536, '\0');
  const auto got = recv(fd_, bytes.data(), bytes.size(), 0);
  if (got < 0 && errno == EINTR) return std::nullopt;
  bytes.resize(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
  return bytes;
}

void RpcClient::end_requests() {
  shutdown(fd_, SHUT_WR);
}

void RpcClient::listen(const Json& params, const std::function<bool(const Json& event)>& take) {
  call("subscribe", params);
  for (;;) {
    const auto text = line(std::chrono::milliseconds{-1});
    const Json message = Json::parse(text, nullptr, false);
    if (text.empty() || (message.is_object() && message.contains("event") && !take(message["event"]))) return;
  }
}

}  // namespace wg::control::cli
