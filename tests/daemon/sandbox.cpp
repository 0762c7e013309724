#include "tests/daemon/sandbox.h"

#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <stdexcept>

namespace wg::test {

namespace {

[[noreturn]] void fail(const std::string& what) {
  throw std::runtime_error(what + ": " + std::strerror(errno));
}

void write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = write(fd, text.data(), text.size());
    if (written <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

[[noreturn]] void run_child(const std::function<std::string()>& body, int out) {
  std::string text;
  char verdict = '+';
  try {
    enter_sandbox();
    text = body();
  } catch (const std::exception& error) {
    verdict = '-';
    text = error.what();
  }
  write_all(out, verdict + text);
  _exit(0);
}

// Everything the child writes until it ends or the time is over.
std::string read_until_end(int fd, unsigned seconds) {
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + std::chrono::seconds(seconds);
  std::string text;
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now()).count();
    pollfd readable{fd, POLLIN, 0};
    if (left <= 0 || poll(&readable, 1, static_cast<int>(left)) == 0) return {};
    std::array<char, 65536> buffer;
    const ssize_t got = read(fd, buffer.data(), buffer.size());
    if (got <= 0) return text;
    text.append(buffer.data(), static_cast<std::size_t>(got));
  }
}

}  // namespace

bool may_make_namespaces() {
  return geteuid() == 0 && access("/dev/net/tun", R_OK | W_OK) == 0;
}

void enter_sandbox() {
  if (unshare(CLONE_NEWNET | CLONE_NEWNS) != 0) fail("unshare");
  if (mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) fail("private mounts");
  if (mount("tmpfs", "/run", "tmpfs", 0, nullptr) != 0) fail("a fresh /run");
  mkdir("/run/wireguard", 0755);
  mkdir("/run/netns", 0755);
  mkdir("/run/lab", 0755);
  shell("ip link set lo up");
}

std::string shell(const std::string& command) {
  FILE* pipe = popen((command + " 2>&1").c_str(), "re");
  if (pipe == nullptr) fail(command);
  std::string text;
  std::array<char, 4096> buffer;
  for (std::size_t n; (n = fread(buffer.data(), 1, buffer.size(), pipe)) != 0;) text.append(buffer.data(), n);
  if (const int status = pclose(pipe); status != 0) throw std::runtime_error(command + ": " + text);
  return text;
}

std::string in_sandbox(const std::function<std::string()>& body, unsigned seconds) {
  std::array<int, 2> ends;
  if (pipe(ends.data()) != 0) fail("pipe");
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child < 0) fail("fork");
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    close(ends[0]);
    run_child(body, ends[1]);
  }
  close(ends[1]);
  const std::string text = read_until_end(ends[0], seconds);
  close(ends[0]);
  kill(child, SIGKILL);
  int status = 0;
  waitpid(child, &status, 0);
  if (text.empty()) throw std::runtime_error("the child ended without a word, or took too long");
  if (text.front() == '-') throw std::runtime_error(text.substr(1));
  return text.substr(1);
}

}  // namespace wg::test
