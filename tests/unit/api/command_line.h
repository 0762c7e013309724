// The command line beside a fake gateway in a thread of its own, for the tests of commands.
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "control/api/rpc.h"
#include "control/cli/cli.h"
#include "tests/unit/api/fake_gateway.h"
#include "tests/unit/api/server_thread.h"

namespace wg::control::test {

struct Result {
  int code;
  std::string out, err;
};

class CliTest : public testing::Test {
 protected:
  CliTest() {
    char name[] = "/tmp/linegate-cli-XXXXXX";
    directory = mkdtemp(name);
    socket = directory + "/control.sock";
    gateway.add_peers("wg0", 3);
    gateway.wg0().private_key = secret_of(7);
  }
  ~CliTest() override {
    server.on_loop([&] { rpc.reset(); });
    std::filesystem::remove_all(directory);
  }

  void start() {
    server.on_loop([&] {
      rpc = std::make_unique<RpcServer>(server.loop, RpcTargets{gateway, gateway, gateway, {}},
                                        RpcSockets{socket, directory + "/read.sock", "", ""});
    });
  }
  Result linegate(std::vector<std::string> arguments, const std::string& input = "",
                  const cli::Layout& layout = {}) {
    std::istringstream in(input);
    std::ostringstream out, err;
    arguments.insert(arguments.begin(), {"--socket", socket});
    const int code = cli::run(arguments, {in, out, err, layout});
    return {code, out.str(), err.str()};
  }
  std::string file(const std::string& name, const std::string& text) {
    const auto path = directory + "/" + name;
    std::ofstream(path) << text;
    chmod(path.c_str(), 0600);
    return path;
  }

  std::string directory, socket;
  FakeGateway gateway;
  ServerThread server;
  std::unique_ptr<RpcServer> rpc;
};

inline void expect_in(const std::string& part, const std::string& whole) {
  EXPECT_NE(whole.find(part), std::string::npos) << "'" << part << "' not in\n" << whole;
}

}  // namespace wg::control::test
