// The library against a server that lies, breaks off or floods: an error, never a crash, never more memory
// than it said, and no SIGPIPE.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <random>
#include <set>
#include <thread>

#include "control/api/unix_socket.h"
#include "tests/unit/lib/support.h"

namespace wg::control::test {
namespace {

// Answers each request of a connection with the next text of its script, then closes.
class Liar {
 public:
  using Script = std::vector<std::string>;
  explicit Liar(Script script) : script_(std::move(script)) {
    thread_.on_loop([this] {
      listener_ = std::make_unique<UnixListener>(directory_.socket(), 0600);
      listener_->serve(thread_.loop, [this](int fd) { threads_.emplace_back([this, fd] { talk(fd); }); });
    });
  }
  ~Liar() {
    thread_.on_loop([this] { listener_.reset(); });
    for (std::thread& thread : threads_) thread.join();
  }
  Liar(const Liar&) = delete;
  Liar& operator=(const Liar&) = delete;

 private:
  void talk(int fd) {
    const int flags = fcntl(fd, F_GETFL);
    fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
    for (const std::string& answer : script_) {
      std::array<char, 65536> buffer;
      const auto got = recv(fd, buffer.data(), buffer.size(), 0);
      if (got <= 0) break;
      for (std::size_t at = 0; at < answer.size();) {
        const auto sent = ::send(fd, answer.data() + at, answer.size() - at, MSG_NOSIGNAL);
        if (sent <= 0) break;
        at += static_cast<std::size_t>(sent);
      }
    }
    ::close(fd);
  }

  const Script script_;
  SocketDirectory directory_;
  std::vector<std::thread> threads_;
  ServerThread thread_;
  std::unique_ptr<UnixListener> listener_;
};

const std::string kShown = "{\"result\":{\"ifindex\":5,\"netns\":7,\"up\":true}}\n";
const std::string kDone = "{\"result\":{}}\n";

TEST(LibHostile, AnswersThatMakeNoSenseAreErrors) {
  signal(SIGPIPE, SIG_DFL);
  const std::pair<std::string, std::set<lg_error>> cases[] = {
      {"", {LG_BUSY}},
      {"\n", {LG_PROTOCOL}},
      {"hello\n", {LG_PROTOCOL}},
      {"{\"result\":{\"ifindex\":5,\"netns\":7}}", {LG_GONE}},  // no line end
      {"[]\n", {LG_PROTOCOL}},
      {"{}\n", {LG_PROTOCOL}},
      {"{\"result\":5}\n", {LG_PROTOCOL}},
      {"{\"result\":{}}\n", {LG_PROTOCOL}},
      {"{\"result\":{\"ifindex\":-5,\"netns\":7}}\n", {LG_PROTOCOL}},
      {"{\"result\":{\"ifindex\":\"5\",\"netns\":7}}\n", {LG_PROTOCOL}},
      {"{\"result\":{\"ifindex\":4294967296,\"netns\":7}}\n", {LG_PROTOCOL}},
      {"{\"result\":{\"ifindex\":5,\"netns\":18446744073709551616}}\n", {LG_PROTOCOL}},
      {"{\"result\":{\"ifindex\":5.5,\"netns\":7}}\n", {LG_PROTOCOL}},
      {"{\"result\":{\"ifindex\":5,\"netns\":7}\n", {LG_PROTOCOL}},
      {"{\"result\":{\"ifindex\":5,\"netns\":7}}}\n", {LG_PROTOCOL}},
      {"{\"error\":{}}\n", {LG_PROTOCOL}},
      {"{\"error\":\"no\"}\n", {LG_PROTOCOL}},
      {"{\"error\":{\"code\":\"exists\",\"message\":7}}\n", {LG_PROTOCOL}},
      {"{\"error\":{\"code\":\"exists\",\"message\":\"\\u00e4 \\ud83d\\ude00 \\ud83d \\n\"}}\n", {LG_EXISTS}},
      {"{\"error\":{\"code\":\"" + std::string(5000, 'x') + "\",\"message\":\"" + std::string(9000, '%') +
           "\"}}\n",
       {LG_PROTOCOL}},
      {std::string(20000, ' ') + "\n", {LG_PROTOCOL}},
      {std::string(1 << 20, 'x'), {LG_PROTOCOL}},
      {"{\"result\":" + std::string(15, '[') + std::string(15, ']') + "}\n", {LG_PROTOCOL}},
      {"{\"result\":" + std::string(8000, '[') + std::string(8000, ']') + "}\n", {LG_PROTOCOL}},
      {"{\"a\":" + std::string(8000, '[') + "\n", {LG_PROTOCOL}},
      {std::string("{\"result\0\":{}}\n", 15), {LG_PROTOCOL}},
      {"{\"result\":{\"ifindex\":5,\"netns\":7,\"x\":\"\\u12\"}}\n", {LG_PROTOCOL}},
      {"{\"result\":{\"ifindex\":5,\"netns\":7,\"x\":\"\\", {LG_GONE}},
      {"{\"result\":{\"ifindex\":1e5,\"netns\":7}}\n", {LG_PROTOCOL}},
      {"{\"error\":{\"code\":\"unknown_method\",\"message\":\"older\"}}\n", {LG_PROTOCOL}},
  };
  for (const auto& [answer, allowed] : cases) {
    const Liar liar({answer});
    lg_adapter* adapter = nullptr;
    const lg_error error = lg_adapter_open("app0", &adapter);
    EXPECT_TRUE(allowed.contains(error)) << answer.substr(0, 80) << ": " << lg_error_name(error);
    EXPECT_EQ(adapter, nullptr);
    EXPECT_EQ(lg_running_version(), 0U) << answer.substr(0, 80);
  }
}

TEST(LibHostile, AnswersToAGetThatMakeNoSenseAreErrors) {
  const std::string peer = "public_key=" + std::string(64, 'a') + "\n";
  const std::string cases[] = {"",
                               "\n",
                               "nonsense\n",
                               "errno=\n\n",
                               "errno=x\n\n",
                               "errno=70000\n\n",
                               "errno=0\nmore\n",
                               "private_key=00\nerrno=0\n\n",
                               "private_key=" + std::string(64, 'g') + "\nerrno=0\n\n",
                               "private_key=" + std::string(65, '0') + "\nerrno=0\n\n",
                               "listen_port=65536\nerrno=0\n\n",
                               "listen_port=-1\nerrno=0\n\n",
                               "fwmark=4294967296\nerrno=0\n\n",
                               "public_key=0\nerrno=0\n\n",
                               peer + "endpoint=\nerrno=0\n\n",
                               peer + "endpoint=:\nerrno=0\n\n",
                               peer + "endpoint=1.2.3.4\nerrno=0\n\n",
                               peer + "endpoint=[::1:5\nerrno=0\n\n",
                               peer + "endpoint=[]:5\nerrno=0\n\n",
                               peer + "endpoint=%:5\nerrno=0\n\n",
                               peer + "endpoint=[" + std::string(3000, '1') + "]:5\nerrno=0\n\n",
                               peer + "allowed_ip=\nerrno=0\n\n",
                               peer + "allowed_ip=/\nerrno=0\n\n",
                               peer + "allowed_ip=10.0.0.0/33\nerrno=0\n\n",
                               peer + "allowed_ip=::/129\nerrno=0\n\n",
                               peer + "allowed_ip=10.0.0.0\nerrno=0\n\n",
                               peer + "tx_bytes=18446744073709551616\nerrno=0\n\n",
                               peer + "last_handshake_time_sec=9223372036854775807\nerrno=0\n\n",
                               peer + "last_handshake_time_nsec=1000000000\nerrno=0\n\n",
                               peer + "persistent_keepalive_interval=65536\nerrno=0\n\n",
                               peer,
                               std::string(100000, 'x'),
                               peer + std::string(17000, 'x') + "\nerrno=0\n\n"};
  for (const std::string& answer : cases) {
    const Liar liar({kShown.substr(0), answer});
    Adapter adapter = opened("app0");
    ASSERT_TRUE(adapter) << last_text();
    lg_interface* got = nullptr;
    // The first connection answered `show.interface`; the one for the get answers `interface.wg` with the
    // same.
    const lg_error error = lg_get_configuration_alloc(adapter.get(), &got, nullptr);
    EXPECT_TRUE(error == LG_PROTOCOL || error == LG_GONE)
        << answer.substr(0, 80) << ": " << lg_error_name(error);
    EXPECT_EQ(got, nullptr);
  }
}

TEST(LibHostile, WhatALaterGatewaySaysIsLeftOut) {
  const Liar liar({kShown, "colour=red\npublic_key=" + std::string(64, 'b') +
                               "\nmood=good\nlast_handshake_time_nsec=5\nlast_handshake_time_sec=9\n"
                               "endpoint=[fe80::1%nowhere]:7\nerrno=0\n\n"});
  const Adapter adapter = opened("app0");
  lg_interface* got = nullptr;
  ASSERT_EQ(lg_get_configuration_alloc(adapter.get(), &got, nullptr), LG_OK) << last_text();
  EXPECT_EQ(got->peers_count, 1U);
  EXPECT_EQ(lg_first_peer(got)->last_handshake, 9'000'000'005);
  EXPECT_EQ(lg_first_peer(got)->endpoint.scope_id, 0U);
  lg_configuration_free(got);
}

TEST(LibHostile, RefusalsOfASetHaveTheirValue) {
  const std::pair<const char*, lg_error> cases[] = {{"errno=0\n\n", LG_OK},
                                                    {"errno=-98\n\n", LG_ADDRESS_IN_USE},
                                                    {"errno=-22\n\n", LG_INVALID},
                                                    {"errno=-19\n\n", LG_GONE},
                                                    {"errno=-16\n\n", LG_BUSY},
                                                    {"errno=-12\n\n", LG_NO_MEMORY},
                                                    {"errno=-5\n\n", LG_SYSTEM},
                                                    {"errno=65535\n\n", LG_SYSTEM},
                                                    {"errno=0\n", LG_GONE},
                                                    {"listen_port=5\n", LG_PROTOCOL},
                                                    {"", LG_GONE}};
  for (const auto& [answer, wanted] : cases) {
    const Liar liar({kShown, answer});
    const Adapter adapter = opened("app0");
    Buffer empty;
    EXPECT_EQ(lg_set_configuration(adapter.get(), empty.get(), empty.bytes()), wanted) << answer;
  }
}

// A large set to a server that closes instead of reading.
TEST(LibHostile, ABrokenConnectionRaisesNoSignal) {
  signal(SIGPIPE, SIG_DFL);
  const Liar liar({kShown});
  const Adapter adapter = opened("app0");
  Buffer large;
  for (int i = 0; i < 20000; ++i) large.peer(static_cast<std::uint8_t>(i));
  for (int i = 0; i < 5; ++i)
    EXPECT_EQ(lg_set_configuration(adapter.get(), large.get(), large.bytes()), LG_GONE);
}

// Any bytes at all, in any pieces: mutations of a good answer.
TEST(LibHostile, RandomAnswersDoNoHarm) {
  const std::string good = "private_key=" + std::string(64, '7') +
                           "\nlisten_port=51820\nfwmark=5\npublic_key=" + std::string(64, 'b') +
                           "\npreshared_key=" + std::string(64, '1') +
                           "\nendpoint=[2001:db8::1]:5\nallowed_ip=10.0.0.0/8\nallowed_ip=::/0\nerrno=0\n\n";
  std::mt19937 random(7);
  int understood = 0;
  for (int round = 0; round < 300; ++round) {
    std::string answer = good;
    for (unsigned i = random() % 4; i != 0; --i) {
      const std::size_t at = random() % answer.size();
      switch (random() % 3) {
        case 0:
          answer[at] = static_cast<char>(random());
          break;
        case 1:
          answer.erase(at, random() % 9);
          break;
        default:
          answer.insert(at, good, random() % good.size(), random() % 40);
      }
    }
    const Liar liar({kShown, answer});
    const Adapter adapter = opened("app0");
    lg_interface* got = nullptr;
    std::vector<std::uint64_t> small(40);
    std::size_t bytes = small.size() * 8;
    understood += lg_get_configuration_alloc(adapter.get(), &got, nullptr) == LG_OK;
    lg_configuration_free(got);
    (void)lg_get_configuration(adapter.get(), reinterpret_cast<lg_interface*>(small.data()), &bytes);
  }
  EXPECT_GT(understood, 20);
  EXPECT_LT(understood, 280);
}

}  // namespace
}  // namespace wg::control::test
