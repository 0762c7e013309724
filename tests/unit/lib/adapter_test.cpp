// Adapters by the library against the real control server: their life, identity, state, errors, threads,
// signals.
#include <fcntl.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <random>
#include <set>
#include <thread>

#include "tests/unit/lib/support.h"

extern char** environ;

namespace wg::control::test {
namespace {

std::set<int> descriptors() {
  std::set<int> open;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    const int fd = std::stoi(entry.path().filename());
    if (fcntl(fd, F_GETFD) >= 0) open.insert(fd);
  }
  return open;
}

template <typename Condition>
bool within(std::chrono::seconds patience, Condition holds) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (!holds()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds{1});
  }
  return true;
}

TEST(LibAdapter, IsMadeDownAndGoesWithItsHandle) {
  GatewayProcess gateway;
  const std::array<std::uint8_t, 16> id{0x6f, 0x0a, 0x4b, 0x5e, 0x0a, 0x1c, 0x4f, 0x7e,
                                        0x9a, 0x53, 0x3f, 0x0c, 0x1b, 0x7d, 0x2e, 0x11};
  lg_adapter* adapter = nullptr;
  ASSERT_EQ(lg_adapter_create("app0", "Office \"VPN\" \\ \xc3\xa4", id.data(), 0, &adapter), LG_OK)
      << last_text();
  const config::Interface made = gateway.value("app0");
  EXPECT_FALSE(made.enabled);
  EXPECT_EQ(made.type, "Office \"VPN\" \\ \xc3\xa4");
  EXPECT_EQ(made.id, "6f0a4b5e-0a1c-4f7e-9a53-3f0c1b7d2e11");
  EXPECT_NE(made.bound_to, 0U);
  std::uint32_t ifindex = 0;
  std::uint64_t netns = 0;
  EXPECT_EQ(lg_adapter_luid(adapter, &ifindex, &netns), LG_OK);
  EXPECT_EQ(ifindex, 101U);
  EXPECT_EQ(netns, 4026531840U);
  lg_state state = LG_UP;
  EXPECT_EQ(lg_adapter_get_state(adapter, &state), LG_OK);
  EXPECT_EQ(state, LG_DOWN);
  EXPECT_EQ(lg_adapter_set_state(adapter, LG_UP), LG_OK);
  EXPECT_EQ(lg_adapter_set_state(adapter, LG_UP), LG_OK);
  EXPECT_EQ(lg_adapter_get_state(adapter, &state), LG_OK);
  EXPECT_EQ(state, LG_UP);
  lg_adapter_close(adapter);
  EXPECT_FALSE(gateway.has("app0"));
  EXPECT_TRUE(within(std::chrono::seconds{10}, [&] { return gateway.clients() == 0; }));
}

TEST(LibAdapter, APermanentOneAndAnOpenedOneStay) {
  GatewayProcess gateway;
  ASSERT_TRUE(created("app0", LG_PERMANENT)) << last_text();
  EXPECT_TRUE(gateway.has("app0"));
  ASSERT_TRUE(opened("app0")) << last_text();
  EXPECT_TRUE(gateway.has("app0"));
  EXPECT_EQ(gateway.value("app0").bound_to, 0U);
}

TEST(LibAdapter, RefusalsSayWhatIsWrong) {
  GatewayProcess gateway;
  const Adapter first = created("app0");
  ASSERT_TRUE(first);
  lg_adapter* adapter = first.get();
  EXPECT_EQ(lg_adapter_create("app0", nullptr, nullptr, 0, &adapter), LG_EXISTS);
  EXPECT_EQ(adapter, nullptr);
  EXPECT_EQ(lg_last_error(nullptr), LG_EXISTS);
  EXPECT_NE(last_text().find("app0"), std::string::npos);
  EXPECT_EQ(lg_adapter_open("nothing", &adapter), LG_NOT_FOUND);
  for (const char* name : {"", "sixteen_letters_", "a b", "a/b", "\xff"})
    EXPECT_EQ(lg_adapter_create(name, nullptr, nullptr, 0, &adapter), LG_INVALID) << name;
  EXPECT_EQ(lg_adapter_create(nullptr, nullptr, nullptr, 0, &adapter), LG_INVALID);
  EXPECT_EQ(lg_adapter_create("b", nullptr, nullptr, 2, &adapter), LG_INVALID);
  EXPECT_EQ(lg_adapter_create("b", "", nullptr, 0, &adapter), LG_INVALID);
  EXPECT_EQ(lg_adapter_create("b", std::string(128, 'x').c_str(), nullptr, 0, &adapter), LG_INVALID);
  EXPECT_EQ(lg_adapter_create("b", "\x01", nullptr, 0, &adapter), LG_INVALID);
  EXPECT_EQ(lg_adapter_create("b", "\xff\xfe", nullptr, 0, &adapter), LG_INVALID);
  EXPECT_EQ(lg_adapter_create("b", std::string(127, '\x02').c_str(), nullptr, 0, &adapter), LG_INVALID);
  EXPECT_EQ(lg_adapter_create("b", nullptr, nullptr, 0, nullptr), LG_INVALID);
  EXPECT_EQ(lg_adapter_set_state(first.get(), 2), LG_INVALID);
  EXPECT_EQ(lg_adapter_set_state(nullptr, LG_UP), LG_INVALID);
  EXPECT_EQ(lg_adapter_get_state(first.get(), nullptr), LG_INVALID);
  EXPECT_EQ(lg_adapter_luid(nullptr, nullptr, nullptr), LG_INVALID);
  lg_adapter_close(nullptr);
  EXPECT_FALSE(gateway.has("b"));
}

TEST(LibAdapter, ErrorsHaveNamesAndBelongToTheirThread) {
  for (lg_error error = LG_FULL; error <= LG_OK; ++error)
    EXPECT_TRUE(std::string(lg_error_name(error)).starts_with("LG_"));
  EXPECT_STREQ(lg_error_name(LG_TIMED_OUT), "LG_TIMED_OUT");
  EXPECT_STREQ(lg_error_name(LG_FULL), "LG_FULL");
  EXPECT_STREQ(lg_error_name(LG_MORE_DATA), "LG_MORE_DATA");
  EXPECT_STREQ(lg_error_name(1), "LG_UNKNOWN");
  EXPECT_STREQ(lg_error_name(INT32_MIN), "LG_UNKNOWN");
  EXPECT_EQ(lg_adapter_luid(nullptr, nullptr, nullptr), LG_INVALID);
  std::thread([] { EXPECT_EQ(lg_last_error(nullptr), LG_OK); }).join();
}

TEST(LibAdapter, WithoutAGatewayThereIsNone) {
  const SocketDirectory directory;
  lg_adapter* adapter = nullptr;
  EXPECT_EQ(lg_adapter_open("app0", &adapter), LG_NOT_RUNNING);
  EXPECT_EQ(lg_running_version(), 0U);
  EXPECT_EQ(lg_last_error(nullptr), LG_NOT_RUNNING);
  EXPECT_EQ(lg_shutdown_if_unused(), LG_NOT_RUNNING);
  setenv("LINEGATE_SOCKET", std::string(108, 'x').c_str(), 1);
  EXPECT_EQ(lg_adapter_open("app0", &adapter), LG_INVALID);
}

// Root may do everything: the question is asked by a process without rights.
TEST(LibAdapter, WhoMayNotUseTheSocketIsRefused) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  GatewayProcess gateway;
  chmod(std::filesystem::path(gateway.socket()).parent_path().c_str(), 0755);
  const pid_t child = fork();
  if (child == 0) {
    lg_adapter* adapter = nullptr;
    if (setgroups(0, nullptr) != 0 || setresgid(65534, 65534, 65534) != 0 ||
        setresuid(65534, 65534, 65534) != 0)
      _exit(1);
    setenv("LINEGATE_SOCKET", gateway.socket().c_str(), 1);
    _exit(lg_adapter_create("app0", nullptr, nullptr, 0, &adapter) == LG_ACCESS ? 0 : 2);
  }
  int status = -1;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  EXPECT_FALSE(gateway.has("app0"));
}

TEST(LibAdapter, VersionAndEndOfTheGateway) {
  GatewayProcess gateway;
  EXPECT_EQ(lg_running_version(), LG_VERSION(0, 1, 0));
  EXPECT_EQ(lg_version(), LG_VERSION(0, 1, 0));
  {
    const Adapter adapter = created("app0");
    EXPECT_EQ(lg_shutdown_if_unused(), LG_BUSY);
  }
  EXPECT_FALSE(gateway.with([](FakeGateway& fake) { return fake.stopped; }));
  EXPECT_EQ(lg_shutdown_if_unused(), LG_OK);
  EXPECT_TRUE(gateway.with([](FakeGateway& fake) { return fake.stopped; }));
}

// ---------------------------------------------------------------- what goes under a handle

TEST(LibAdapter, WhatIsDeletedOrReplacedUnderAHandleIsGone) {
  GatewayProcess gateway;
  const Adapter owner = created("app0"), guest = opened("app0");
  ASSERT_TRUE(owner && guest);
  Buffer port;
  port.interface().flags = LG_INTERFACE_HAS_LISTEN_PORT;
  ASSERT_EQ(lg_set_configuration(guest.get(), port.get(), port.bytes()), LG_OK);
  gateway.with([](FakeGateway& fake) { return fake.interfaces_by_name.erase("app0"); });
  const Adapter other = created("app0", LG_PERMANENT);
  ASSERT_TRUE(other) << last_text();
  lg_state state = LG_DOWN;
  for (const Adapter* handle : {&owner, &guest}) {
    std::size_t bytes = 0;
    EXPECT_EQ(lg_adapter_set_state(handle->get(), LG_UP), LG_GONE);
    EXPECT_EQ(lg_adapter_get_state(handle->get(), &state), LG_GONE);
    EXPECT_EQ(lg_set_configuration(handle->get(), port.get(), port.bytes()), LG_GONE);
    EXPECT_EQ(lg_get_configuration(handle->get(), nullptr, &bytes), LG_GONE);
    EXPECT_EQ(lg_adapter_set_logging(handle->get(), LG_LOG_ON), LG_GONE);
  }
  EXPECT_FALSE(gateway.value("app0").enabled);
}

TEST(LibAdapter, AfterARestartOfTheGatewayAHandleIsGoneAndANewOneWorks) {
  GatewayProcess gateway;
  Adapter owner = created("app0");
  ASSERT_TRUE(owner);
  gateway.stop();
  EXPECT_EQ(lg_adapter_set_state(owner.get(), LG_UP), LG_GONE);
  gateway.start();
  EXPECT_EQ(lg_adapter_set_state(owner.get(), LG_UP), LG_GONE);
  Buffer empty;
  EXPECT_EQ(lg_set_configuration(owner.get(), empty.get(), empty.bytes()), LG_GONE);
  owner = created("app0");
  ASSERT_TRUE(owner) << last_text();
  EXPECT_EQ(lg_adapter_set_state(owner.get(), LG_UP), LG_OK);
}

TEST(LibAdapter, AHandleWhoseKeptConnectionWasClosedConnectsAgain) {
  GatewayProcess gateway(8);
  const Adapter owner = created("app0");
  const Adapter guest = opened("app0");
  Buffer empty;
  ASSERT_EQ(lg_set_configuration(owner.get(), empty.get(), empty.bytes()), LG_OK);
  ASSERT_EQ(lg_set_configuration(guest.get(), empty.get(), empty.bytes()), LG_OK);
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(opened("app0"));
  std::vector<Adapter> many;
  for (int i = 0; i < 7; ++i) many.push_back(opened("app0"));  // the kept ones made room
  EXPECT_EQ(lg_set_configuration(owner.get(), empty.get(), empty.bytes()), LG_OK) << last_text();
  EXPECT_EQ(lg_set_configuration(guest.get(), empty.get(), empty.bytes()), LG_OK) << last_text();
  EXPECT_EQ(lg_adapter_set_state(guest.get(), LG_UP), LG_OK) << last_text();
  EXPECT_EQ(lg_adapter_set_state(owner.get(), LG_UP), LG_OK) << last_text();
}

TEST(LibAdapter, MoreProgramsThanConnectionsAreTold) {
  GatewayProcess gateway(8);
  std::vector<Adapter> adapters;
  for (int i = 0; i < 6; ++i) {
    adapters.push_back(created(("app" + std::to_string(i)).c_str()));
    ASSERT_TRUE(adapters.back()) << last_text();
  }
  EXPECT_FALSE(created("app6"));
  EXPECT_EQ(lg_last_error(nullptr), LG_BUSY);
  adapters.pop_back();
  EXPECT_TRUE(within(std::chrono::seconds{10}, [] { return created("app6") != nullptr; })) << last_text();
}

// ---------------------------------------------------------------- threads, signals, descriptors

TEST(LibAdapter, ManyThreadsUseOneHandleAndTheirOwn) {
  GatewayProcess gateway;
  const Adapter shared = created("shared");
  std::atomic<int> faults = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 25; ++i) {
        Buffer one;
        one.peer(static_cast<std::uint8_t>(t + 1)).persistent_keepalive = 5;
        lg_state state = LG_DOWN;
        lg_interface* got = nullptr;
        faults += lg_set_configuration(shared.get(), one.get(), one.bytes()) != LG_OK;
        faults += lg_adapter_get_state(shared.get(), &state) != LG_OK;
        faults += lg_get_configuration_alloc(shared.get(), &got, nullptr) != LG_OK;
        lg_configuration_free(got);
        const Adapter own = created(("own" + std::to_string(t)).c_str());
        faults += own == nullptr || lg_adapter_set_state(own.get(), LG_UP) != LG_OK;
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(faults, 0);
  EXPECT_EQ(gateway.value("shared").peers.size(), 8U);
}

TEST(LibAdapter, SignalsNeitherEndNorBreakACall) {
  GatewayProcess gateway;
  gateway.with([](FakeGateway& fake) {
    fake.add_peers("wg0", 500);
    return true;
  });
  struct sigaction act {};
  struct sigaction before {};
  static std::atomic<unsigned> rung;
  act.sa_handler = [](int) { ++rung; };  // without SA_RESTART
  sigaction(SIGALRM, &act, &before);
  const itimerval fast{{0, 300}, {0, 300}}, off{};
  setitimer(ITIMER_REAL, &fast, nullptr);
  const Adapter adapter = opened("wg0");
  for (int i = 0; i < 100 || (rung < 200 && i < 5000); ++i) {
    lg_interface* got = nullptr;
    ASSERT_EQ(lg_get_configuration_alloc(adapter.get(), &got, nullptr), LG_OK) << last_text();
    ASSERT_EQ(got->peers_count, 500U);
    lg_configuration_free(got);
    ASSERT_TRUE(created("app0")) << last_text();
  }
  setitimer(ITIMER_REAL, &off, nullptr);
  sigaction(SIGALRM, &before, nullptr);
  EXPECT_GT(rung, 50U);
}

TEST(LibAdapter, LeavesNoDescriptorAndNoneToOtherPrograms) {
  GatewayProcess gateway;
  const std::set<int> before = descriptors();
  {
    const Adapter adapter = created("app0");
    Buffer empty;
    ASSERT_EQ(lg_set_configuration(adapter.get(), empty.get(), empty.bytes()), LG_OK);
    ASSERT_EQ(lg_set_logger([](lg_level, std::int64_t, const char*, void*) {}, nullptr), LG_OK);
    std::size_t more = 0;
    for (const int fd : descriptors()) {
      if (before.contains(fd)) continue;
      ++more;
      EXPECT_NE(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0) << fd;
    }
    EXPECT_GE(more, 4U);  // two connections and a pipe; the server's ends are in this process too
    EXPECT_EQ(lg_set_logger(nullptr, nullptr), LG_OK);
    EXPECT_FALSE(created("app0"));
  }
  EXPECT_TRUE(within(std::chrono::seconds{10}, [&] { return descriptors() == before; }));
}

// ---------------------------------------------------------------- programs that end

class Program {
 public:
  Program(const char* mode, const char* name) {
    std::array<int, 2> ends{};
    if (pipe2(ends.data(), O_CLOEXEC) != 0) std::abort();
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    std::array<const char*, 4> words{LIB_PROGRAM, mode, name, nullptr};
    if (posix_spawn(&pid_, LIB_PROGRAM, &actions, nullptr, const_cast<char**>(words.data()), environ) != 0)
      pid_ = -1;
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    output_ = ends[0];
  }
  ~Program() {
    if (pid_ > 0) wait(SIGKILL);
    close(output_);
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;
  [[nodiscard]] std::string line() const {
    std::string text;
    for (char c = 0; read(output_, &c, 1) == 1 && c != '\n';) text += c;
    return text;
  }
  int wait(int signal = 0) {
    if (signal != 0) kill(pid_, signal);
    int status = -1;
    waitpid(std::exchange(pid_, -1), &status, 0);
    return status;
  }

 private:
  pid_t pid_ = -1;
  int output_ = -1;
};

TEST(LibAdapter, GoesWithItsProgramHoweverThatEnds) {
  GatewayProcess gateway;
  for (const int signal : {SIGKILL, SIGTERM, SIGSEGV}) {
    Program program("hold", "app0");
    ASSERT_EQ(program.line(), "ready");
    EXPECT_TRUE(gateway.has("app0"));
    program.wait(signal);
    EXPECT_TRUE(within(std::chrono::seconds{10}, [&] { return !gateway.has("app0"); })) << signal;
  }
}

// LIB_KILLS: how often.
TEST(LibAdapter, KilledAtAnyPointItLeavesNothing) {
  GatewayProcess gateway;
  const char* wanted = std::getenv("LIB_KILLS");
  const int kills = wanted == nullptr ? 60 : std::atoi(wanted);
  const std::set<int> before = descriptors();
  std::mt19937 random(1);
  int alive = 0;
  for (int i = 0; i < kills; ++i) {
    Program program("churn", "app0");
    ASSERT_EQ(program.line(), "ready");
    std::this_thread::sleep_for(std::chrono::microseconds{random() % 6000});
    alive += gateway.has("app0");
    ASSERT_EQ(WTERMSIG(program.wait(SIGKILL)), SIGKILL) << "it ended by itself at round " << i;
    ASSERT_TRUE(within(std::chrono::seconds{10}, [&] {
      return gateway.clients() == 0 && !gateway.has("app0");
    })) << i;
  }
  EXPECT_GT(alive, 0);
  EXPECT_TRUE(within(std::chrono::seconds{10}, [&] { return descriptors() == before; }));
}

#if !defined(__SANITIZE_ADDRESS__)
TEST(LibAdapter, LeavesNoKeyInTheMemoryOfTheProgram) {
  GatewayProcess gateway;
  Program program("scan", "app0");
  const std::string counts = program.line();
  EXPECT_EQ(program.wait(), 0) << counts;
}
#endif

}  // namespace
}  // namespace wg::control::test
