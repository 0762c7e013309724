// One connection of a control socket: requests and answers, and what the connection may turn into (rpc.h). It
// is shown to the files that define its methods, and to no one else.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "control/api/json.h"
#include "control/api/rpc.h"
#include "control/api/wg_conversation.h"

namespace wg::control {

inline constexpr std::size_t kRpcChunk = 64 * 1024;

class RpcServer::Client final : public Stream {
  // Lines as severe as `level` or more.
  struct LogSubscription {
    config::LogLevel level = config::LogLevel::kInfo;
    std::string only_interface;  // empty: all
    std::uint64_t lost = 0;
  };

 public:
  // `request_max`: bytes of a line. `server`: whose client it is.
  Client(EventLoop& loop, int fd, const RpcAccess& access, std::size_t request_max, RpcServer& server)
      : Stream(loop, fd, kRpcChunk),
        loop_(loop),
        access_(access),
        request_max_(request_max),
        server_(server),
        caller_(caller_with_connection(fd)) {}
  ~Client() override {
    set_subscribed(false);
    if (log_) --server_.counts_.log_subscribers;
    if (bound_) release_bound();
    wipe_line();
  }

  void publish(const GatewayEvent& event, const std::string& line) {
    if (!subscribed_ || (!only_interface_.empty() && event.interface != only_interface_)) return;
    if (queued_bytes() + line.size() > kRpcEventBacklogMax) {
      ++lost_events_;
      return;
    }
    if (lost_events_ != 0) send(dump({{"event", {{"kind", "events_lost"}, {"count", lost_events_}}}}) + "\n");
    lost_events_ = 0;
    send(line);
  }
  void publish_line(const LogLine& line);

  // Ends as after the last request of a client that has closed its sending side; not while interfaces are
  // bound to it.
  void retire() {
    if (bound_) return;
    input_ended_ = true;
    if (watch_) return watch_->finish();
    if (in_flight_ == 0) close_after_output();
  }

  bool bounded() const override { return !follows() && !watch_; }
  bool evictable() const override { return idle() && !follows() && !watch_ && !bound_ && in_flight_ == 0; }

 private:
  void on_bytes(std::string_view& bytes) override;
  bool on_end() override {
    input_ended_ = true;
    if (watch_) watch_->finish();
    if (wg_) wg_->on_end(other_end_gone());
    return in_flight_ == 0 && !watch_;
  }
  bool mid_request() const override { return wg_ ? wg_->mid_request() : !line_.empty(); }
  bool follows() const { return subscribed_ || log_; }

  bool take_line(std::string_view& bytes);
  void request(std::string_view line);
  void dispatch(Json& request);
  void call(const RpcMethod& method, Json& params, const Json& id);
  void subscribe(bool on, const Json& params, const Json& id);
  bool names_another_interface(const Json& params) const;
  bool own_method(const std::string& name, const Json& params, const Json& id);
  void tell_rates(const Json& params, const Json& id);
  void subscribe_to_log(const Json& params, const Json& id);
  void start_wg(const Json& params, const Json& id);
  WgConversation::Connection wg_connection(const std::string& interface, std::uint32_t ifindex);
  static RpcCaller caller_with_connection(int fd);
  bool bind(const RpcAnswer& answer);
  void release_bound();
  void start_watch(bool trace, const Json& params, const Json& id);
  WatchOutput watch_output();
  void post_watched();
  bool ring_method(const std::string& name, const Json& params, const Json& id);
  void open_ring(const Json& params, const Json& id);
  void start_ring(const Json& id);
  RingSource::OnEnd on_ring_end();
  void set_subscribed(bool on) {
    if (on != subscribed_) on ? ++server_.counts_.subscribers : --server_.counts_.subscribers;
    subscribed_ = on;
  }
  RpcAnswer answer_to(const Json& id);
  void answered();
  void send_json(const Json& json) { send(dump(json) + "\n"); }
  void send_error(const Json& id, std::string_view code, const std::string& message) {
    send_json({{"id", id}, {"error", {{"code", code}, {"message", message}}}});
  }
  void wipe_line() {
    config::wipe(line_);
    line_.clear();
  }

  EventLoop& loop_;
  const RpcAccess& access_;
  const std::size_t request_max_;
  RpcServer& server_;
  const RpcCaller caller_;
  std::string line_;  // an unfinished request
  bool subscribed_ = false;
  bool input_ended_ = false;
  std::string only_interface_;  // of the subscription; empty: all
  std::uint64_t lost_events_ = 0;
  unsigned in_flight_ = 0;
  bool bound_ = false;  // interfaces are, or were, bound to this connection
  std::unique_ptr<LogSubscription> log_;
  std::unique_ptr<WgConversation> wg_;  // what the connection carries since `interface.wg`
  // Sent by a task of its own: a connection that breaks while it is written to destroys the session.
  std::string watched_;  // of the session, not sent yet
  bool watch_posted_ = false, watch_ended_ = false;
  std::unique_ptr<WatchSession> watch_;
  std::unique_ptr<RingSession> ring_;  // of the program at the other end; it goes with the connection
};

}  // namespace wg::control
