// The output of a watch: a pcapng file, or stories in JSON. Pure: records go in, text comes
// out.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "control/watch/words.h"
#include "dataplane/base/clocks.h"

namespace wg::control {

class WatchSink {
 public:
  // `limit`: packets; 0: none.
  WatchSink(const WatchNames& names, std::uint64_t limit) : names_(names), limit_(limit) {}
  virtual ~WatchSink() = default;
  WatchSink(const WatchSink&) = delete;
  WatchSink& operator=(const WatchSink&) = delete;

  // In the order of time.
  virtual void take(const dataplane::WatchRecord& record, std::span<const std::uint8_t> bytes,
                    WallTime at) = 0;
  // A block of its own, before what comes next.
  void add(std::string_view block) { text_ += block; }
  // Nothing older than `at` comes any more.
  virtual void passed(WallTime) {}
  // `lost`: records that found no room in the rings.
  virtual void finish(WallTime at, std::uint64_t lost) = 0;
  [[nodiscard]] bool is_full() const { return limit_ != 0 && packets_ >= limit_; }
  // The text written since the last call.
  [[nodiscard]] std::string take_text() { return std::exchange(text_, {}); }

 protected:
  const WatchNames& names_;
  const std::uint64_t limit_;
  std::uint64_t packets_ = 0;
  std::string text_;
};

class CaptureSink final : public WatchSink {
 public:
  // `comment`: of the file. Records of the links that are not wanted are left out.
  CaptureSink(const WatchNames& names, std::uint64_t limit, std::string_view comment, bool outer, bool inner);
  void take(const dataplane::WatchRecord& record, std::span<const std::uint8_t> bytes, WallTime at) override;
  void finish(WallTime at, std::uint64_t lost) override;

 private:
  using Place = std::pair<dataplane::WatchLink, std::uint16_t>;
  std::uint32_t interface_of(const dataplane::WatchRecord& record);

  const bool outer_, inner_;
  std::map<Place, std::uint32_t> interfaces_;
};

class TraceSink final : public WatchSink {
 public:
  using WatchSink::WatchSink;
  void take(const dataplane::WatchRecord& record, std::span<const std::uint8_t> bytes, WallTime at) override;
  void passed(WallTime at) override;
  void finish(WallTime at, std::uint64_t lost) override;

 private:
  struct Step {
    std::string stage, words;
    WallTime at;
  };
  struct Story {
    std::uint64_t number;
    unsigned worker;
    std::vector<Step> steps;
    bool ended = false;
  };
  using Stories = std::unordered_map<std::uint64_t, Story>;
  void tell(const Story& story);

  std::uint64_t begun_ = 0;
  Stories stories_;                  // by id
  std::deque<std::uint64_t> order_;  // ids, the oldest first
};

}  // namespace wg::control
