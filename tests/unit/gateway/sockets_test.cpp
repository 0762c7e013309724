// The sockets, made and made again: what holds for the first holds for every later one.
#include "control/gateway/sockets.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <sstream>
#include <string>

#include "control/api/unix_socket.h"
#include "tests/unit/api/fake_gateway.h"
#include "tests/unit/gateway/log_to.h"

namespace wg::control::test {
namespace {

class SocketsTest : public ::testing::Test {
 protected:
  SocketsTest() {
    directory = (std::filesystem::temp_directory_path() / "sockets_XXXXXX").string();
    if (mkdtemp(directory.data()) == nullptr) std::abort();
  }
  ~SocketsTest() override { std::filesystem::remove_all(directory); }

  [[nodiscard]] std::string path(const char* name) const { return directory + "/" + name; }

  // One request over a connection of its own; what was answered.
  std::string ask(const std::string& socket_path, const std::string& method) {
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, socket_path.c_str(), sizeof address.sun_path - 1);
    std::string answer;
    if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
      const std::string request = R"({"id":1,"method":")" + method + R"(","params":{"name":"wg0"}})" + "\n";
      EXPECT_EQ(send(fd, request.data(), request.size(), 0), static_cast<ssize_t>(request.size()));
      for (int i = 0; i < 200 && answer.find('\n') == std::string::npos; ++i) {
        loop.run_once(std::chrono::milliseconds(5));
        char buffer[4096];
        const ssize_t got = recv(fd, buffer, sizeof buffer, 0);
        if (got > 0) answer.append(buffer, static_cast<std::size_t>(got));
      }
    }
    close(fd);
    return answer;
  }

  std::string logged() {
    std::string text = lines.str();
    lines.str("");
    return text;
  }

  std::string directory;
  std::ostringstream lines;
  Logger log = log_to(lines);
  EventLoop loop;
  FakeGateway gateway;
  Sockets sockets{loop, {gateway, gateway, gateway, {}}, log};
};

TEST_F(SocketsTest, EveryControlSocketLogsWhoChangesWhat) {
  const std::string by = " by uid " + std::to_string(getuid()) + " (pid " + std::to_string(getpid()) + ")\n";
  gateway.interfaces_by_name["wg0"];
  ASSERT_TRUE(sockets.open_control({path("control.sock"), "", ""}));
  EXPECT_NE(ask(path("control.sock"), "interface.up").find("result"), std::string::npos);
  EXPECT_EQ(logged(), "control socket: interface.up" + by);
  // As a reload that changes control.socket or its groups does.
  ASSERT_TRUE(sockets.open_control({path("other.sock"), "", ""}));
  EXPECT_EQ(ask(path("control.sock"), "show.gateway"), "") << "the first is closed";
  EXPECT_NE(ask(path("other.sock"), "interface.down").find("result"), std::string::npos);
  EXPECT_EQ(logged(), "control socket: interface.down" + by);
  EXPECT_FALSE(gateway.interfaces_by_name["wg0"].enabled);
}

// As a reload that changes control.socket does: it asks for the new socket while its caller waits on the old.
TEST_F(SocketsTest, WhoAskedBeforeTheSocketWasReplacedIsAnswered) {
  for (const char* next : {"control.sock", "other.sock"}) {
    ASSERT_TRUE(sockets.open_control({path("control.sock"), "", ""}));
    gateway.defer_plans = true;
    const int fd = value_or_throw(connect_unix(path("control.sock")));
    const std::string request = "{\"id\":1,\"method\":\"reload\"}\n";
    ASSERT_EQ(send(fd, request.data(), request.size(), 0), static_cast<ssize_t>(request.size()));
    for (int i = 0; i < 5; ++i) loop.run_once(std::chrono::milliseconds(5));
    ASSERT_TRUE(sockets.open_control({path(next), "", ""})) << next;
    ASSERT_EQ(gateway.deferred.size(), 1U);
    gateway.deferred[0]({});
    gateway.deferred.clear();
    for (int i = 0; i < 5; ++i) loop.run_once(std::chrono::milliseconds(1));
    std::string answer;
    char buffer[4096];
    ssize_t got = 0;
    while ((got = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT)) > 0)
      answer.append(buffer, static_cast<std::size_t>(got));
    EXPECT_EQ(got, 0) << "it does not end";
    EXPECT_TRUE(answer.find("result") != std::string::npos && answer.ends_with("}\n")) << answer;
    close(fd);
    EXPECT_NE(ask(path(next), "show.gateway").find("result"), std::string::npos);
  }
}

TEST_F(SocketsTest, TheReadOnlySocketComesWithTheControlSocket) {
  ASSERT_TRUE(sockets.open_control({path("other.sock"), "", ""}));
  EXPECT_NE(ask(path("other-read.sock"), "show.gateway").find("result"), std::string::npos);
  EXPECT_NE(ask(path("other-read.sock"), "stop").find("forbidden"), std::string::npos);
  EXPECT_FALSE(gateway.stopped);
  EXPECT_EQ(logged(), "");
}

TEST_F(SocketsTest, ARefusedSocketSaysWhyAndTheOldOneCanBeOpenedAgain) {
  ASSERT_TRUE(sockets.open_control({path("control.sock"), "", ""}));
  const Expected<> refused = sockets.open_control({path("control.sock"), "no-such-group-here", ""});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, EINVAL);
  EXPECT_NE(refused.error().text.find("no-such-group-here"), std::string::npos) << refused.error().text;
  ASSERT_TRUE(sockets.open_control({path("control.sock"), "", ""}));
  EXPECT_NE(ask(path("control.sock"), "show.gateway").find("result"), std::string::npos);
}

}  // namespace
}  // namespace wg::control::test
