// One end of a stream socket on the EventLoop, and a bounded set of them; the base of wg_socket and rpc.
//
// No call waits. Input is delivered as it arrives, but not while output is pending: this back-pressure keeps
// a client that does not read from filling our buffers. Output comes from strings, or from sources that
// render as fast as the other end reads. What costs the loop's thread time, taking a piece of input and
// asking a source, is done in the loop's turns: once a round for each stream, and not for all of them in one
// round when it would become long. All buffers are wiped after use, because keys pass through them.
// Everything here belongs to the loop's thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "control/loop/event_loop.h"

namespace wg::control {

// Descriptors on their way to the other end. They are closed here when they have been sent, or never will be.
class Descriptors {
 public:
  explicit Descriptors(std::vector<int> fds) : fds_(std::move(fds)) {}
  ~Descriptors();
  Descriptors(const Descriptors&) = delete;
  Descriptors& operator=(const Descriptors&) = delete;
  [[nodiscard]] const std::vector<int>& all() const { return fds_; }

 private:
  std::vector<int> fds_;
};

class Stream : public std::enable_shared_from_this<Stream> {
 public:
  using Clock = EventLoop::Clock;
  // Appends to `out` until it holds about `target` bytes, for about EventLoop::kStep. When it appends nothing
  // it is asked again in the next round. Returns false at the end of the data.
  using Source = std::function<bool(std::string& out, std::size_t target)>;

  // Takes ownership of a non-blocking descriptor. A shared_ptr must own the stream before start().
  Stream(EventLoop& loop, int fd, std::size_t chunk);
  virtual ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  Expected<> start();
  // Closes immediately and discards pending output.
  void close();
  bool closed() const { return fd_ < 0; }
  bool output_pending() const { return !queue_.empty() || sent_ < out_.size(); }
  std::size_t queued_bytes() const { return queued_bytes_ + out_.size() - sent_; }
  // True when no request has begun and no answer is pending.
  bool idle() const { return !output_pending() && !mid_request() && held_.empty() && !paused_; }
  // It waits for us, not we for the other end.
  bool paused() const { return paused_; }
  // Whether a request and its answer have a time limit. A subscriber to events has none.
  virtual bool bounded() const { return true; }
  // The time since when it is not idle, as observed by sweeps.
  Clock::time_point busy_since() const { return busy_since_; }
  void note_idle(Clock::time_point now) {
    if (idle()) busy_since_ = now;
  }
  // True when it may be closed to make room for another stream.
  virtual bool evictable() const { return idle(); }
  Clock::time_point last_progress() const { return last_progress_; }

  std::function<void()> on_closed;

 protected:
  // Consumes bytes from the front of `bytes`. It is called again with the rest, in the next round at the
  // earliest, but not while output is pending or an answer is awaited.
  virtual void on_bytes(std::string_view& bytes) = 0;
  // The other end has closed its sending side. True: close once the output is sent. False: the owner calls
  // close_after_output() after its last answer.
  virtual bool on_end() { return true; }
  virtual bool mid_request() const = 0;
  // After on_end(): the other end has closed both sides, so it does not wait for an answer.
  bool other_end_gone() const;

  void send(std::string text);
  // The descriptors go with the first byte of the text (SCM_RIGHTS).
  void send_with(std::string text, std::unique_ptr<Descriptors> descriptors);
  void send_from(Source source);
  void close_after_output();
  // For an answer that comes later: no more input is taken until what this returns is called with it, once,
  // on the loop's thread. The stream may have ended by then.
  [[nodiscard]] std::function<void(std::string answer)> answer_later();

 private:
  struct Parcel {
    std::string text;
    std::unique_ptr<Descriptors> descriptors;
  };
  using Item = std::variant<std::string, Parcel, Source>;

  void on_events(std::uint32_t events);
  void receive();
  void deliver_held();
  void flush();
  bool refill();
  bool source_is_next() const;
  void ask_for_turn();
  bool take_turn();
  bool ask_source();
  void resume(std::string answer);
  ssize_t send_some();
  void drop_output();
  void watch();

  EventLoop& loop_;
  int fd_;
  std::size_t chunk_;
  std::string held_;  // input that waits for output to be taken, or for its turn
  std::string out_;
  std::size_t sent_ = 0;                          // bytes of out_ already sent
  std::unique_ptr<Descriptors> out_descriptors_;  // of out_, not sent yet; usually null
  std::deque<Item> queue_;
  std::size_t queued_bytes_ = 0;  // total size of the strings in queue_
  bool ended_ = false;            // the other end has closed its sending side
  bool ending_ = false;           // close when the output is sent
  bool delivering_ = false;
  bool flushing_ = false;
  bool turn_asked_ = false;
  bool paused_ = false;  // an answer is awaited
  std::uint32_t watched_ = 0;
  Clock::time_point last_progress_ = Clock::now(), busy_since_ = last_progress_;
};

struct StreamLimits {
  std::size_t streams = 64;
  std::chrono::milliseconds idle_timeout{10000};     // without progress within a request or an answer
  std::chrono::milliseconds request_timeout{60000};  // for a request and its answer, with whatever progress
};

// Keeps streams alive, counts them, and closes those that hang. A full set closes the stream that was idle
// longest, and refuses the new one when none is evictable.
class StreamSet {
 public:
  StreamSet(EventLoop& loop, StreamLimits limits) : loop_(loop), limits_(limits) {}
  ~StreamSet();
  StreamSet(const StreamSet&) = delete;
  StreamSet& operator=(const StreamSet&) = delete;

  // Starts the stream. Returns false when it was refused and closed.
  bool admit(std::shared_ptr<Stream> stream);
  std::size_t size() const { return streams_.size(); }
  const auto& all() const { return streams_; }

 private:
  bool make_room();
  void sweep();

  EventLoop& loop_;
  StreamLimits limits_;
  EventLoop::TimerId sweeper_ = 0;
  std::unordered_map<Stream*, std::shared_ptr<Stream>> streams_;
};

}  // namespace wg::control
