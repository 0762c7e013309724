#include "control/api/rpc_client.h"

#include <algorithm>

#include "control/api/params.h"
#include "control/api/rpc_methods.h"

namespace wg::control {
namespace {

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

// One request; blank lines before it are none.
void RpcServer::Client::on_bytes(std::string_view& bytes) {
  if (wg_) return wg_->on_bytes(bytes);
  if (input_ended_ || watch_) {  // a connection that carries a capture takes no more requests
    bytes = {};
    return;
  }
  while (!bytes.empty() && !take_line(bytes)) {
  }
}

// True: it was a request, or is the last that is read.
bool RpcServer::Client::take_line(std::string_view& bytes) {
  const auto newline = bytes.find('\n');
  const auto piece = bytes.substr(0, newline);
  if (line_.size() + piece.size() > request_max_) {
    bytes = {};
    send_error(nullptr, "too_large", "a request has at most " + std::to_string(request_max_ >> 10) + " KiB");
    close_after_output();
    return true;
  }
  append_secret(line_, piece);
  bytes.remove_prefix(newline == std::string_view::npos ? bytes.size() : newline + 1);
  if (newline == std::string_view::npos) return true;
  const bool blank = line_.find_first_not_of(" \t\r") == std::string::npos;
  if (!blank) request(line_);
  wipe_line();
  return !blank;
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
  if (names_another_interface(params)) return send_error(id, "not_found", "it is another interface by now");
  if (own_method(name, params, id) || ring_method(name, params, id)) return;
  if (name == "rates" && server_.rates_ != nullptr) return tell_rates(params, id);
  const RpcMethod* method = find_rpc_method(name);
  if (method == nullptr) return send_error(id, "unknown_method", "no method " + name);
  if (!access_.allows(*method))
    return send_error(id, "forbidden", name + " needs the control socket; this is the read-only one");
  if (in_flight_ >= kRpcInFlightMax) return send_error(id, "busy", "too many unanswered requests");
  call(*method, params, id);
}

// Params that name an interface may say which ifindex it has: names are used again.
bool RpcServer::Client::names_another_interface(const Json& params) const {
  const auto wanted = params.find("ifindex");
  if (wanted == params.end() || wanted->is_null()) return false;
  const auto name = params.find(params.contains("name") ? "name" : "interface");
  if (name == params.end() || !name->is_string()) return true;
  const auto identity = access_.status().find_interface(name->get<std::string>());
  return !identity || *wanted != identity->ifindex;
}

// Those that are about the connection itself.
bool RpcServer::Client::own_method(const std::string& name, const Json& params, const Json& id) {
  if (name == "subscribe" || name == "unsubscribe") {
    subscribe(name == "subscribe", params, id);
  } else if (name == "capture" || name == "trace") {
    start_watch(name == "trace", params, id);
  } else if (name == "log.subscribe") {
    subscribe_to_log(params, id);
  } else if (name == "interface.wg") {
    start_wg(params, id);
  } else {
    return false;
  }
  return true;
}

void RpcServer::Client::call(const RpcMethod& method, Json& params, const Json& id) {
  const auto answer = answer_to(id);
  try {
    if (asks_to_bind(method, params) && !bind(answer)) return;
    if (!method.changes && server_.on_read_) server_.on_read_(caller_, std::string(method.name));
    access_.call(method, caller_, params, answer);
  } catch (const BadParam& error) {
    answer.error("bad_params", error.what());
  } catch (const Json::exception& error) {
    answer.error("bad_params", error.what());
  } catch (const std::bad_alloc&) {
    answer.error("failed", "out of memory");
  }
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

}  // namespace wg::control
