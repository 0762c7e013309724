#include "control/api/rpc.h"

#include <sys/socket.h>

#include <algorithm>
#include <filesystem>

#include "control/api/json.h"
#include "control/api/rpc_methods.h"

namespace wg::control {
namespace {

constexpr std::size_t kChunk = 64 * 1024;

// As text += piece, but the outgrown copy is wiped: requests may carry a private key.
void append_secret(std::string& text, std::string_view piece) {
  if (text.size() + piece.size() > text.capacity()) {
    std::string larger;
    larger.reserve(std::max(2 * text.capacity(), text.size() + piece.size()));
    larger = text;
    config::wipe(text);
    text = std::move(larger);
  }
  text += piece;
}

// Looked for before the line is parsed. Brackets within strings are text.
bool nests_too_deep(std::string_view line) {
  unsigned depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char byte = line[i];
    if (byte == '"') in_string = !in_string;
    if (in_string && byte == '\\') ++i;
    if (in_string) continue;
    if ((byte == '[' || byte == '{') && ++depth > kRpcNestingMax) return true;
    if ((byte == ']' || byte == '}') && depth > 0) --depth;
  }
  return false;
}

}  // namespace

std::string read_socket_beside(const std::string& admin_path) {
  // Two gateways may keep their sockets in one directory, so a name of one's own makes a pair of one's own.
  const std::filesystem::path admin(admin_path);
  const std::string stem = admin.stem().string();
  return std::filesystem::path(admin)
      .replace_filename((stem == "control" ? "" : stem + "-") + "read.sock")
      .string();
}

class RpcServer::Client final : public Stream {
 public:
  // `request_max`: bytes of a line. `subscribers`: the server's count of them.
  Client(EventLoop& loop, int fd, const RpcAccess& access, RateSource* rates, std::size_t request_max,
         std::size_t& subscribers)
      : Stream(loop, fd, kChunk),
        loop_(loop),
        access_(access),
        rates_(rates),
        request_max_(request_max),
        subscribers_(subscribers),
        caller_(caller_of(fd)) {}
  ~Client() override {
    set_subscribed(false);
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

  // Ends as after the last request of a client that has closed its sending side.
  void retire() {
    input_ended_ = true;
    if (watch_) return watch_->finish();
    if (in_flight_ == 0) close_after_output();
  }

  bool bounded() const override { return !subscribed_ && !watch_; }
  bool evictable() const override { return idle() && !subscribed_ && !watch_ && in_flight_ == 0; }

 private:
  void on_bytes(std::string_view& bytes) override;
  bool on_end() override {
    input_ended_ = true;
    if (watch_) watch_->finish();
    return in_flight_ == 0 && !watch_;
  }
  bool mid_request() const override { return !line_.empty(); }

  void request(std::string_view line);
  void dispatch(Json& request);
  void call(const RpcMethod& method, Json& params, const Json& id);
  void subscribe(bool on, const Json& params, const Json& id);
  void tell_rates(const Json& params, const Json& id);
  void start_watch(bool trace, const Json& params, const Json& id);
  WatchOutput watch_output();
  void post_watched();
  void set_subscribed(bool on) {
    if (on != subscribed_) on ? ++subscribers_ : --subscribers_;
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
  RateSource* const rates_;
  const std::size_t request_max_;
  std::size_t& subscribers_;
  const RpcCaller caller_;
  std::string line_;  // an unfinished request
  bool subscribed_ = false;
  bool input_ended_ = false;
  std::string only_interface_;  // of the subscription; empty: all
  std::uint64_t lost_events_ = 0;
  unsigned in_flight_ = 0;
  // Sent by a task of its own: a connection that breaks while it is written to destroys the session.
  std::string watched_;  // of the session, not sent yet
  bool watch_posted_ = false, watch_ended_ = false;
  std::unique_ptr<WatchSession> watch_;
};

void RpcServer::Client::on_bytes(std::string_view& bytes) {
  if (input_ended_ || watch_) {  // a connection that carries a capture takes no more requests
    bytes = {};
    return;
  }
  const auto newline = bytes.find('\n');
  const auto piece = bytes.substr(0, newline);
  if (line_.size() + piece.size() > request_max_) {
    bytes = {};
    send_error(nullptr, "too_large", "a request has at most " + std::to_string(request_max_ >> 10) + " KiB");
    return close_after_output();
  }
  append_secret(line_, piece);
  bytes.remove_prefix(newline == std::string_view::npos ? bytes.size() : newline + 1);
  if (newline == std::string_view::npos) return;
  const bool blank = line_.find_first_not_of(" \t\r") == std::string::npos;
  if (!blank) request(line_);
  wipe_line();
  // One request of each caller in a round of the loop; a blank line is none.
  if (!blank && !bytes.empty()) yield();
}

void RpcServer::Client::request(std::string_view line) {
  if (nests_too_deep(line))
    return send_error(nullptr, "bad_json", "nested more than " + std::to_string(kRpcNestingMax) + " deep");
  Json request = Json::parse(line, nullptr, false);
  if (request.is_discarded()) return send_error(nullptr, "bad_json", "the line is not JSON");
  dispatch(request);
}

void RpcServer::Client::dispatch(Json& request) {
  const Json none;
  const auto member = [&](const char* name) -> const Json& {
    const auto found = request.is_object() ? request.find(name) : request.end();
    return found == request.end() ? none : *found;
  };
  const Json& id = member("id");
  if (!id.is_null() && !id.is_number() && !id.is_string())
    return send_error(nullptr, "bad_request", "id is a number or a string");
  if (!member("version").is_null() && member("version") != kRpcVersion)
    return send_error(id, "unsupported_version", "this is version " + std::to_string(kRpcVersion));
  if (!member("method").is_string()) return send_error(id, "bad_request", "method is missing");
  if (!member("params").is_null() && !member("params").is_object())
    return send_error(id, "bad_request", "params is an object");
  const auto name = member("method").get<std::string>();
  Json params = Json::object();
  if (!member("params").is_null()) params = std::move(request["params"]);
  if (name == "subscribe" || name == "unsubscribe") return subscribe(name == "subscribe", params, id);
  if (name == "capture" || name == "trace") return start_watch(name == "trace", params, id);
  if (name == "rates" && rates_ != nullptr) return tell_rates(params, id);
  const RpcMethod* method = find_rpc_method(name);
  if (method == nullptr) return send_error(id, "unknown_method", "no method " + name);
  if (!access_.allows(*method))
    return send_error(id, "forbidden", name + " needs the control socket; this is the read-only one");
  if (in_flight_ >= kRpcInFlightMax) return send_error(id, "busy", "too many unanswered requests");
  call(*method, params, id);
}

void RpcServer::Client::call(const RpcMethod& method, Json& params, const Json& id) {
  const auto answer = answer_to(id);
  try {
    access_.call(method, caller_, params, answer);
  } catch (const Json::exception& error) {
    answer.error("bad_params", error.what());
  } catch (const std::bad_alloc&) {
    answer.error("failed", "out of memory");
  }
}

void RpcServer::Client::subscribe(bool on, const Json& params, const Json& id) {
  const auto interface = params.find("interface");
  const bool one = interface != params.end() && !interface->is_null();
  if (one && !interface->is_string()) return send_error(id, "bad_params", "interface is a name");
  set_subscribed(on);
  only_interface_ = one ? interface->get<std::string>() : std::string{};
  send_json({{"id", id}, {"result", {{"subscribed", on}}}});
}

void RpcServer::Client::tell_rates(const Json& params, const Json& id) {
  try {
    const auto query = rate_query_of(params);
    if (!query) return send_error(id, "bad_params", query.error().text);
    const auto rates = rates_->rates(*query);
    if (!rates) return send_error(id, name_of_refusal(rates.error().code), rates.error().text);
    send_json({{"id", id}, {"result", to_json(*rates)}});
  } catch (const Json::exception& error) {
    send_error(id, "bad_params", error.what());
  }
}

// From its answer on the connection carries what is watched, and nothing else.
void RpcServer::Client::start_watch(bool trace, const Json& params, const Json& id) {
  const std::string name = trace ? "trace" : "capture";
  WatchSource* const source = access_.watches(caller_, name);
  if (source == nullptr)
    return send_error(id, "forbidden", name + " needs the control socket; this is the read-only one");
  if (in_flight_ != 0) return send_error(id, "busy", "requests are unanswered");
  try {
    auto session = source->watch(watch_request_of(params, trace), watch_output());
    if (!session) return send_error(id, name_of_refusal(session.error().code), session.error().text);
    watch_ = *std::move(session);
  } catch (const Json::exception& error) {
    return send_error(id, "bad_params", error.what());
  }
  send_json({{"id", id}, {"result", {{"watching", true}}}});
}

WatchOutput RpcServer::Client::watch_output() {
  WatchOutput output;
  output.room = [this] {
    const std::size_t waiting = queued_bytes() + watched_.size();
    return waiting < kRpcWatchBacklogMax ? kRpcWatchBacklogMax - waiting : 0;
  };
  output.write = [this](const std::string& text) {
    watched_ += text;
    post_watched();
  };
  output.end = [this] {
    watch_ended_ = true;
    post_watched();
  };
  return output;
}

void RpcServer::Client::post_watched() {
  if (std::exchange(watch_posted_, true)) return;
  loop_.post([self = weak_from_this()] {
    const auto stream = self.lock();
    if (!stream || stream->closed()) return;
    auto& client = static_cast<Client&>(*stream);
    client.watch_posted_ = false;
    if (!client.watched_.empty()) client.send(std::exchange(client.watched_, {}));
    if (client.watch_ended_ && !client.closed()) client.close_after_output();
  });
}

RpcAnswer RpcServer::Client::answer_to(const Json& id) {
  ++in_flight_;
  const std::weak_ptr<Client> self = std::static_pointer_cast<Client>(shared_from_this());
  const auto once = std::make_shared<bool>(false);
  const auto client = [self, once]() -> std::shared_ptr<Client> {
    if (std::exchange(*once, true)) return nullptr;
    auto live = self.lock();
    return live && !live->closed() ? live : nullptr;
  };
  RpcAnswer answer;
  answer.result = [client, id](Json result) {
    if (const auto to = client()) to->send_json({{"id", id}, {"result", std::move(result)}}), to->answered();
  };
  answer.error = [client, id](std::string_view code, const std::string& message) {
    if (const auto to = client()) to->send_error(id, code, message), to->answered();
  };
  answer.stream = [client, id](Stream::Source source) {
    const auto to = client();
    if (!to) return;
    to->send("{\"id\":" + dump(id) + ",\"result\":");
    to->send_from(std::move(source));
    to->send("}\n");
    to->answered();
  };
  return answer;
}

void RpcServer::Client::answered() {
  --in_flight_;
  if (input_ended_ && in_flight_ == 0) close_after_output();
}

// ---------------------------------------------------------------- the server

RpcServer::RpcServer(EventLoop& loop, const RpcTargets& targets, const RpcSockets& sockets,
                     StreamLimits limits)
    : loop_(loop),
      read_access_(targets.status),
      admin_access_(targets.status, targets.secrets, targets.changes, targets.on_change, targets.watches),
      rates_(targets.rates),
      admins_(loop, limits),
      readers_(loop, limits) {
  const auto serve = [this](const std::string& path, const std::string& group, RpcRole role) {
    auto listener = std::make_unique<UnixListener>(path, 0660, group);
    listener->serve(loop_, [this, role](int fd) { adopt(fd, role); });
    return listener;
  };
  if (!sockets.admin_path.empty())
    admin_listener_ = serve(sockets.admin_path, sockets.admin_group, RpcRole::kAdmin);
  if (!sockets.read_path.empty())
    read_listener_ = serve(sockets.read_path, sockets.read_group, RpcRole::kRead);
}

RpcServer::~RpcServer() = default;

void RpcServer::adopt(int fd, RpcRole role) {
  const bool admin = role == RpcRole::kAdmin;
  const RpcAccess& access = admin ? static_cast<const RpcAccess&>(admin_access_) : read_access_;
  const std::size_t request_max = admin ? kRpcRequestMax : kRpcReadRequestMax;
  (admin ? admins_ : readers_)
      .admit(std::make_shared<Client>(loop_, fd, access, rates_, request_max, subscribers_));
}

void RpcServer::retire() {
  admin_listener_.reset();
  read_listener_.reset();
  for (const auto& stream : all_clients()) static_cast<Client&>(*stream).retire();
}

// In a list of their own: a stream that closes removes itself from its set.
std::vector<std::shared_ptr<Stream>> RpcServer::all_clients() const {
  std::vector<std::shared_ptr<Stream>> clients;
  for (const auto* set : {&admins_, &readers_})
    for (const auto& [key, stream] : set->all()) clients.push_back(stream);
  return clients;
}

void RpcServer::publish(const GatewayEvent& event) {
  if (subscribers_ == 0) return;
  const std::string line = dump({{"event", to_json(event)}}) + "\n";
  for (const auto& stream : all_clients()) static_cast<Client&>(*stream).publish(event, line);
}

}  // namespace wg::control
