#include "control/log.h"

#include <spdlog/async.h>
#include <spdlog/async_logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <pthread.h>
#include <sched.h>

#include <future>
#include <mutex>
#include <nlohmann/json.hpp>

#include "control/journal.h"

namespace wg::control {

namespace {

constexpr std::size_t kQueueLines = 8192;

spdlog::level::level_enum to_spdlog(config::LogLevel level) {
  switch (level) {
    case config::LogLevel::kOff:
      return spdlog::level::off;
    case config::LogLevel::kError:
      return spdlog::level::err;
    case config::LogLevel::kWarn:
      return spdlog::level::warn;
    case config::LogLevel::kInfo:
      return spdlog::level::info;
    case config::LogLevel::kDebug:
      return spdlog::level::debug;
    case config::LogLevel::kTrace:
      return spdlog::level::trace;
  }
  return spdlog::level::info;
}

// One JSON object per line; text is escaped by the library, whatever a name or an address holds.
class JsonFormatter final : public spdlog::formatter {
 public:
  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
    const auto micros =
        std::chrono::duration_cast<std::chrono::microseconds>(message.time.time_since_epoch()).count();
    nlohmann::json line{{"time_us", micros},
                        {"level", std::string(spdlog::level::to_string_view(message.level).data())},
                        {"message", std::string(message.payload.data(), message.payload.size())}};
    if (message.logger_name.size() != 0) {
      line["interface"] = std::string(message.logger_name.data(), message.logger_name.size());
    }
    const std::string text = line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    out.append(text.data(), text.data() + text.size());
    out.push_back('\n');
  }
  [[nodiscard]] std::unique_ptr<spdlog::formatter> clone() const override {
    return std::make_unique<JsonFormatter>();
  }
};

// "2026-01-02T03:04:05.678 info  wg0: text"; for the journal, which knows time and level, "wg0: text"
class TextFormatter final : public spdlog::formatter {
 public:
  explicit TextFormatter(bool with_head) : with_head_(with_head) {}
  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
    if (with_head_) head_.format(message, out);
    if (message.logger_name.size() != 0) {
      out.append(message.logger_name.data(), message.logger_name.data() + message.logger_name.size());
      const char colon[] = ": ";
      out.append(colon, colon + 2);
    }
    out.append(message.payload.data(), message.payload.data() + message.payload.size());
    out.push_back('\n');
  }
  [[nodiscard]] std::unique_ptr<spdlog::formatter> clone() const override {
    return std::make_unique<TextFormatter>(with_head_);
  }

 private:
  bool with_head_;
  spdlog::pattern_formatter head_{"%Y-%m-%dT%H:%M:%S.%e %-7l ", spdlog::pattern_time_type::local, ""};
};

config::LogLevel from_spdlog(spdlog::level::level_enum level) {
  switch (level) {
    case spdlog::level::trace:
      return config::LogLevel::kTrace;
    case spdlog::level::debug:
      return config::LogLevel::kDebug;
    case spdlog::level::info:
      return config::LogLevel::kInfo;
    case spdlog::level::warn:
      return config::LogLevel::kWarn;
    default:
      return config::LogLevel::kError;
  }
}

std::string text_of(spdlog::string_view_t text) {
  return {text.data(), text.size()};
}

// In front of the sink that writes. Lines are given to the tap before that, which may be slow.
class TappedSink final : public spdlog::sinks::sink {
 public:
  explicit TappedSink(std::shared_ptr<spdlog::sinks::sink> inner) : inner_(std::move(inner)) {}
  void log(const spdlog::details::log_msg& message) override {
    tell(message);
    inner_->log(message);
  }
  void flush() override { inner_->flush(); }
  void set_pattern(const std::string& pattern) override { inner_->set_pattern(pattern); }
  void set_formatter(std::unique_ptr<spdlog::formatter> formatter) override {
    inner_->set_formatter(std::move(formatter));
  }
  void tap(std::function<void(LogLine&&)> tap) {
    const std::lock_guard lock(mutex_);
    tap_ = std::move(tap);
  }

 private:
  void tell(const spdlog::details::log_msg& message) {
    const std::lock_guard lock(mutex_);
    if (!tap_) return;
    tap_({.at = message.time,
          .level = from_spdlog(message.level),
          .interface = text_of(message.logger_name),
          .text = text_of(message.payload)});
  }

  std::shared_ptr<spdlog::sinks::sink> inner_;
  std::mutex mutex_;
  std::function<void(LogLine&&)> tap_;
};

struct LogState {
  std::shared_ptr<spdlog::details::thread_pool> pool;
  pthread_t writer{};
  std::shared_ptr<TappedSink> sink;
  bool to_journal = false;
  config::LogLevel level = config::LogLevel::kInfo;
  std::size_t reported = 0;  // dropped lines that were logged
};

LogState& state() {
  static LogState instance;
  return instance;
}

}  // namespace

void start_log(const config::Log& options) {
  LogState& log = state();
  if (!log.pool) {
    std::promise<pthread_t> started;
    log.pool = std::make_shared<spdlog::details::thread_pool>(
        kQueueLines, 1, [&started] { started.set_value(pthread_self()); });
    log.writer = started.get_future().get();
    log.to_journal = stderr_is_journal();
    log.sink = std::make_shared<TappedSink>(
        log.to_journal ? make_journal_sink() : std::make_shared<spdlog::sinks::stderr_sink_mt>());
  }
  log.level = options.level;
  if (options.format == config::LogFormat::kJson) {
    log.sink->set_formatter(std::make_unique<JsonFormatter>());
  } else {
    log.sink->set_formatter(std::make_unique<TextFormatter>(!log.to_journal));
  }
}

config::LogLevel log_level() {
  return state().level;
}

void tap_log(std::function<void(LogLine&&)> tap) {
  if (state().sink) state().sink->tap(std::move(tap));
}

void keep_log_beside_this_thread() {
  cpu_set_t cpus;
  if (state().pool && pthread_getaffinity_np(pthread_self(), sizeof cpus, &cpus) == 0)
    pthread_setaffinity_np(state().writer, sizeof cpus, &cpus);
}

void stop_log() {
  state().pool.reset();
  state().sink.reset();
}

Logger make_logger(const std::string& interface) {
  LogState& log = state();
  auto logger = std::make_shared<spdlog::async_logger>(interface, log.sink, log.pool,
                                                       spdlog::async_overflow_policy::overrun_oldest);
  set_log_level(logger, log.level);
  return logger;
}

void set_log_level(const Logger& logger, config::LogLevel level) {
  logger->set_level(to_spdlog(level));
}

std::size_t log_lines_dropped() {
  return state().pool ? state().pool->overrun_counter() : 0;
}

void warn_of_dropped_lines(const Logger& logger) {
  const std::size_t dropped = log_lines_dropped();
  if (dropped > state().reported) logger->warn("{} log lines dropped", dropped - state().reported);
  state().reported = dropped;
}

}  // namespace wg::control
