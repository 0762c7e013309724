#include "control/watch/sink.h"

#include "control/api/json.h"
#include "control/api/pcapng.h"

namespace wg::control {

using dataplane::WatchLink;
using dataplane::WatchPoint;
using dataplane::WatchRecord;
using Packet = std::span<const std::uint8_t>;

namespace {

// A packet may still be cut, answered or sent on; one in another worker's hands takes longer.
constexpr std::chrono::milliseconds kAfterTheEnd{5}, kWithoutAnEnd{200};
constexpr std::size_t kStoriesAtOnce = 4096, kStepsOfAStory = 64;

double microseconds_of(WallTime at) {
  return static_cast<double>(std::chrono::floor<std::chrono::microseconds>(at.time_since_epoch()).count());
}

bool ends(WatchPoint point) {
  return point == WatchPoint::transmitted || point >= WatchPoint::to_linux;
}

}  // namespace

// ---------------------------------------------------------------- pcapng

CaptureSink::CaptureSink(const WatchNames& names, std::uint64_t limit, std::string_view comment, bool outer,
                         bool inner)
    : WatchSink(names, limit), outer_(outer), inner_(inner) {
  text_ = pcapng::section_header("linegate", comment);
}

std::uint32_t CaptureSink::interface_of(const WatchRecord& record) {
  const Place place{record.link, record.where};
  if (const auto known = interfaces_.find(place); known != interfaces_.end()) return known->second;
  const bool frame = record.link == WatchLink::kEthernet;
  const char* what = frame ? "frames of the port" : "inner packets, in clear";
  text_ += pcapng::interface_block(frame ? pcapng::kLinkEthernet : pcapng::kLinkRawIp,
                                   place_of(record, names_), what);
  return interfaces_.emplace(place, static_cast<std::uint32_t>(interfaces_.size())).first->second;
}

void CaptureSink::take(const WatchRecord& record, Packet bytes, WallTime at) {
  const bool wanted = record.link == WatchLink::kEthernet ? outer_ : inner_;
  if (is_full() || !wanted || record.link == WatchLink::kNone) return;
  pcapng::PacketBlock packet;
  packet.interface = interface_of(record);
  packet.at = at;
  packet.length = record.length;
  packet.bytes = bytes;
  packet.leaving = record.leaving;
  packet.id = record.id;
  packet.comment = comment_of(record, names_);
  text_ += pcapng::packet_block(packet);
  ++packets_;
}

// The rings are common to all interfaces, so the first one reports what they have lost.
void CaptureSink::finish(WallTime at, std::uint64_t lost) {
  if (interfaces_.empty()) text_ += pcapng::interface_block(pcapng::kLinkRawIp, "linegate", "no packet");
  text_ += pcapng::statistics_block(0, at, packets_, lost);
}

// ---------------------------------------------------------------- stories

void TraceSink::take(const WatchRecord& record, Packet bytes, WallTime at) {
  auto found = stories_.find(record.id);
  if (found == stories_.end()) {
    if ((limit_ != 0 && begun_ >= limit_) || stories_.size() >= kStoriesAtOnce) return;
    found = stories_.emplace(record.id, Story{++begun_, record.worker, {}}).first;
    order_.push_back(record.id);
  }
  Story& story = found->second;
  if (story.steps.size() >= kStepsOfAStory) return;
  story.steps.push_back({dataplane::kWatchPointNames[static_cast<std::size_t>(record.point)],
                         words_of(record, bytes, names_), at});
  story.ended = ends(record.point);
}

void TraceSink::passed(WallTime at) {
  while (!order_.empty()) {
    const auto oldest = stories_.find(order_.front());
    const Story& story = oldest->second;
    if (story.steps.back().at + (story.ended ? kAfterTheEnd : kWithoutAnEnd) > at) return;
    tell(story);
    stories_.erase(oldest);
    order_.pop_front();
  }
}

void TraceSink::tell(const Story& story) {
  Json steps = Json::array();
  for (const Step& step : story.steps)
    steps.push_back(
        {{"stage", step.stage}, {"words", step.words}, {"ns", (step.at - story.steps[0].at).count()}});
  text_ += dump({{"trace",
                  {{"number", story.number},
                   {"at", microseconds_of(story.steps[0].at) / 1e6},
                   {"worker", story.worker},
                   {"steps", std::move(steps)}}}}) +
           "\n";
  ++packets_;
}

void TraceSink::finish(WallTime, std::uint64_t lost) {
  for (const std::uint64_t id : order_) tell(stories_.at(id));
  stories_.clear();
  order_.clear();
  text_ += dump({{"end", {{"packets", packets_}, {"lost", lost}}}}) + "\n";
}

}  // namespace wg::control
