// A log that writes its lines to a stream, as people read them.
#pragma once

#include <spdlog/logger.h>
#include <spdlog/sinks/base_sink.h>

#include <memory>
#include <mutex>
#include <ostream>

#include "control/log.h"

namespace wg::control {

class StreamSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit StreamSink(std::ostream& out) : out_(out) {}

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    out_ << read_stored({message.payload.data(), message.payload.size()}).text << "\n";
  }
  void flush_() override {}

 private:
  std::ostream& out_;
};

inline Logger log_to(std::ostream& out) {
  return std::make_shared<Log>(std::make_shared<spdlog::logger>("", std::make_shared<StreamSink>(out)));
}

inline Logger silent_log() {
  return std::make_shared<Log>(std::make_shared<spdlog::logger>(""));
}

}  // namespace wg::control
