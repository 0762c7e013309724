// Captures and traces: starts them by a snapshot that names them, empties the workers' rings in slices of the
// control thread's time, and writes what comes of it to whoever asked.
//
// Control thread only.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

#include "control/api/watch_source.h"
#include "control/gateway/objects.h"
#include "control/log.h"
#include "control/loop/event_loop.h"
#include "control/services.h"
#include "control/watch/sink.h"
#include "dataplane/watch/watch.h"

namespace wg::control {

class PacketWatch final : public WatchSource {
 public:
  static constexpr std::size_t kMost = 4;  // at a time

  PacketWatch(Services& services, const Objects& objects, Logger log);

  Expected<std::unique_ptr<WatchSession>> watch(const WatchRequest& request, WatchOutput output) override;
  // Moves records of all watches until then at the latest. True: more is waiting.
  bool advance(EventLoop::Clock::time_point until);
  [[nodiscard]] bool active() const { return !sessions_.empty(); }

 private:
  class Session;

  Expected<std::shared_ptr<dataplane::Watch>> watch_of(const WatchRequest& request) const;
  Expected<> select(const WatchRequest& request, dataplane::Watch& watch) const;
  Expected<> check_keys(const WatchRequest& request) const;
  [[nodiscard]] std::shared_ptr<dataplane::Watch> handshakes_of(const WatchRequest& request) const;
  void record_keys(const WatchRequest& request, Session& session);
  [[nodiscard]] bool is_used(std::uint8_t bit) const;
  void add(Session& session);
  void remove(Session& session);
  void publish();
  [[nodiscard]] std::uint8_t free_bit();

  Services& services_;
  const Objects& objects_;
  const Logger log_;
  const WatchNames names_;
  std::vector<Session*> sessions_;
  std::uint16_t generation_ = 0;  // of the marks; another one whenever no watch ran in between
  unsigned next_bit_ = 0;
};

}  // namespace wg::control
