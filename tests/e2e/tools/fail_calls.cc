// Loaded before the program (LD_PRELOAD): counts the calls that may fail, by class, and lets chosen ones
// fail.
//
//   FAIL_STATE  path of a file of sizeof(State) bytes, mapped shared: the driver sets what fails and reads
//   the counts.
//
// A call fails when it is number `first` to `first + span - 1` of its class, counted from 1 since the driver
// last cleared the counts. Memory counts only what the program's own code asks for: libraries end the process
// on their own.
#include <dlfcn.h>
#include <execinfo.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <pthread.h>
#include <stdarg.h>
#include <sys/auxv.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <new>

namespace {

// The driver (failing_calls.py) has the same list.
enum Class { kMemory, kSocket, kNetlink, kFile, kEvent, kTun, kPacket, kThread, kDpdk, kClasses };

struct State {
  std::atomic<std::uint32_t> chosen;       // class that fails, kClasses: none
  std::atomic<std::uint32_t> first, span;  // which of its calls
  std::atomic<std::uint32_t> failed;       // how many did
  std::atomic<std::uint32_t> counts[kClasses];
  char what[64];  // name of the last call that failed
};

State* state() {
  static State* const mapped = [] {
    const char* path = getenv("FAIL_STATE");
    const auto real_open = reinterpret_cast<int (*)(const char*, int, ...)>(dlsym(RTLD_NEXT, "open"));
    const int fd = path != nullptr ? real_open(path, O_RDWR | O_CLOEXEC) : -1;
    void* at = fd < 0 ? MAP_FAILED : mmap(nullptr, sizeof(State), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd >= 0) close(fd);
    return at == MAP_FAILED ? nullptr : static_cast<State*>(at);
  }();
  return mapped;
}

// Before main() there is nobody who could answer for a failure.
std::atomic<bool> in_main{false};
int (*program_main)(int, char**, char**);
int begin_main(int argc, char** argv, char** environment) {
  in_main = true;
  return program_main(argc, argv, environment);
}

// True: this call of class `kind` is to fail.
bool fails(Class kind, const char* name) {
  State* const all = state();
  if (all == nullptr || !in_main) return false;
  const std::uint32_t number = all->counts[kind].fetch_add(1) + 1;
  if (all->chosen.load() != kind) return false;
  const std::uint32_t first = all->first.load();
  if (number < first || number - first >= all->span.load()) return false;
  all->failed.fetch_add(1);
  strncpy(all->what, name, sizeof all->what - 1);
  return true;
}

template <class Function>
Function next(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

// The code at `caller` is the program's own and not a library's.
bool called_by_program(const void* caller) {
  static void* const program = [] {
    Dl_info own;
    return dladdr(reinterpret_cast<void*>(getauxval(AT_ENTRY)), &own) != 0 ? own.dli_fbase : nullptr;
  }();
  Dl_info info;
  return dladdr(caller, &info) != 0 && info.dli_fbase == program;
}

bool is_netlink(int fd) {
  int domain = 0;
  socklen_t size = sizeof domain;
  return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_NETLINK;
}

bool is_socket(int fd) {
  struct stat about {};
  return fstat(fd, &about) == 0 && S_ISSOCK(about.st_mode);
}

bool is_tun(int fd) {
  char link[64], target[64] = "";
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  return readlink(link, target, sizeof target - 1) > 0 && strcmp(target, "/dev/net/tun") == 0;
}

bool is_file(int fd) {
  struct stat about {};
  return fstat(fd, &about) == 0 && S_ISREG(about.st_mode);
}

int failure(int error) {
  errno = error;
  return -1;
}

void* memory(std::size_t size, std::size_t alignment, const void* caller, bool may_throw) {
  void* got = nullptr;
  if (!called_by_program(caller) || !fails(kMemory, "operator new")) {
    if (alignment <= alignof(std::max_align_t))
      got = malloc(size != 0 ? size : 1);
    else if (posix_memalign(&got, alignment, size) != 0)
      got = nullptr;
  }
  if (got == nullptr && may_throw) throw std::bad_alloc();
  return got;
}

}  // namespace

// Where an exception ends the program is where the fault is: addr2line reads the offsets.
[[noreturn]] void tell_where() {
  void* frames[48];
  backtrace_symbols_fd(frames, backtrace(frames, 48), STDERR_FILENO);
  std::abort();
}
[[gnu::constructor]] void watch_the_end() {
  std::set_terminate(tell_where);
}

extern "C" int __libc_start_main(int (*run)(int, char**, char**), int argc, char** argv, void (*init)(),
                                 void (*fini)(), void (*rtld_fini)(), void* stack_end) {
  program_main = run;
  return next<decltype(&__libc_start_main)>("__libc_start_main")(begin_main, argc, argv, init, fini,
                                                                 rtld_fini, stack_end);
}

#define CALLER __builtin_return_address(0)
void* operator new(std::size_t size) {
  return memory(size, 1, CALLER, true);
}
void* operator new[](std::size_t size) {
  return memory(size, 1, CALLER, true);
}
void* operator new(std::size_t size, std::align_val_t at) {
  return memory(size, static_cast<std::size_t>(at), CALLER, true);
}
void* operator new[](std::size_t size, std::align_val_t at) {
  return memory(size, static_cast<std::size_t>(at), CALLER, true);
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return memory(size, 1, CALLER, false);
}
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept {
  return memory(size, 1, CALLER, false);
}
void operator delete(void* at) noexcept {
  free(at);
}
void operator delete[](void* at) noexcept {
  free(at);
}
void operator delete(void* at, std::size_t) noexcept {
  free(at);
}
void operator delete[](void* at, std::size_t) noexcept {
  free(at);
}
void operator delete(void* at, std::align_val_t) noexcept {
  free(at);
}
void operator delete[](void* at, std::align_val_t) noexcept {
  free(at);
}
void operator delete(void* at, std::size_t, std::align_val_t) noexcept {
  free(at);
}
void operator delete[](void* at, std::size_t, std::align_val_t) noexcept {
  free(at);
}

extern "C" void* mmap(void* at, size_t size, int access, int flags, int fd, off_t offset) noexcept {
  static const auto real = next<decltype(&mmap)>("mmap");
  if (!called_by_program(CALLER) || !fails(kMemory, "mmap")) return real(at, size, access, flags, fd, offset);
  errno = ENOMEM;
  return MAP_FAILED;
}
extern "C" int mlock(const void* at, size_t size) noexcept {
  static const auto real = next<decltype(&mlock)>("mlock");
  return called_by_program(CALLER) && fails(kMemory, "mlock") ? failure(ENOMEM) : real(at, size);
}

// FAILING(class, error, result type, name, (parameters), (arguments)): a call that returns -1 and sets errno.
#define FAILING(kind, error, name, parameters, arguments)        \
  extern "C" int name parameters {                               \
    static const auto real = next<decltype(&name)>(#name);       \
    return fails(kind, #name) ? failure(error) : real arguments; \
  }
FAILING(kSocket, EMFILE, socket, (int a, int b, int c) noexcept, (a, b, c))
FAILING(kSocket, EADDRINUSE, bind, (int fd, const sockaddr* at, socklen_t size) noexcept, (fd, at, size))
FAILING(kSocket, ENOMEM, setsockopt, (int fd, int a, int b, const void* v, socklen_t s) noexcept,
        (fd, a, b, v, s))
FAILING(kSocket, EADDRINUSE, listen, (int fd, int backlog) noexcept, (fd, backlog))
FAILING(kSocket, EMFILE, accept4, (int fd, sockaddr* at, socklen_t* size, int flags), (fd, at, size, flags))
FAILING(kEvent, EMFILE, eventfd, (unsigned count, int flags) noexcept, (count, flags))
FAILING(kEvent, EMFILE, epoll_create1, (int flags) noexcept, (flags))
FAILING(kEvent, ENOMEM, epoll_ctl, (int fd, int op, int target, epoll_event* e) noexcept, (fd, op, target, e))
FAILING(kEvent, EMFILE, timerfd_create, (clockid_t clock, int flags) noexcept, (clock, flags))
FAILING(kEvent, EMFILE, inotify_init1, (int flags) noexcept, (flags))
FAILING(kEvent, ENOSPC, inotify_add_watch, (int fd, const char* path, uint32_t mask) noexcept,
        (fd, path, mask))
FAILING(kEvent, EMFILE, signalfd, (int fd, const sigset_t* set, int flags) noexcept, (fd, set, flags))
FAILING(kEvent, EMFILE, pipe2, (int* fds, int flags) noexcept, (fds, flags))
FAILING(kFile, EIO, fsync, (int fd), (fd))
FAILING(kFile, ENOSPC, rename, (const char* from, const char* to) noexcept, (from, to))
FAILING(kFile, ENOSPC, mkdir, (const char* path, mode_t mode) noexcept, (path, mode))
FAILING(kFile, EIO, fchmod, (int fd, mode_t mode) noexcept, (fd, mode))

#define OPENING(name)                                                                                   \
  extern "C" int name(const char* path, int flags, ...) {                                               \
    static const auto real = next<int (*)(const char*, int, ...)>(#name);                               \
    va_list more;                                                                                       \
    va_start(more, flags);                                                                              \
    const mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(more, mode_t) : 0;                \
    va_end(more);                                                                                       \
    const bool tun = strcmp(path, "/dev/net/tun") == 0;                                                 \
    return fails(tun ? kTun : kFile, #name) ? failure(tun ? EMFILE : EACCES) : real(path, flags, mode); \
  }
OPENING(open)
OPENING(open64)
extern "C" int openat(int directory, const char* path, int flags, ...) {
  static const auto real = next<int (*)(int, const char*, int, ...)>("openat");
  va_list more;
  va_start(more, flags);
  const mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(more, mode_t) : 0;
  va_end(more);
  return fails(kFile, "openat") ? failure(EMFILE) : real(directory, path, flags, mode);
}
extern "C" FILE* fopen(const char* path, const char* mode) {
  static const auto real = next<decltype(&fopen)>("fopen");
  if (!fails(kFile, "fopen")) return real(path, mode);
  errno = EACCES;
  return nullptr;
}

extern "C" int ioctl(int fd, unsigned long request, ...) noexcept {
  static const auto real = next<int (*)(int, unsigned long, ...)>("ioctl");
  va_list more;
  va_start(more, request);
  void* const argument = va_arg(more, void*);
  va_end(more);
  const Class kind = is_tun(fd) ? kTun : kSocket;
  return fails(kind, "ioctl") ? failure(kind == kTun ? EBUSY : ENODEV) : real(fd, request, argument);
}

// What goes through a descriptor: its class is that of the descriptor.
#define THROUGH(name, parameters, arguments)                                               \
  extern "C" ssize_t name parameters {                                                     \
    static const auto real = next<decltype(&name)>(#name);                                 \
    if (is_tun(fd)) return fails(kPacket, #name) ? failure(EIO) : real arguments;          \
    if (is_file(fd)) return fails(kFile, #name) ? failure(ENOSPC) : real arguments;        \
    if (!is_socket(fd)) return real arguments;                                             \
    const bool netlink = is_netlink(fd);                                                   \
    return fails(netlink ? kNetlink : kSocket, #name) ? failure(ENOBUFS) : real arguments; \
  }
THROUGH(write, (int fd, const void* data, size_t size), (fd, data, size))
THROUGH(read, (int fd, void* data, size_t size), (fd, data, size))
THROUGH(writev, (int fd, const iovec* parts, int count), (fd, parts, count))
THROUGH(readv, (int fd, const iovec* parts, int count), (fd, parts, count))
THROUGH(send, (int fd, const void* data, size_t size, int flags), (fd, data, size, flags))
THROUGH(sendto, (int fd, const void* d, size_t s, int f, const sockaddr* to, socklen_t n),
        (fd, d, s, f, to, n))
THROUGH(sendmsg, (int fd, const msghdr* message, int flags), (fd, message, flags))
THROUGH(recv, (int fd, void* data, size_t size, int flags), (fd, data, size, flags))
THROUGH(recvfrom, (int fd, void* d, size_t s, int f, sockaddr* from, socklen_t* n), (fd, d, s, f, from, n))
THROUGH(recvmsg, (int fd, msghdr* message, int flags), (fd, message, flags))

extern "C" int pthread_create(pthread_t* id, const pthread_attr_t* how, void* (*run)(void*),
                              void* with) noexcept {
  static const auto real = next<decltype(&pthread_create)>("pthread_create");
  return fails(kThread, "pthread_create") ? EAGAIN : real(id, how, run, with);
}

// DPDK: pools and devices. Declared by hand: this library does without DPDK's headers.
extern "C" {
void* rte_pktmbuf_pool_create(const char* name, unsigned n, unsigned cache, uint16_t priv, uint16_t room,
                              int socket) {
  static const auto real = next<decltype(&rte_pktmbuf_pool_create)>("rte_pktmbuf_pool_create");
  return fails(kDpdk, "rte_pktmbuf_pool_create") ? nullptr : real(name, n, cache, priv, room, socket);
}
void* rte_zmalloc_socket(const char* type, size_t size, unsigned align, int socket) {
  static const auto real = next<decltype(&rte_zmalloc_socket)>("rte_zmalloc_socket");
  return called_by_program(CALLER) && fails(kDpdk, "rte_zmalloc_socket") ? nullptr
                                                                         : real(type, size, align, socket);
}
int rte_eal_remote_launch(int (*run)(void*), void* with, unsigned worker) {
  static const auto real = next<decltype(&rte_eal_remote_launch)>("rte_eal_remote_launch");
  return fails(kDpdk, "rte_eal_remote_launch") ? -EBUSY : real(run, with, worker);
}
int rte_dev_probe(const char* arguments) {
  static const auto real = next<decltype(&rte_dev_probe)>("rte_dev_probe");
  return fails(kDpdk, "rte_dev_probe") ? -ENODEV : real(arguments);
}
int rte_eth_dev_configure(uint16_t port, uint16_t rx, uint16_t tx, const void* how) {
  static const auto real = next<decltype(&rte_eth_dev_configure)>("rte_eth_dev_configure");
  return fails(kDpdk, "rte_eth_dev_configure") ? -EINVAL : real(port, rx, tx, how);
}
int rte_eth_dev_start(uint16_t port) {
  static const auto real = next<decltype(&rte_eth_dev_start)>("rte_eth_dev_start");
  return fails(kDpdk, "rte_eth_dev_start") ? -EIO : real(port);
}
}
