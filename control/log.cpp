#include "control/log.h"

#include <spdlog/async.h>
#include <spdlog/async_logger.h>
#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <pthread.h>
#include <sched.h>

#include <atomic>
#include <exception>
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

spdlog::level::level_enum to_spdlog(Severity severity) {
  switch (severity) {
    case Severity::critical:
      return spdlog::level::critical;
    case Severity::error:
      return spdlog::level::err;
    case Severity::warn:
      return spdlog::level::warn;
    case Severity::info:
      return spdlog::level::info;
    case Severity::debug:
      return spdlog::level::debug;
    case Severity::trace:
      return spdlog::level::trace;
  }
  return spdlog::level::info;
}

std::string_view view_of(spdlog::string_view_t text) {
  return {text.data(), text.size()};
}

template <typename Out>
void append(Out& out, std::string_view text) {
  out.append(text.data(), text.data() + text.size());
}

// One JSON object per line; text is escaped by the library, whatever a name or an address holds.
class JsonFormatter final : public spdlog::formatter {
 public:
  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
    const auto micros =
        std::chrono::duration_cast<std::chrono::microseconds>(message.time.time_since_epoch()).count();
    const StoredLine stored = read_stored(view_of(message.payload));
    spdlog::memory_buf_t time;
    time_.format(message, time);
    nlohmann::ordered_json line{{"time", std::string(time.data(), time.size())},
                                {"time_us", micros},
                                {"level", std::string(view_of(spdlog::level::to_string_view(message.level)))},
                                {"event", stored.event}};
    for (const auto& [name, value] : stored.fields) line[std::string(name)] = value;
    line["message"] = stored.text;
    append(out, line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
  }
  [[nodiscard]] std::unique_ptr<spdlog::formatter> clone() const override {
    return std::make_unique<JsonFormatter>();
  }

 private:
  spdlog::pattern_formatter time_{"%Y-%m-%dT%H:%M:%S.%f%z", spdlog::pattern_time_type::local, ""};
};

// "2026-01-02T03:04:05.678+02:00 info    wg0: text"; for the journal, which knows time and level, "wg0: text"
class TextFormatter final : public spdlog::formatter {
 public:
  explicit TextFormatter(bool with_head) : with_head_(with_head) {}
  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
    if (with_head_) head_.format(message, out);
    if (message.logger_name.size() != 0) append(out, std::string(view_of(message.logger_name)) + ": ");
    append(out, on_one_line(read_stored(view_of(message.payload)).text) + "\n");
  }
  [[nodiscard]] std::unique_ptr<spdlog::formatter> clone() const override {
    return std::make_unique<TextFormatter>(with_head_);
  }

 private:
  bool with_head_;
  spdlog::pattern_formatter head_{"%Y-%m-%dT%H:%M:%S.%e%z %-7l ", spdlog::pattern_time_type::local, ""};
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
    case spdlog::level::off:
      return config::LogLevel::kOff;
    default:
      return config::LogLevel::kError;
  }
}

LogLine line_of(const spdlog::details::log_msg& message) {
  const StoredLine stored = read_stored(view_of(message.payload));
  LogLine line{.at = message.time,
               .level = from_spdlog(message.level),
               .interface = std::string(view_of(message.logger_name)),
               .text = std::string(stored.text),
               .event = std::string(stored.event)};
  for (const auto& [name, value] : stored.fields) line.fields.emplace_back(name, value);
  return line;
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
    tap_(line_of(message));
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
  std::atomic<std::size_t> unwritten{0};  // lines for which there was no memory
  std::size_t reported = 0;               // dropped lines that were logged
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
  auto logger = std::make_shared<Log>(std::make_shared<spdlog::async_logger>(
      interface, log.sink, log.pool, spdlog::async_overflow_policy::overrun_oldest));
  logger->set_level(log.level);
  return logger;
}

Log::Log(std::shared_ptr<spdlog::logger> out) : out_(std::move(out)) {}

bool Log::says(const LogEvent& event) const {
  return out_->should_log(to_spdlog(event.severity));
}

void Log::put(const LogEvent& event, LogFields about, fmt::string_view words,
              fmt::format_args values) noexcept {
  try {
    if (!says(event)) return;
    if (about.interface.empty()) about.interface = out_->name();
    const std::string line = stored(fmt::vformat(words, values), event.name, about);
    out_->log(to_spdlog(event.severity), spdlog::string_view_t(line));
  } catch (const std::exception&) {
    state().unwritten.fetch_add(1, std::memory_order_relaxed);
  }
}

void Log::set_level(config::LogLevel level) {
  out_->set_level(to_spdlog(level));
}

config::LogLevel Log::level() const {
  return from_spdlog(out_->level());
}

std::size_t log_lines_dropped() {
  const std::size_t overrun = state().pool ? state().pool->overrun_counter() : 0;
  return overrun + state().unwritten.load(std::memory_order_relaxed);
}

void warn_of_dropped_lines(const Logger& logger) {
  const std::size_t dropped = log_lines_dropped();
  if (dropped > state().reported)
    logger->write(log_event::lines_lost, {}, "{} log lines dropped", dropped - state().reported);
  state().reported = dropped;
}

}  // namespace wg::control
