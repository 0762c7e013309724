#include "control/daemon.h"

#include <sodium.h>

#include <csignal>
#include <cstdio>
#include <exception>

#include "config/parse.h"
#include "control/gateway/gateway.h"
#include "control/heap.h"
#include "control/journal.h"
#include "control/log.h"
#include "control/privileges.h"
#include "control/sandbox.h"

namespace wg::control {

namespace {

// Before any thread exists, so that all inherit it: signals arrive through the control thread's signalfd.
void block_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, signal);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
}

}  // namespace

int run_daemon(const DaemonOptions& options) {
  keep_secrets();
  free_in_small_steps();
  block_signals();
  if (sodium_init() < 0) {
    std::fputs("linegate: libsodium does not start\n", stderr);
    return 1;
  }
  config::ParsedGateway parsed = config::parse_file(options.config_path);
  if (!parsed) {
    write_errors(config::to_string(parsed.error()));
    return 2;
  }
  // Before any thread exists, so that all inherit it.
  const Expected<> confined = parsed->control.sandbox ? confine_process() : Expected<>{};
  start_log(parsed->control.log);
  if (!confined) make_logger()->write(log_event::no_sandbox, {}, "no sandbox: {}", confined.error().text);
  int code = 0;
  try {
    Gateway gateway(*parsed, options.config_path, options.allow_key_captures);
    gateway.run();
  } catch (const std::exception& error) {
    make_logger()->write(log_event::start_failed, {}, "{}", error.what());
    code = 1;
  }
  stop_log();
  return code;
}

}  // namespace wg::control
