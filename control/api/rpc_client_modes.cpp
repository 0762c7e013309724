// The modes that a connection of the control socket may turn to: a stream of events or of log lines, a
// capture or a trace, wg(8)'s protocol; and the interfaces and the ring that are bound to it.
#include <optional>

#include "config/forms.h"
#include "control/api/params.h"
#include "control/api/rpc_client.h"
#include "control/api/rpc_methods.h"

namespace wg::control {
namespace {

// Absent or null: empty. nullopt: not a text.
std::optional<std::string> text_param(const Json& params, const char* name) {
  const auto found = params.find(name);
  if (found == params.end() || found->is_null()) return std::string();
  if (!found->is_string()) return std::nullopt;
  return found->get<std::string>();
}

}  // namespace

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
    const auto rates = server_.rates_->rates(*query);
    if (!rates) return send_error(id, name_of_refusal(rates.error().code), rates.error().text);
    send_json({{"id", id}, {"result", to_json(*rates)}});
  } catch (const BadParam& error) {
    send_error(id, "bad_params", error.what());
  }
}

void RpcServer::Client::subscribe_to_log(const Json& params, const Json& id) {
  if (server_.log_ == nullptr) return send_error(id, "failed", "there is no log to follow");
  const auto word = text_param(params, "level"), interface = text_param(params, "interface");
  if (!word || !interface) return send_error(id, "bad_params", "level and interface are names");
  const auto level = config::parse_choice<config::LogLevel>(word->empty() ? "info" : *word);
  if (!level) return send_error(id, "bad_params", kLogLevelsAllowed);
  if (!log_) ++server_.counts_.log_subscribers;
  log_ = std::make_unique<LogSubscription>();
  log_->level = *level;
  log_->only_interface = *interface;
  server_.follow_log();
  send_json({{"id", id}, {"result", {{"subscribed", true}}}});
}

void RpcServer::Client::publish_line(const LogLine& line) {
  if (!log_) return;
  log_->lost += line.lost;
  if (line.level > log_->level) return;
  if (!log_->only_interface.empty() && line.interface != log_->only_interface) return;
  if (queued_bytes() + line.text.size() > kRpcEventBacklogMax) {
    ++log_->lost;
    return;
  }
  if (log_->lost != 0) send_json({{"log", {{"lost", std::exchange(log_->lost, 0)}}}});
  send_json({{"log", to_json(line)}});
}

// ---------------------------------------------------------------- bound interfaces, wg(8)'s protocol

// Each connection has a number of its own, of all servers of the process.
RpcCaller RpcServer::Client::caller_with_connection(int fd) {
  static std::uint64_t last = 0;  // the loop's thread alone comes here
  RpcCaller caller = caller_of(fd);
  caller.connection = ++last;
  return caller;
}

bool RpcServer::Client::bind(const RpcAnswer& answer) {
  if (bound_) return true;
  if (server_.counts_.bound >= server_.counts_.bound_max) {
    answer.error("busy", "too many connections have interfaces bound to them");
    return false;
  }
  ++server_.counts_.bound;
  return bound_ = true;
}

// Runs in a task of its own: the connection may end anywhere. What changes the daemon outlives the server.
void RpcServer::Client::release_bound() {
  --server_.counts_.bound;
  loop_.post([changes = access_.changes(), connection = caller_.connection] {
    if (changes != nullptr) changes->release(connection);
  });
}

// From its answer on the connection carries wg(8)'s protocol about one interface, and nothing else.
void RpcServer::Client::start_wg(const Json& params, const Json& id) {
  if (access_.changes() == nullptr || access_.secrets() == nullptr)
    return send_error(id, "forbidden", "interface.wg needs the control socket; this is the read-only one");
  const auto name = text_param(params, "name");
  if (!name || name->empty()) return send_error(id, "bad_params", "name is the name of an interface");
  if (in_flight_ != 0 || follows() || bound_) return send_error(id, "busy", "the connection is in use");
  const auto identity = access_.status().find_interface(*name);
  if (!identity) return send_error(id, "not_found", "no interface " + *name);
  access_.note(caller_, "interface.wg " + *name);
  send_json({{"id", id}, {"result", Json::object()}});
  wg_ = std::make_unique<WgConversation>(*access_.secrets(), *access_.changes(), *name,
                                         wg_connection(*name, identity->ifindex));
}

WgConversation::Connection RpcServer::Client::wg_connection(const std::string& interface,
                                                            std::uint32_t ifindex) {
  return {.send = [this](std::string text) { send(std::move(text)); },
          .send_from = [this](Source source) { send_from(std::move(source)); },
          .answer_later = [this] { return answer_later(); },
          .end = [this] { close_after_output(); },
          .on_set =
              [this, interface](const WgSet& set) {
                access_.note(caller_, "interface.wg " + interface + " set, " +
                                          std::to_string(set.peers.size()) + " peers,");
              },
          .exists =
              [this, interface, ifindex] {
                const auto now = access_.status().find_interface(interface);
                return now && now->ifindex == ifindex;
              },
          .tells_public_key = true};
}

// From its answer on the connection carries what is watched, and nothing else.
void RpcServer::Client::start_watch(bool trace, const Json& params, const Json& id) {
  const std::string name = trace ? "trace" : "capture";
  WatchSource* const source = access_.watches(caller_, name);
  if (source == nullptr)
    return send_error(id, "forbidden", name + " needs the control socket; this is the read-only one");
  if (in_flight_ != 0 || bound_) return send_error(id, "busy", "the connection is in use");
  try {
    auto session = source->watch(watch_request_of(params, trace), watch_output());
    if (!session) return send_error(id, name_of_refusal(session.error().code), session.error().text);
    watch_ = *std::move(session);
  } catch (const BadParam& error) {
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

// ---------------------------------------------------------------- rings

bool RpcServer::Client::ring_method(const std::string& name, const Json& params, const Json& id) {
  if (name != "ring.open" && name != "ring.start") return false;
  if (access_.rings() == nullptr) {
    send_error(id, "forbidden", name + " needs the control socket; this is the read-only one");
  } else if (name == "ring.open") {
    open_ring(params, id);
  } else {
    start_ring(id);
  }
  return true;
}

void RpcServer::Client::open_ring(const Json& params, const Json& id) {
  if (in_flight_ != 0 || follows() || ring_) return send_error(id, "busy", "the connection is in use");
  try {
    RingRequest request = ring_request_of(params);
    request.pid = caller_.pid;
    access_.note(caller_, "ring.open " + request.interface);
    const RpcAnswer answer = answer_to(id);
    if (!bind(answer)) return;
    auto ring = access_.rings()->open_ring(request, on_ring_end());
    if (!ring) return answer.error(name_of_refusal(ring.error().code), ring.error().text);
    --in_flight_;
    ring_ = *std::move(ring);
  } catch (const BadParam& error) {
    return send_error(id, "bad_params", error.what());
  }
  RingOffer offer = ring_->take_offer();
  auto descriptors = std::make_unique<Descriptors>(std::move(offer.descriptors));
  send_with(dump({{"id", id}, {"result", to_json(offer)}}) + "\n", std::move(descriptors));
}

void RpcServer::Client::start_ring(const Json& id) {
  if (!ring_) return send_error(id, "not_found", "the connection has no ring");
  const Expected<> started = ring_->start();
  if (!started) return send_error(id, name_of_refusal(started.error().code), started.error().text);
  send_json({{"id", id}, {"result", Json::object()}});
}

// Runs in a task of its own: the end of the connection destroys the ring.
RingSource::OnEnd RpcServer::Client::on_ring_end() {
  return [self = weak_from_this(), &loop = loop_](const std::string& reason) {
    loop.post([self, reason] {
      const auto stream = self.lock();
      if (!stream || stream->closed()) return;
      auto& client = static_cast<Client&>(*stream);
      client.send_json({{"ring", {{"closed", reason}}}});
      if (!client.closed()) client.close_after_output();
    });
  };
}

}  // namespace wg::control
