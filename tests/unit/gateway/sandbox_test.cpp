// The filters, by calling what they refuse and what they must not. Each in a process of its own: a filter
// stays.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>
#include <functional>
#include <thread>

#include "control/sandbox.h"

namespace wg::control {
namespace {

struct Call {
  const char* name;
  std::function<long()> make;  // -1 and errno, as a system call
};

long raw(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0) {
  return syscall(number, a, b, c, d, e);
}

// What a process with a filter answers: the index of the first call that is not as wanted, or 255 for none.
template <class Confine>
int first_wrong(Confine confine, const std::vector<Call>& refused, const std::vector<Call>& allowed) {
  const pid_t child = fork();
  if (child == 0) {
    if (!confine()) _exit(254);
    for (std::size_t i = 0; i < refused.size(); ++i)
      if (errno = 0; refused[i].make() != -1 || errno != EPERM) _exit(static_cast<int>(i));
    for (std::size_t i = 0; i < allowed.size(); ++i)
      if (errno = 0; allowed[i].make() == -1 && errno == EPERM) _exit(static_cast<int>(100 + i));
    _exit(255);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

const std::vector<Call> kPrograms = {
    {"execve", [] { return raw(SYS_execve, reinterpret_cast<long>("/bin/true")); }},
    {"fork", [] { return raw(SYS_clone, SIGCHLD); }},
    {"vfork", [] { return raw(SYS_clone, CLONE_VM | CLONE_VFORK | SIGCHLD); }},
    {"ptrace", [] { return ptrace(PTRACE_ATTACH, getppid(), nullptr, nullptr); }},
    {"process_vm_readv", [] { return raw(SYS_process_vm_readv, getppid()); }},
    {"init_module", [] { return raw(SYS_init_module); }},
    {"bpf", [] { return raw(SYS_bpf); }},
    {"perf_event_open", [] { return raw(SYS_perf_event_open); }},
    {"io_uring_setup", [] { return raw(SYS_io_uring_setup, 1); }},
    {"mount", [] { return static_cast<long>(mount("none", "/nowhere", "tmpfs", 0, nullptr)); }},
    {"unshare", [] { return static_cast<long>(unshare(CLONE_NEWUSER)); }},
    {"setns", [] { return raw(SYS_setns, -1); }},
    {"keyctl", [] { return raw(SYS_keyctl); }},
    {"clock_settime", [] { return raw(SYS_clock_settime, CLOCK_REALTIME); }},
    {"reboot", [] { return raw(SYS_reboot); }},
};

long thread_runs() {
  bool ran = false;
  std::thread([&ran] { ran = true; }).join();
  return ran ? 0 : -1;
}

TEST(Sandbox, TheProcessMakesNoOther) {
  const std::vector<Call> allowed = {
      {"a thread", thread_runs},
      {"a file", [] { return static_cast<long>(open("/dev/null", O_RDWR)); }},
      {"a socket", [] { return static_cast<long>(socket(AF_INET6, SOCK_DGRAM, 0)); }},
      {"an event", [] { return static_cast<long>(eventfd(0, 0)); }}};
  const int wrong = first_wrong(confine_process, kPrograms, allowed);
  ASSERT_NE(wrong, 254) << "the kernel has no seccomp filters";
  EXPECT_EQ(wrong, 255) << (wrong >= 0 && wrong < 100 ? kPrograms[static_cast<std::size_t>(wrong)].name
                                                      : "allowed");
}

TEST(Sandbox, AWorkerOpensNothing) {
  static int events[2];
  events[0] = eventfd(1, EFD_NONBLOCK);
  std::vector<Call> refused = kPrograms;
  refused.push_back({"open", [] { return static_cast<long>(open("/dev/null", O_RDWR)); }});
  refused.push_back({"socket", [] { return static_cast<long>(socket(AF_INET, SOCK_DGRAM, 0)); }});
  refused.push_back({"eventfd", [] { return static_cast<long>(eventfd(0, 0)); }});
  refused.push_back({"connect", [] { return raw(SYS_connect, 0); }});
  refused.push_back({"unlink", [] { return static_cast<long>(unlink("/nowhere")); }});
  refused.push_back({"kill", [] { return raw(SYS_kill, getppid(), 0); }});
  refused.push_back({"executable memory", [] {
                       return mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                                   0) == MAP_FAILED
                                  ? -1L
                                  : 0L;
                     }});
  const std::vector<Call> allowed = {
      {"read",
       [] {
         std::uint64_t count = 0;
         return static_cast<long>(read(events[0], &count, sizeof count));
       }},
      {"write",
       [] {
         const std::uint64_t one = 1;
         return static_cast<long>(write(events[0], &one, sizeof one));
       }},
      {"sleep",
       [] {
         const timespec span{0, 1000};
         return static_cast<long>(nanosleep(&span, nullptr));
       }},
      {"memory", [] {
         void* at = mmap(nullptr, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
         return at == MAP_FAILED ? -1L : static_cast<long>(munmap(at, 1 << 20));
       }}};
  const auto both = [] { return confine_process() && confine_worker(); };
  const int wrong = first_wrong(both, refused, allowed);
  EXPECT_EQ(wrong, 255) << (wrong >= 0 && wrong < 100 ? refused[static_cast<std::size_t>(wrong)].name
                                                      : "allowed");
  close(events[0]);
}

}  // namespace
}  // namespace wg::control
