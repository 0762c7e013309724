#include "control/sandbox.h"

#include <sched.h>
#include <seccomp.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <span>

namespace wg::control {
namespace {

struct Release {
  void operator()(void* filter) const { seccomp_release(filter); }
};
using Filter = std::unique_ptr<void, Release>;

constexpr int kNeverMade[] = {
    // other programs and processes
    SCMP_SYS(execve), SCMP_SYS(execveat), SCMP_SYS(fork), SCMP_SYS(vfork), SCMP_SYS(ptrace),
    SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev), SCMP_SYS(kcmp), SCMP_SYS(pidfd_getfd),
    // the kernel itself
    SCMP_SYS(init_module), SCMP_SYS(finit_module), SCMP_SYS(delete_module), SCMP_SYS(kexec_load),
    SCMP_SYS(kexec_file_load), SCMP_SYS(reboot), SCMP_SYS(bpf), SCMP_SYS(perf_event_open),
    SCMP_SYS(userfaultfd), SCMP_SYS(syslog), SCMP_SYS(iopl), SCMP_SYS(ioperm), SCMP_SYS(io_uring_setup),
    SCMP_SYS(io_uring_enter), SCMP_SYS(io_uring_register),
    // mounts and namespaces
    SCMP_SYS(mount), SCMP_SYS(umount2), SCMP_SYS(pivot_root), SCMP_SYS(chroot), SCMP_SYS(move_mount),
    SCMP_SYS(open_tree), SCMP_SYS(fsopen), SCMP_SYS(fsmount), SCMP_SYS(mount_setattr), SCMP_SYS(setns),
    SCMP_SYS(unshare), SCMP_SYS(open_by_handle_at), SCMP_SYS(swapon), SCMP_SYS(swapoff), SCMP_SYS(quotactl),
    SCMP_SYS(acct), SCMP_SYS(fanotify_init), SCMP_SYS(personality),
    // keyrings, and the clock that handshakes depend on
    SCMP_SYS(keyctl), SCMP_SYS(add_key), SCMP_SYS(request_key), SCMP_SYS(settimeofday),
    SCMP_SYS(clock_settime)};

constexpr int kOfAWorker[] = {
    // packets: TUN, TAP, packet sockets, doorbells, and what drivers do with their descriptors
    SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(readv), SCMP_SYS(writev), SCMP_SYS(sendto), SCMP_SYS(sendmsg),
    SCMP_SYS(sendmmsg), SCMP_SYS(recvfrom), SCMP_SYS(recvmsg), SCMP_SYS(recvmmsg), SCMP_SYS(poll),
    SCMP_SYS(ppoll), SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_ctl), SCMP_SYS(ioctl),
    SCMP_SYS(getsockopt),
    // memory, which comes without a way to run it
    SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(mlock), SCMP_SYS(munlock),
    // time, sleep and other threads
    SCMP_SYS(clock_gettime), SCMP_SYS(gettimeofday), SCMP_SYS(nanosleep), SCMP_SYS(clock_nanosleep),
    SCMP_SYS(futex), SCMP_SYS(sched_yield), SCMP_SYS(getcpu), SCMP_SYS(membarrier), SCMP_SYS(rseq),
    SCMP_SYS(restart_syscall),
    // the end, and the message of an abort
    SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigaction), SCMP_SYS(sigaltstack), SCMP_SYS(getpid), SCMP_SYS(gettid), SCMP_SYS(tgkill),
    SCMP_SYS(set_robust_list),
    // control.user: the C library changes the user in every thread, and aborts when one of them may not
    SCMP_SYS(setresuid), SCMP_SYS(setresgid), SCMP_SYS(setgroups)};

Refusal refused(const char* what, int result) {
  return Refusal{-result, std::string(what) + ": " + std::strerror(-result)};
}

// libseccomp leaves out calls that this architecture does not have.
int add_all(void* filter, std::uint32_t action, std::span<const int> calls) {
  for (const int call : calls)
    if (const int result = seccomp_rule_add(filter, action, call, 0); result != 0 && result != -EDOM)
      return result;
  return 0;
}

// A new process is a clone() without CLONE_THREAD. The flags of clone3() are in memory, which no filter
// reads: the C library uses clone() when clone3() fails with ENOSYS.
int refuse_processes(void* filter) {
  const int result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                                      SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
  return result != 0 ? result : seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
}

// Memory that can be both written and executed, or made executable later, is how data becomes code.
int allow_plain_memory(void* filter) {
  for (const int call : {SCMP_SYS(mmap), SCMP_SYS(mprotect)}) {
    constexpr std::uint64_t kExecutable = 4;  // PROT_EXEC
    const int result =
        seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 1, SCMP_A2(SCMP_CMP_MASKED_EQ, kExecutable, 0));
    if (result != 0) return result;
  }
  return 0;
}

}  // namespace

Expected<> confine_process() {
  const Filter filter(seccomp_init(SCMP_ACT_ALLOW));
  if (!filter) return Refusal{ENOMEM, "a seccomp filter: out of memory"};
  int result = add_all(filter.get(), SCMP_ACT_ERRNO(EPERM), kNeverMade);
  if (result == 0) result = refuse_processes(filter.get());
  if (result == 0) result = seccomp_load(filter.get());
  if (result != 0) return refused("the seccomp filter of the process", result);
  return {};
}

Expected<> confine_worker() {
  const Filter filter(seccomp_init(SCMP_ACT_ERRNO(EPERM)));
  if (!filter) return Refusal{ENOMEM, "a seccomp filter: out of memory"};
  int result = add_all(filter.get(), SCMP_ACT_ALLOW, kOfAWorker);
  if (result == 0) result = allow_plain_memory(filter.get());
  if (result == 0) result = seccomp_load(filter.get());
  if (result != 0) return refused("the seccomp filter of a worker", result);
  return {};
}

}  // namespace wg::control
