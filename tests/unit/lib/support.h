// A gateway for the library: the real control server over the model of tests/unit/api, on a socket of its
// own.
#pragma once

#include <linegate.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "control/api/rpc.h"
#include "tests/unit/api/fake_gateway.h"
#include "tests/unit/api/server_thread.h"

namespace wg::control::test {

class SocketDirectory {
 public:
  SocketDirectory() {
    std::string pattern = std::filesystem::temp_directory_path() / "lg_XXXXXX";
    path_ = mkdtemp(pattern.data());
    setenv("LINEGATE_SOCKET", socket().c_str(), 1);
  }
  ~SocketDirectory() {
    unsetenv("LINEGATE_SOCKET");
    std::filesystem::remove_all(path_);
  }
  SocketDirectory(const SocketDirectory&) = delete;
  SocketDirectory& operator=(const SocketDirectory&) = delete;
  [[nodiscard]] std::string socket() const { return path_ + "/control.sock"; }

 private:
  std::string path_;
};

class LogModel : public LogSource {
 public:
  std::uint64_t follow(Follower follower) override {
    follower_ = std::move(follower);
    return 1;
  }
  void unfollow(std::uint64_t) override { follower_ = nullptr; }
  bool say(const LogLine& line) {
    if (!follower_) return false;
    follower_(line);
    return true;
  }

 private:
  Follower follower_;
};

class GatewayProcess {
 public:
  explicit GatewayProcess(std::size_t connections = 64) : connections_(connections) { start(); }
  ~GatewayProcess() { stop(); }
  GatewayProcess(const GatewayProcess&) = delete;
  GatewayProcess& operator=(const GatewayProcess&) = delete;

  void start() {
    thread_.on_loop([this] {
      server_ = std::make_unique<RpcServer>(
          thread_.loop, RpcTargets{gateway_, gateway_, gateway_, {}, nullptr, nullptr, &log_},
          RpcSockets{directory_.socket(), {}, {}, {}}, StreamLimits{connections_});
    });
  }
  // As at the end of a gateway: its interfaces go too.
  void stop() {
    thread_.on_loop([this] {
      server_.reset();
      gateway_.interfaces_by_name.clear();
    });
  }
  // On the server's thread.
  template <typename Use>
  auto with(Use use) {
    decltype(use(gateway_)) result{};
    thread_.on_loop([&] { result = use(gateway_); });
    return result;
  }
  [[nodiscard]] bool has(const std::string& name) {
    return with([&](FakeGateway& gateway) { return gateway.interfaces_by_name.contains(name); });
  }
  [[nodiscard]] config::Interface value(const std::string& name) {
    return with([&](FakeGateway& gateway) { return gateway.interfaces_by_name[name]; });
  }
  [[nodiscard]] std::size_t clients() {
    std::size_t count = 0;
    thread_.on_loop([&] { count = server_->clients(); });
    return count;
  }
  [[nodiscard]] bool say(const LogLine& line) {
    bool heard = false;
    thread_.on_loop([&] { heard = log_.say(line); });
    return heard;
  }
  [[nodiscard]] std::string socket() const { return directory_.socket(); }

 private:
  const std::size_t connections_;
  SocketDirectory directory_;
  FakeGateway gateway_;
  LogModel log_;
  ServerThread thread_;
  std::unique_ptr<RpcServer> server_;
};

// A configuration in the making: structures behind one another, which stay where they are.
class Buffer {
 public:
  Buffer() {
    words_.reserve(kMost);
    add<lg_interface>();
  }
  lg_interface& interface() { return *at<lg_interface>(0); }
  lg_peer& peer(std::uint8_t key, std::uint32_t flags = 0) {
    ++interface().peers_count;
    peer_ = bytes();
    lg_peer& made = add<lg_peer>();
    made.flags = LG_PEER_HAS_PUBLIC_KEY | flags;
    std::memset(made.public_key, key, sizeof made.public_key);
    return made;
  }
  lg_allowed_ip& allowed_ip(std::array<std::uint8_t, 4> address, std::uint8_t cidr) {
    ++at<lg_peer>(peer_)->allowed_ips_count;
    lg_allowed_ip& made = add<lg_allowed_ip>();
    std::memcpy(made.address, address.data(), address.size());
    made.family = LG_IPV4;
    made.cidr = cidr;
    return made;
  }
  [[nodiscard]] const lg_interface* get() { return at<lg_interface>(0); }
  [[nodiscard]] std::size_t bytes() const { return words_.size() * sizeof words_[0]; }

 private:
  template <typename Structure>
  Structure* at(std::size_t offset) {
    return reinterpret_cast<Structure*>(words_.data() + offset / sizeof words_[0]);
  }
  template <typename Structure>
  Structure& add() {
    const std::size_t offset = bytes();
    words_.resize(words_.size() + sizeof(Structure) / sizeof words_[0]);
    if (words_.size() > kMost) std::abort();
    at<Structure>(offset)->size = sizeof(Structure);
    return *at<Structure>(offset);
  }

  static constexpr std::size_t kMost = std::size_t{1} << 20;
  std::vector<std::uint64_t> words_;
  std::size_t peer_ = 0;
};

inline std::string last_text() {
  const char* text = nullptr;
  lg_last_error(&text);
  return text;
}

struct Closer {
  void operator()(lg_adapter* adapter) const { lg_adapter_close(adapter); }
};
using Adapter = std::unique_ptr<lg_adapter, Closer>;

inline Adapter created(const char* name, std::uint32_t flags = 0) {
  lg_adapter* adapter = nullptr;
  lg_adapter_create(name, "test", nullptr, flags, &adapter);
  return Adapter(adapter);
}
inline Adapter opened(const char* name) {
  lg_adapter* adapter = nullptr;
  lg_adapter_open(name, &adapter);
  return Adapter(adapter);
}

}  // namespace wg::control::test
