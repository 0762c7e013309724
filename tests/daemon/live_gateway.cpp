#include "tests/daemon/live_gateway.h"

#include <malloc.h>
#include <pthread.h>
#include <sodium.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <fstream>
#include <future>
#include <stdexcept>

#include "config/parse.h"
#include "control/cli/call.h"
#include "control/gateway/gateway.h"
#include "control/heap.h"
#include "control/log.h"

namespace wg::test {

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::microseconds;

microseconds since(Clock::time_point start) {
  return std::chrono::duration_cast<microseconds>(Clock::now() - start);
}

void block_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, signal);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
}

}  // namespace

std::size_t resident_bytes() {
  malloc_trim(0);
  std::ifstream file("/proc/self/statm");
  std::size_t all = 0, pages = 0;
  file >> all >> pages;
  return pages * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

void write_file(const std::string& path, const std::string& text) {
  const std::string temporary = path + ".new";
  {
    std::ofstream out(temporary, std::ios::binary);
    chmod(temporary.c_str(), 0600);
    out << text;
    if (!out.flush()) throw std::runtime_error("cannot write " + temporary);
  }
  if (std::rename(temporary.c_str(), path.c_str()) != 0) throw std::runtime_error("cannot write " + path);
}

LiveGateway::LiveGateway(const std::string& yaml) {
  mallopt(M_ARENA_MAX, 1);  // in the daemon the control thread has the main arena, which grows more cheaply
  control::free_in_small_steps();
  write_file(kFile, yaml);
  block_signals();
  if (sodium_init() < 0) throw std::runtime_error("libsodium does not start");
  std::promise<void> started;
  thread_ = std::thread([this, &started] {
    try {
      const auto from = Clock::now();
      config::ParsedGateway parsed = config::parse_file(kFile);
      if (!parsed) throw std::runtime_error(config::to_string(parsed.error()));
      control::start_log(parsed->control.log);
      gateway_ = std::make_unique<control::Gateway>(*parsed, kFile);
      parsed = config::Problems{};
      start_time_ = since(from);
    } catch (...) {
      started.set_exception(std::current_exception());
      return;
    }
    started.set_value();
    gateway_->run();
    gateway_.reset();
    control::stop_log();
  });
  try {
    started.get_future().get();
  } catch (...) {
    thread_.join();
    throw;
  }
}

LiveGateway::~LiveGateway() {
  try {
    call("stop");
  } catch (const std::exception&) {
  }
  thread_.join();
}

microseconds LiveGateway::control_time() {
  clockid_t clock;
  timespec t{};
  if (pthread_getcpuclockid(thread_.native_handle(), &clock) == 0) clock_gettime(clock, &t);
  return std::chrono::duration_cast<microseconds>(std::chrono::seconds(t.tv_sec) +
                                                  std::chrono::nanoseconds(t.tv_nsec));
}

void LiveGateway::hold(const std::function<void()>& meanwhile) {
  std::promise<void> held, done;
  gateway_->inspect([&held, over = done.get_future().share()](const auto&, const auto&) {
    held.set_value();
    over.wait();
  });
  held.get_future().wait();
  meanwhile();
  done.set_value();
}

LiveGateway::Round LiveGateway::take_longest_round() {
  const control::RoundTimes::Longest longest = gateway_->round_times().take_longest();
  return {std::chrono::duration_cast<microseconds>(longest.took),
          std::chrono::duration_cast<microseconds>(longest.on_core)};
}

control::Json LiveGateway::call(const std::string& method, const control::Json& params) {
  return control::cli::RpcClient(kSocket, control::cli::Access::kAdmin)
      .call(method, params, std::chrono::seconds(180));
}

LiveGateway::Reloaded LiveGateway::reload(const std::string& yaml) {
  write_file(kFile, yaml);
  return reload();
}

LiveGateway::Reloaded LiveGateway::reload() {
  const auto from = Clock::now();
  const microseconds ran = control_time();
  const control::Json answer = call("reload");
  Reloaded out;
  out.ran = control_time() - ran;
  out.total = since(from);
  out.ok = answer.value("ok", false);
  out.changes = answer["plan"].size();
  out.applied = microseconds(static_cast<std::int64_t>(answer.value("took_ms", 0.0) * 1000));
  if (!answer["errors"].empty()) out.error = answer["errors"][0].get<std::string>();
  return out;
}

}  // namespace wg::test
