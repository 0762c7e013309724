#include "control/api/rpc_methods.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <deque>
#include <memory>
#include <utility>

#include "config/export.h"
#include "config/forms.h"
#include "config/settings.h"
#include "control/api/explain.h"
#include "control/api/explain_packet.h"
#include "control/api/params.h"
#include "control/api/peer_list.h"
#include "control/api/tables.h"

namespace wg::control {
namespace {

using param::flag;
using param::needed_text;
using param::number;
using param::text;

constexpr std::uint64_t kMostRows = ~std::uint32_t{0}, kMostConfirmSeconds = 86400;

void bad_params(const RpcAnswer& answer, const std::string& message) {
  answer.error("bad_params", message);
}

void answer_change(const Expected<>& change, const RpcAnswer& answer) {
  if (change) return answer.result(Json::object());
  answer.error(name_of_refusal(change.error().code), change.error().text);
}

ChangeDone change_answer(const RpcAnswer& answer) {
  return [answer](const Expected<>& change) { answer_change(change, answer); };
}

// ---------------------------------------------------------------- reading

void show_gateway(const StatusSource& source, Json&, const RpcAnswer& answer) {
  answer.result(to_json(source.status()));
}

// {"total":N,"peers":[…]} in slices, without ever holding it as a whole.
class PeerListWriter {
 public:
  PeerListWriter(const StatusSource& source, PeerQuery query) : list_(source, std::move(query)) {}

  bool write(std::string& out, std::size_t target) {
    const auto until = EventLoop::Clock::now() + EventLoop::kStep;
    if (!read_) {
      read_ = !list_.read(until);
      if (read_) out += "{\"total\":" + std::to_string(list_.total()) + ",\"peers\":[";
      return true;
    }
    while (auto peer = list_.next()) {
      if (std::exchange(begun_, true)) out += ',';
      out += dump(to_json(*peer));
      if (out.size() >= target || EventLoop::Clock::now() >= until) return true;
    }
    out += "]}";
    return false;
  }

 private:
  PeerList list_;
  bool read_ = false, begun_ = false;
};

void no_such_interface(const std::string& name, const RpcAnswer& answer) {
  answer.error("not_found", "no interface " + name);
}

// An empty name stands for every interface.
bool has_interface(const StatusSource& source, const std::string& name) {
  return name.empty() || source.find_interface(name);
}

void no_such_peer(const StatusSource& source, const Json& params, const RpcAnswer& answer) {
  const auto interface = text(params, "interface");
  if (!has_interface(source, interface)) return no_such_interface(interface, answer);
  const auto where = interface.empty() ? std::string{} : " on interface " + interface;
  answer.error("not_found", "no peer " + text(params, "peer") + where);
}

void show_peers(const StatusSource& source, Json& params, const RpcAnswer& answer) {
  PeerQuery query;
  query.filter.interface = text(params, "interface");
  query.filter.text = text(params, "peer");
  query.filter.active_only = flag(params, "active", false);
  query.limit = number(params, "limit", 0, 0, kMostRows);
  if (!has_interface(source, query.filter.interface))
    return no_such_interface(query.filter.interface, answer);
  const auto order = parse_peer_order(text(params, "sort", "name"));
  if (!order) return bad_params(answer, "sort is one of name, handshake, rx, tx, transfer, drops");
  query.order = *order;
  const auto writer = std::make_shared<PeerListWriter>(source, std::move(query));
  answer.stream([writer](std::string& out, std::size_t target) { return writer->write(out, target); });
}

void show_interface(const StatusSource& source, Json& params, const RpcAnswer& answer) {
  const auto name = needed_text(params, "interface");
  const auto identity = source.find_interface(name);
  if (!identity) return no_such_interface(name, answer);
  answer.result(to_json(*identity));
}

void version(const StatusSource& source, Json&, const RpcAnswer& answer) {
  const GatewayStatus status = source.status();
  answer.result({{"version", status.version}, {"protocol", kRpcVersion}, {"pid", status.pid}});
}

void show_peer(const StatusSource& source, Json& params, const RpcAnswer& answer) {
  const auto peer = source.find_peer(text(params, "interface"), needed_text(params, "peer"));
  if (!peer) return no_such_peer(source, params, answer);
  answer.result(to_json(*peer));
}

void explain_peer(const StatusSource& source, Json& params, const RpcAnswer& answer) {
  const auto facts = source.explain_peer(text(params, "interface"), needed_text(params, "peer"));
  if (!facts) return no_such_peer(source, params, answer);
  const auto explanation = explain(*facts, std::chrono::system_clock::now());
  Json result = to_json(explanation);
  result["peer"] = to_json(facts->peer);
  result["events"] = to_json(facts->events);
  result["unattributed"] = to_json(facts->unattributed);
  answer.result(std::move(result));
}

void explain_route_method(const StatusSource& source, Json& params, const RpcAnswer& answer) {
  const auto address = config::parse_address(text(params, "address"));
  if (!address) return bad_params(answer, "address: " + text(params, "address") + " is not an IP address");
  const auto facts = source.explain_route(*address);
  const auto explanation = explain_route(facts);
  answer.result({{"ok", explanation.ok},
                 {"verdict", explanation.verdict},
                 {"advice", explanation.advice},
                 {"route", to_json(facts)}});
}

config::Address address_param(const Json& params, const char* name) {
  const auto address = config::parse_address(needed_text(params, name));
  if (!address) throw BadParam(name, "is an IP address");
  return *address;
}

UdpPort port_param(const Json& params, const char* name) {
  return UdpPort{static_cast<std::uint16_t>(number(params, name, 0, 0, 65535))};
}

// "tcp", "udp", "icmp" (of the addresses' version), or a number.
std::uint8_t protocol_param(const Json& params, bool v6) {
  const Json* const value = param::find(params, "protocol");
  if (value == nullptr || !value->is_string())
    return static_cast<std::uint8_t>(number(params, "protocol", 0, 0, 255));
  const auto word = text(params, "protocol");
  if (word == "tcp") return 6;
  if (word == "udp") return 17;
  if (word == "icmp") return v6 ? 58 : 1;
  throw BadParam("protocol", "is tcp, udp, icmp or a number from 0 to 255");
}

PacketQuery packet_query_of(const Json& params) {
  PacketQuery query;
  query.from = needed_text(params, "from");
  query.peer = text(params, "peer");
  query.source = address_param(params, "source");
  query.destination = address_param(params, "destination");
  if (query.source.is_v4() != query.destination.is_v4())
    throw BadParam("destination", "has another IP version than the source");
  query.protocol = protocol_param(params, !query.source.is_v4());
  query.source_port = port_param(params, "source_port");
  query.destination_port = port_param(params, "destination_port");
  query.size = static_cast<std::uint16_t>(number(params, "size", query.size, 20, 65535));
  query.ttl = static_cast<std::uint8_t>(number(params, "ttl", query.ttl, 1, 255));
  if (param::find(params, "vlan") != nullptr)
    query.vlan = static_cast<std::uint16_t>(number(params, "vlan", 0, 0, 4094));
  return query;
}

void explain_packet_method(const StatusSource& source, Json& params, const RpcAnswer& answer) {
  const Expected<PacketFacts> facts = source.explain_packet(packet_query_of(params));
  if (!facts) return answer.error(name_of_refusal(facts.error().code), facts.error().text);
  answer.result(to_json(explain_packet(*facts)));
}

// ---------------------------------------------------------------- changing

// A plan of perhaps 200 000 lines, without ever holding it as JSON or writing it at once.
class PlanWriter {
 public:
  explicit PlanWriter(PlanOutcome&& outcome) : plan_(std::exchange(outcome.plan, {})) {
    Json rest = to_json(outcome);
    rest.erase("plan");
    head_ = dump(rest);
    head_.back() = ',';  // in place of the brace
    head_ += "\"plan\":[";
  }

  bool write(std::string& out, std::size_t target) {
    out += std::exchange(head_, {});
    while (next_ < plan_.size()) {
      if (out.size() >= target) return true;
      if (next_ != 0) out += ',';
      out += dump(Json(std::exchange(plan_[next_], {})));
      ++next_;
    }
    out += "]}";
    return false;
  }

 private:
  std::string head_;
  std::vector<std::string> plan_;
  std::size_t next_ = 0;
};

PlanDone plan_answer(const RpcAnswer& answer) {
  return [answer](PlanOutcome outcome) {
    const auto writer = std::make_shared<PlanWriter>(std::move(outcome));
    answer.stream([writer](std::string& out, std::size_t target) { return writer->write(out, target); });
  };
}

void reload(ChangeSink& sink, Json& params, const RpcAnswer& answer) {
  ReloadOptions options;
  options.dry_run = flag(params, "dry_run", false);
  const auto seconds = number(params, "confirm_seconds", 0, 0, kMostConfirmSeconds);
  options.confirm_within = std::chrono::seconds{seconds};
  sink.reload(options, plan_answer(answer));
}
void confirm(ChangeSink& sink, Json&, const RpcAnswer& answer) {
  answer_change(sink.confirm(), answer);
}
void rollback(ChangeSink& sink, Json&, const RpcAnswer& answer) {
  sink.rollback(plan_answer(answer));
}
void diff(ChangeSink& sink, Json&, const RpcAnswer& answer) {
  sink.diff(plan_answer(answer));
}
void save(ChangeSink& sink, Json&, const RpcAnswer& answer) {
  sink.save(plan_answer(answer));
}

// The text of a secret goes no further than this.
std::optional<config::SecretKey> take_secret(Json& params, const char* name) {
  const auto found = params.find(name);
  if (found == params.end()) return std::nullopt;
  if (!found->is_string()) throw BadParam(name, "is a text");
  auto& words = found->get_ref<std::string&>();
  auto key = config::parse_secret_key(words);
  config::wipe(words);
  return key;
}

// Reads one setting of an interface by its row; absent or null: as by default.
Expected<> set_by_row(config::Interface& interface, const Json& params, const char* key) {
  const auto value = text(params, key);
  if (value.empty()) return {};
  for (const auto& row : config::settings_of<config::Interface>()) {
    if (row.key != key) continue;
    if (const Expected<> set = row.set(interface, value); !set)
      return Refusal{EINVAL, std::string(key) + " " + set.error().text};
    return {};
  }
  return Refusal{EINVAL, std::string(key) + " is no setting"};
}

void read_numbers(config::Interface& interface, const Json& params) {
  const auto port = number(params, "listen_port", 0, 0, 65535);
  // 0 is as by default.
  const std::uint64_t least_mtu = params.value("mtu", Json()) == 0 ? 0 : config::kLeastMtu;
  const auto mtu = number(params, "mtu", 0, least_mtu, config::kGreatestMtu);
  interface.listen_port = UdpPort{static_cast<std::uint16_t>(port)};
  if (mtu != 0) interface.mtu = static_cast<std::uint16_t>(mtu);
}

// All but the name.
Expected<config::Interface> read_interface(Json& params) {
  config::Interface interface;
  interface.private_key = take_secret(params, "private_key");
  if (params.contains("private_key") && !interface.private_key)
    return Refusal{EINVAL, "private_key is not 32 bytes in base64 or hex"};
  read_numbers(interface, params);
  interface.enabled = flag(params, "up", true);
  for (const auto& word : param::texts(params, "addresses")) {
    const auto address = config::parse_interface_address(word);
    if (!address) return Refusal{EINVAL, "addresses: " + word + " is not ADDRESS/LENGTH"};
    interface.addresses.push_back(*address);
  }
  for (const char* key : {"id", "type"})
    if (Expected<> set = set_by_row(interface, params, key); !set) return set.error();
  return interface;
}

void interface_create(ChangeSink& sink, std::uint64_t connection, Json& params, const RpcAnswer& answer) {
  const auto name = text(params, "name");
  if (!config::is_interface_name(name)) return bad_params(answer, "name: 1 to 15 of [a-zA-Z0-9_=+.-]");
  Expected<config::Interface> interface = read_interface(params);
  if (!interface) return bad_params(answer, interface.error().text);
  if (flag(params, "bound", false)) interface->bound_to = connection;
  sink.interface_create(name, *std::move(interface), change_answer(answer));
}

// {"text":"…"} of a file full of keys, in slices: read as a whole first, since what is written cannot be
// taken back when the interface changes meanwhile.
class ExportWriter {
 public:
  ExportWriter(const SecretSource& source, std::string name, config::ExportFormat format)
      : source_(source), name_(std::move(name)), format_(format) {}
  ~ExportWriter() { forget(); }
  ExportWriter(const ExportWriter&) = delete;
  ExportWriter& operator=(const ExportWriter&) = delete;

  // Reads the first slice. False: there is no such interface.
  bool begin() {
    const Expected<bool> more = read();
    read_ = more && !*more;
    return more.has_value();
  }
  // An interface that has gone by then is an empty text.
  bool write(std::string& out, std::size_t target) {
    if (!read_) {
      read_ = !read().value_or(false);
      return true;
    }
    if (!std::exchange(begun_, true)) out += "{\"text\":\"";
    for (; !parts_.empty() && out.size() < target; parts_.pop_front()) {
      for (const char c : parts_.front()) append(out, c);
      config::wipe(parts_.front());
    }
    if (!parts_.empty()) return true;
    out += "\"}";
    return false;
  }

 private:
  static constexpr unsigned kPatience = 8;  // changes during the reading; then it is all read at once

  // One slice, from the begin when something has changed. False: it was the last. Refused: there is no such
  // interface.
  Expected<bool> read() {
    const auto until = changes_ < kPatience ? EventLoop::Clock::now() + EventLoop::kStep : SliceEnd::max();
    const ConfigVisitor visit{
        [this](const config::Interface& it) { parts_.push_back(config::export_interface(it, format_)); },
        [this](const config::Peer& peer) {
          if (peer.enabled) parts_.push_back(config::export_peer(peer));
        }};
    Expected<bool> more = source_.visit_config(name_, at_, until, visit);
    if (more) return more;
    forget();
    if (more.error().code != EAGAIN) return more;
    at_ = {};
    ++changes_;
    return true;
  }

  void forget() {
    for (std::string& part : parts_) config::wipe(part);
    parts_.clear();
  }
  static void append(std::string& out, char c) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20) {
      out.append("\\u00").append(1, kDigits[byte >> 4]).append(1, kDigits[byte & 15]);
    } else {
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
  }

  const SecretSource& source_;
  const std::string name_;
  const config::ExportFormat format_;
  ConfigCursor at_;
  std::deque<std::string> parts_;
  unsigned changes_ = 0;
  bool read_ = false, begun_ = false;
};

void interface_export(const SecretSource& secrets, Json& params, const RpcAnswer& answer) {
  const auto name = text(params, "name");
  const auto format = text(params, "format", "setconf");
  if (format != "setconf" && format != "wg-quick") return bad_params(answer, "format is setconf or wg-quick");
  const auto writer = std::make_shared<ExportWriter>(
      secrets, name, format == "setconf" ? config::ExportFormat::kSetconf : config::ExportFormat::kWgQuick);
  if (!writer->begin()) return no_such_interface(name, answer);
  answer.stream([writer](std::string& out, std::size_t target) { return writer->write(out, target); });
}

void interface_up(ChangeSink& sink, Json& params, const RpcAnswer& answer) {
  sink.interface_up(text(params, "name"), change_answer(answer));
}
void interface_down(ChangeSink& sink, Json& params, const RpcAnswer& answer) {
  sink.interface_down(text(params, "name"), change_answer(answer));
}
void interface_delete(ChangeSink& sink, Json& params, const RpcAnswer& answer) {
  sink.interface_delete(text(params, "name"), change_answer(answer));
}

void port_restart(ChangeSink& sink, Json& params, const RpcAnswer& answer) {
  sink.port_restart(text(params, "port"), change_answer(answer));
}

void log_level(ChangeSink& sink, Json& params, const RpcAnswer& answer) {
  const auto level = config::parse_choice<config::LogLevel>(text(params, "level"));
  if (!level) return bad_params(answer, kLogLevelsAllowed);
  sink.set_log_level(text(params, "interface"), *level, change_answer(answer));
}

void stop(ChangeSink& sink, Json& params, const RpcAnswer& answer) {
  if (flag(params, "if_unused", false) && sink.in_use()) return answer.error("busy", "interfaces exist");
  answer.result(Json::object());
  sink.stop();
}

constexpr std::array<RpcMethod, 21> kMethods{{
    {"version", version},
    {"show.gateway", show_gateway},
    {"show.interface", show_interface},
    {"show.peers", show_peers},
    {"show.peer", show_peer},
    {"explain.peer", explain_peer},
    {"explain.route", explain_route_method},
    {"explain.packet", explain_packet_method},
    {"interface.export", interface_export},
    {"diff", diff},
    {"reload", reload, true},
    {"confirm", confirm, true},
    {"rollback", rollback, true},
    {"save", save, true},
    {"interface.create", interface_create, true},
    {"interface.up", interface_up, true},
    {"interface.down", interface_down, true},
    {"interface.delete", interface_delete, true},
    {"port.restart", port_restart, true},
    {"log.level", log_level, true},
    {"stop", stop, true},
}};

FilterInstruction instruction_of(const Json& value, const char* name) {
  FilterInstruction instruction{};
  bool good = value.is_array() && value.size() == instruction.size();
  for (std::size_t i = 0; good && i < instruction.size(); ++i) {
    const auto word = param::whole(value[i]);
    good = word && *word <= ~std::uint32_t{0};
    if (good) instruction[i] = static_cast<std::uint32_t>(*word);
  }
  if (!good) throw BadParam(name, "is a list of instructions [code, jt, jf, k]");
  return instruction;
}

std::vector<FilterInstruction> program(const Json& params, const char* name) {
  std::vector<FilterInstruction> instructions;
  const Json* const value = param::find(params, name);
  if (value == nullptr) return instructions;
  if (!value->is_array()) throw BadParam(name, "is a list of instructions [code, jt, jf, k]");
  for (const Json& each : *value) instructions.push_back(instruction_of(each, name));
  return instructions;
}

}  // namespace

const char* name_of_refusal(int code) {
  switch (code) {
    case ENOENT:
      return "not_found";
    case EEXIST:
      return "exists";
    case EINVAL:
      return "invalid";
    case EBUSY:
      return "busy";
    case EPERM:
      return "forbidden";
    default:
      return "failed";
  }
}

WatchRequest watch_request_of(const Json& params, bool trace) {
  WatchRequest request;
  request.trace = trace;
  request.filter = text(params, "filter");
  request.filtered = params.contains("ethernet") || params.contains("ip");
  request.ethernet = program(params, "ethernet");
  request.ip = program(params, "ip");
  request.peer = text(params, "peer");
  request.interface = text(params, "interface");
  request.port = text(params, "port");
  request.inner = flag(params, "inner", true);
  request.outer = flag(params, "outer", true);
  request.drops_only = flag(params, "drops", false);
  request.with_keys = flag(params, "with_keys", false);
  request.reasons = param::texts(params, "reasons");
  constexpr std::uint64_t kNoLimit = ~std::uint64_t{0};
  const auto small = [&](const char* name, std::uint32_t otherwise, std::uint32_t least, std::uint32_t most) {
    return static_cast<std::uint32_t>(number(params, name, otherwise, least, most));
  };
  request.count = number(params, "count", 0, 0, kNoLimit);
  request.seconds = small("seconds", 0, 0, ~std::uint32_t{0});
  request.snap = small("snap", request.snap, 1, WatchRequest::kMostSnap);
  request.ring_mb = small("ring_mb", request.ring_mb, 1, WatchRequest::kMostRingMb);
  return request;
}

RingRequest ring_request_of(const Json& params) {
  RingRequest request;
  request.interface = needed_text(params, "interface");
  if (params.contains("slots"))
    request.slots = static_cast<std::uint32_t>(number(params, "slots", 0, 1, 1u << 16));
  for (const auto& word : param::texts(params, "sources")) {
    const auto prefix = config::parse_interface_address(word);
    if (!prefix) throw BadParam("sources", "is a list of ADDRESS/LENGTH");
    request.sources.push_back(*prefix);
  }
  request.routed = flag(params, "routed", false);
  request.offloads = flag(params, "offloads", false);
  request.join_udp = flag(params, "join_udp", false);
  if (request.join_udp && !request.offloads) throw BadParam("join_udp", "needs offloads");
  return request;
}

bool asks_to_bind(const RpcMethod& method, const Json& params) {
  return std::holds_alternative<BindMethod>(method.call) && flag(params, "bound", false);
}

const RpcMethod* find_rpc_method(std::string_view name) {
  for (const auto& method : kMethods)
    if (method.name == name) return &method;
  for (const ShowTable& table : show_tables())
    if (table.method.name == name) return &table.method;
  return nullptr;
}

}  // namespace wg::control
