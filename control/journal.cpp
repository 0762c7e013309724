#include "control/journal.h"

#include <spdlog/sinks/base_sink.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <mutex>

namespace wg::control {

namespace {

constexpr int kErrorPriority = 3;

class JournalSink final : public spdlog::sinks::base_sink<std::mutex> {
 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    std::string_view text(line.data(), line.size());
    if (!text.empty() && text.back() == '\n') text.remove_suffix(1);
    std::vector<std::string> fields =
        journal_fields(text, message.level, read_stored({message.payload.data(), message.payload.size()}));
    std::vector<iovec> parts;
    for (std::string& field : fields) parts.push_back({field.data(), field.size()});
    sd_journal_sendv(parts.data(), static_cast<int>(parts.size()));
  }
  void flush_() override {}
};

}  // namespace

bool stderr_is_journal() {
  const char* stream = std::getenv("JOURNAL_STREAM");
  struct stat facts {};
  if (stream == nullptr || fstat(STDERR_FILENO, &facts) != 0) return false;
  return std::to_string(facts.st_dev) + ":" + std::to_string(facts.st_ino) == stream;
}

int journal_priority(spdlog::level::level_enum level) {
  switch (level) {
    case spdlog::level::critical:
      return 2;
    case spdlog::level::err:
      return kErrorPriority;
    case spdlog::level::warn:
      return 4;
    case spdlog::level::info:
      return 6;
    default:
      return 7;
  }
}

std::vector<std::string> journal_fields(std::string_view message, spdlog::level::level_enum level,
                                        const StoredLine& line) {
  std::vector<std::string> fields{"MESSAGE=" + std::string(message),
                                  "PRIORITY=" + std::to_string(journal_priority(level)),
                                  "SYSLOG_IDENTIFIER=linegate"};
  const auto add = [&fields](std::string name, std::string_view value) {
    for (char& c : name) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    fields.push_back("LINEGATE_" + name + "=" + std::string(value));
  };
  if (!line.event.empty()) add("event", line.event);
  for (const auto& [name, value] : line.fields) add(std::string(name), value);
  return fields;
}

std::shared_ptr<spdlog::sinks::sink> make_journal_sink() {
  return std::make_shared<JournalSink>();
}

void write_errors(const std::string& text) {
  const std::string prefix = stderr_is_journal() ? "<" + std::to_string(kErrorPriority) + ">" : "";
  std::size_t begin = 0;
  while (begin < text.size()) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    std::fprintf(stderr, "%s%.*s\n", prefix.c_str(), static_cast<int>(end - begin), text.data() + begin);
    begin = end + 1;
  }
}

}  // namespace wg::control
