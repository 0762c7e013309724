// The real daemon in a thread of this process, with its file, its sockets and its worker; everything a test
// does to it goes the way an operator's command goes.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "config/types.h"
#include "control/api/json.h"
#include "dataplane/snapshot.h"

namespace wg::control {
class Gateway;
}

namespace wg::test {

inline constexpr const char* kSocket = "/run/lab/control.sock";
inline constexpr const char* kFile = "/run/lab/gateway.yaml";

class LiveGateway {
 public:
  // Writes `yaml` to kFile and runs a gateway on it. Throws what the start throws. Once per process.
  explicit LiveGateway(const std::string& yaml);
  ~LiveGateway();  // stops it as SIGTERM does
  LiveGateway(const LiveGateway&) = delete;
  LiveGateway& operator=(const LiveGateway&) = delete;

  // Over the control socket; throws with the answer's message.
  control::Json call(const std::string& method, const control::Json& params = control::Json::object());
  // Replaces the file and reloads it.
  struct Reloaded {
    bool ok = false;
    std::size_t changes = 0;
    std::chrono::microseconds applied{0};  // diff and apply, on the control thread
    std::chrono::microseconds total{0};    // from the request to the answer, file included
    std::chrono::microseconds ran{0};      // of `applied` and the answer, the control thread's time on a core
    std::string error;
  };
  Reloaded reload(const std::string& yaml);
  Reloaded reload();
  // What the workers see, one line per entry of their tables: allowed IPs with their peers, routes with where
  // they lead. IPv6 link-local addresses, multicast and own addresses, which Linux adds and removes by rules
  // of its own, are left out.
  std::vector<std::string> worker_tables();
  // How many peers' paths lead to each MAC address.
  std::map<std::string, std::size_t> paths_by_mac();
  // What the settings of an interface and a port have come to.
  struct Settings {
    dataplane::InterfaceSettings interface;
    dataplane::PortSettings port;
    config::LogLevel log_level{};  // of the interface's logger
  };
  Settings settings(const std::string& interface, const std::string& port);
  // As if the mirror had read this of the interface's link: whether it is up, and its MTU.
  void tell_link(const std::string& interface, bool up, std::uint16_t mtu);
  // Builds the running gateway from a parsed file.
  [[nodiscard]] std::chrono::microseconds start_time() const { return start_time_; }
  // Runs `meanwhile` while the control thread does nothing, not even read what Linux says.
  void hold(const std::function<void()>& meanwhile);
  // The control thread's longest round since the last call, and the most time on a core that one took.
  struct Round {
    std::chrono::microseconds took{0}, on_core{0};
  };
  [[nodiscard]] Round take_longest_round();
  // The control thread's time on a core so far.
  [[nodiscard]] std::chrono::microseconds control_time();

 private:
  std::thread thread_;
  std::unique_ptr<control::Gateway> gateway_;
  std::chrono::microseconds start_time_{0};
};

// Resident bytes of this process, after what the allocator only keeps for later has been given back.
[[nodiscard]] std::size_t resident_bytes();

// The file as it lands in one go (temporary file and rename), as editors and the daemon itself write.
void write_file(const std::string& path, const std::string& text);

}  // namespace wg::test
