#include "control/privileges.h"

#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <memory>
#include <stdexcept>

namespace wg::control {

namespace {

[[noreturn]] void fail(const std::string& what) {
  throw std::runtime_error("control.user: " + what + ": " + std::strerror(errno));
}

void keep_capabilities() {
  struct Free {
    void operator()(_cap_struct* caps) const { cap_free(caps); }
  };
  const std::unique_ptr<_cap_struct, Free> caps(cap_init());
  const cap_value_t kept[] = {CAP_NET_ADMIN, CAP_NET_RAW};
  if (!caps || cap_set_flag(caps.get(), CAP_PERMITTED, 2, kept, CAP_SET) != 0 ||
      cap_set_flag(caps.get(), CAP_EFFECTIVE, 2, kept, CAP_SET) != 0 || cap_set_proc(caps.get()) != 0) {
    fail("keeping CAP_NET_ADMIN and CAP_NET_RAW");
  }
}

// struct sched_attr of sched_setattr(2), in its first version. The kernel's header and the C library's cannot
// be read together.
struct SchedulingAttributes {
  static constexpr std::uint64_t kResetOnFork = 1;

  std::uint32_t size = sizeof(SchedulingAttributes);
  std::uint32_t policy = SCHED_OTHER;
  std::uint64_t flags = 0;
  std::int32_t nice = 0;
  std::uint32_t priority = 0;
  std::uint64_t runtime = 0, deadline = 0, period = 0;  // nanoseconds
};
static_assert(sizeof(SchedulingAttributes) == 48);

}  // namespace

void keep_secrets() {
  prctl(PR_SET_DUMPABLE, 0);
  const rlimit none{0, 0};
  setrlimit(RLIMIT_CORE, &none);
}

// In one call, for which the C library has no name: systemd's RestrictRealtime= takes the flag in the policy
// that sched_setscheduler() gets for a policy of real time, and refuses it.
bool go_before_other_programs() {
  constexpr int kNice = -10;
  SchedulingAttributes wanted;
  wanted.flags = SchedulingAttributes::kResetOnFork;
  wanted.nice = kNice;
  return syscall(SYS_sched_setattr, 0, &wanted, 0) == 0;
}

void drop_privileges(const std::string& user, const std::vector<std::string>& directories) {
  errno = 0;
  const passwd* entry = getpwnam(user.c_str());
  if (entry == nullptr) throw std::runtime_error("control.user: there is no user '" + user + "'");
  if (geteuid() != 0) return;  // nothing to give up
  const uid_t uid = entry->pw_uid;
  const gid_t gid = entry->pw_gid;
  for (const std::string& directory : directories) {
    std::error_code ignored;
    std::filesystem::create_directories(directory, ignored);
    if (chown(directory.c_str(), uid, gid) != 0) fail("giving " + directory + " to " + user);
  }
  if (prctl(PR_SET_KEEPCAPS, 1) != 0) fail("keeping capabilities");
  if (initgroups(user.c_str(), gid) != 0 || setresgid(gid, gid, gid) != 0 || setresuid(uid, uid, uid) != 0) {
    fail("becoming " + user);
  }
  keep_capabilities();
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  keep_secrets();  // changing the user made the process dumpable again
}

}  // namespace wg::control
