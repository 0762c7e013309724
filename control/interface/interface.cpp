#include "control/interface/interface.h"

#include <sodium.h>

#include <algorithm>
#include <span>
#include <stdexcept>
#include <vector>

#include "config/settings.h"
#include "control/clock.h"
#include "control/convert.h"
#include "control/ignore.h"
#include "control/surely.h"
#include "control/view.h"

namespace wg::control {

namespace {

constexpr std::size_t kHandshakesPerIteration = 256;  // most of a flood are answered by a cookie reply
constexpr std::size_t kHandshakesAtOnce = 8;          // between two looks at the clock

RouteRequests::Linux linux_of(Services& services) {
  return {[&services](RouteVerb verb, std::span<const RouteSpec> routes) {
            return services.netlink.change_routes(verb, routes);
          },
          [&services](std::uint32_t table, const IpPrefix& prefix) {
            return services.mirror.routes().find(table, prefix);
          }};
}

// The unreachable routes that an interface of this name has left behind in a crash.
std::vector<RouteSpec> leftovers_of(const Services& services, const std::string& name) {
  std::vector<RouteSpec> found;
  const std::uint32_t metric = metric_of_unreachable(name);
  const RouteTable& routes = services.mirror.routes();
  const auto is_ours = [](const Forwarding& forwarding) {
    return forwarding.type == RTN_UNREACHABLE && forwarding.protocol == kRouteProtocol;
  };
  routes.visit_if(is_ours, [&](std::uint32_t table, const IpPrefix& prefix) {
    for (const Route& route : *routes.find(table, prefix)) {
      if (route.metric != metric || !is_ours(*route.forwarding)) continue;
      RouteSpec& left = found.emplace_back();
      left.prefix = prefix;
      left.type = RTN_UNREACHABLE;
      left.table = table;
      left.metric = metric;
    }
  });
  return found;
}

}  // namespace

Interface::Interface(Services& services, const std::string& name, const config::Interface& value,
                     std::uint16_t auto_mtu)
    : core_{services,
            name,
            make_logger(name),
            Netdev(services, name, value.mtu.value_or(auto_mtu), value.addresses, value.id),
            PeerBook(services.dataplane.reclaimer()),
            ListenSocket(services.loop, value.listen_port, value.fwmark)},
      settings_(config::live_settings(value)),
      routes_(core_.book, {linux_of(services), core_.log, {name, core_.netdev.ifindex()}},
              RouteRules::of(value)),
      paths_(core_),
      notes_(core_),
      endpoints_(core_, notes_),
      host_(core_, paths_, endpoints_, notes_),
      events_(core_, host_, endpoints_, notes_),
      peers_(core_, {routes_, paths_, endpoints_, notes_}) {
  routes_.adopt(leftovers_of(services, name));
  apply_log_level();
  add_view();
  engine_ = std::make_unique<noise::Engine>(host_, services.dataplane.keypairs(), services.random);
  core_.engine = engine_.get();
  core_.socket.on_datagram([this](const ReceivedDatagram& datagram) { on_datagram(datagram); });
  if (value.private_key) set_private_key(value.private_key);
  if (!value.enabled) return;
  if (const Expected<> up = go_up(); !up) {
    services.publisher.remove_interface(core_.id);
    routes_.end();
    throw std::runtime_error(up.error().text);
  }
}

void Interface::add_view() {
  dataplane::InterfaceView view;
  static_cast<dataplane::InterfaceSettings&>(view) = view_of(settings_, core_.netdev.mtu());
  view.allowed4 = &core_.book.allowed4();
  view.allowed6 = &core_.book.allowed6();
  view.tun = &core_.netdev.tun();
  core_.id = core_.services.publisher.add_interface(view, core_.netdev.ifindex());
}

// Objects that workers may still see are retired: they are freed once every worker has passed the snapshot
// without this interface.
Interface::~Interface() {
  dataplane::Quiescence& quiescence = core_.services.dataplane.quiescence();
  surely([this] { go_down(); });
  surely([this] { routes_.end(); });
  surely([this] { peers_.remove_all(); });
  surely([this] { routes_.flush(); });
  surely([this] { core_.services.publisher.remove_interface(core_.id); });
  engine_.reset();
  surely([this] { core_.services.publisher.flush_settings(); });
  surely([&] { core_.netdev.retire(quiescence); });
  surely([&] { quiescence.retire([tables = core_.book.tables()] {}); });
}

// ---------------------------------------------------------------- up, down, sockets

Expected<> Interface::go_up() {
  if (engine_->is_up()) return {};
  if (Expected<> opened = core_.socket.open(); !opened) return opened;
  if (Expected<> up = core_.netdev.set_up(true); !up) {
    core_.socket.close();
    return up;
  }
  engine_->up(now());
  routes_.go_up();
  follow(std::chrono::steady_clock::now());
  core_.log->write(log_event::interface_up, {}, "up, listening on UDP port {}",
                   number_of(core_.socket.port()));
  return {};
}

void Interface::go_down() {
  if (!engine_->is_up()) return;
  routes_.go_down();
  open_ = false;
  dataplane::InterfaceView& view = core_.services.publisher.interface(core_.id);
  view.up = false;
  view.listen_port = kAnyPort;
  engine_->down(now());
  core_.socket.close();
  ignore(core_.netdev.set_up(false), "the netdev may be deleted already");
  core_.log->write(log_event::interface_down, {}, "down");
}

Expected<> Interface::set_enabled(bool enabled) {
  if (enabled) return go_up();
  go_down();
  return {};
}

bool Interface::follow(std::chrono::steady_clock::time_point until) {
  while (engine_->follow_some(now()))
    if (std::chrono::steady_clock::now() >= until) return false;
  // Workers come in when no peer has a session any more from before it went down.
  if (engine_->is_up() && !std::exchange(open_, true)) {
    dataplane::InterfaceView& view = core_.services.publisher.interface(core_.id);
    view.up = true;
    view.listen_port = core_.socket.port();
  }
  while (peers_.give_some())
    if (std::chrono::steady_clock::now() >= until) return false;
  if (routes_.is_following()) routes_.advance(until);
  return !routes_.is_following();
}

Expected<> Interface::set_listen_port(UdpPort port) {
  const Expected<bool> moved = core_.socket.set_port(port);
  if (!moved) return moved.error();
  if (!*moved) return {};
  core_.services.publisher.interface(core_.id).listen_port = core_.socket.port();
  paths_.renew();
  return {};
}

Expected<> Interface::set_fwmark(std::uint32_t fwmark) {
  if (Expected<> set = core_.socket.set_fwmark(fwmark); !set) return set;
  paths_.renew();
  return {};
}

void Interface::set_private_key(const std::optional<config::SecretKey>& key) {
  std::optional<noise::Key> raw;
  if (key) std::copy(key->bytes().begin(), key->bytes().end(), raw.emplace().begin());
  const dataplane::Peer* gone = engine_->set_private_key(raw, now());
  if (raw) sodium_memzero(raw->data(), raw->size());
  if (gone == nullptr) return;
  if (const PeerRecord* record = core_.book.find_slot(gone->slot))
    peers_.remove(config::Key(record->public_key));
}

// An address decides which prefixes need a route of their own.
Expected<> Interface::add_address(const config::InterfaceAddress& address) {
  if (Expected<> added = core_.netdev.add_address(address); !added) return added;
  routes_.set_addresses(core_.netdev.addresses());
  return {};
}

Expected<> Interface::remove_address(const config::InterfaceAddress& address, bool undone) {
  Expected<> removed = core_.netdev.remove_address(address, undone);
  routes_.set_addresses(core_.netdev.addresses());
  return removed;
}

WantedLink Interface::wanted() const {
  WantedLink wanted{"interface " + core_.name, core_.name, core_.netdev.ifindex()};
  wanted.mtu = core_.netdev.wanted_mtu();
  for (const config::InterfaceAddress& own : core_.netdev.addresses())
    wanted.addresses.push_back(to_dataplane(own));
  wanted.sysctls = core_.netdev.sysctls();
  wanted.allow_ipv6();
  return wanted;
}

Expected<> Interface::set_mtu(std::optional<std::uint16_t> mtu, std::uint16_t auto_mtu) {
  if (Expected<> set = core_.netdev.set_mtu(mtu.value_or(auto_mtu)); !set) return set;
  publish_settings();
  return {};
}

void Interface::set_routes(config::Routes routes, std::optional<std::uint32_t> table) {
  routes_.set_routes(routes, table);
}

void Interface::apply(const config::Interface& settings) {
  settings_ = config::live_settings(settings);
  routes_.set_on_loss(settings_.on_loss);
  apply_log_level();
  publish_settings();
}

void Interface::apply_log_level() {
  core_.log->set_level(settings_.log_level.value_or(log_level()));
}

void Interface::publish_settings() {
  static_cast<dataplane::InterfaceSettings&>(core_.services.publisher.interface(core_.id)) =
      view_of(settings_, core_.netdev.mtu());
}

// The mirror may not have read of our own last change yet: where it says something else than we do, the
// kernel itself is asked, before that counts as the operator's wish.
void Interface::on_link(const Link& said) {
  if (said.up == engine_->is_up() && said.mtu == core_.netdev.mtu()) return;
  const std::optional<LinkSummary> link = core_.services.netlink.find_link(ifindex());
  if (!link) return;
  if (link->up && !engine_->is_up()) {
    if (const Expected<> up = go_up(); !up)
      core_.log->write(log_event::interface_failed, {}, "cannot go up: {}", up.error().text);
  } else if (!link->up && engine_->is_up()) {
    go_down();
  }
  if (core_.netdev.follow_mtu(link->mtu)) publish_settings();
}

// ---------------------------------------------------------------- time and queues

void Interface::advance(std::chrono::steady_clock::time_point until) {
  const noise::Now at = now();
  const auto in_time = [until] { return std::chrono::steady_clock::now() < until; };
  const auto timers_due = [&] {
    const BootTime due = engine_->next_deadline();
    return due != kNever && due <= at.boot;
  };
  // Some timers first: the queue may be full with a flood of unknown hosts.
  if (timers_due() && in_time()) engine_->advance(at);
  for (std::size_t done = 0; done < kHandshakesPerIteration && engine_->queued() != 0 && in_time();)
    done += engine_->process_queued(kHandshakesAtOnce, at);
  while (timers_due() && in_time()) engine_->advance(at);
  if (open_ != engine_->is_up()) follow(until);
  endpoints_.leave_silent_ones();
  events_.clear_stale_sources();
}

void Interface::on_handshake(const dataplane::HandshakeMessage& message, const noise::Now& at) {
  engine_->queue_handshake({message.bytes.data(), message.length}, message.remote, message.local, at);
}

void Interface::on_datagram(const ReceivedDatagram& datagram) {
  if (datagram.bytes.size() < 4) return core_.services.drops.add(dataplane::DropReason::socket_malformed);
  if (datagram.bytes[0] == dataplane::kMessageTransportData) return events_.receive_data(datagram);
  engine_->queue_handshake(datagram.bytes, datagram.remote, datagram.local, now());
}

}  // namespace wg::control
