#include "control/privileges.h"

#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
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

}  // namespace

void keep_secrets() {
  prctl(PR_SET_DUMPABLE, 0);
  const rlimit none{0, 0};
  setrlimit(RLIMIT_CORE, &none);
}

bool go_before_other_programs() {
  constexpr int kNice = -10;
  const sched_param none{};
  return sched_setscheduler(0, SCHED_OTHER | SCHED_RESET_ON_FORK, &none) == 0 &&
         setpriority(PRIO_PROCESS, 0, kNice) == 0;
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
