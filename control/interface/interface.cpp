#include "control/interface/interface.h"

#include <sodium.h>
#include <sys/epoll.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "config/settings.h"
#include "control/clock.h"
#include "control/convert.h"
#include "control/ignore.h"
#include "control/kernel/sysctl.h"
#include "control/view.h"

namespace wg::control {

namespace {

constexpr std::size_t kHandshakesPerIteration = 256;  // most of a flood are answered by a cookie reply
constexpr std::size_t kHandshakesAtOnce = 8;          // between two looks at the clock
constexpr std::size_t kDatagramsPerIteration = 256;

}  // namespace

Interface::Interface(Services& services, std::string name, const config::Interface& value,
                     std::uint16_t auto_mtu)
    : services_(services),
      name_(std::move(name)),
      log_(make_logger(name_)),
      allowed4_(services.dataplane.reclaimer()),
      allowed6_(services.dataplane.reclaimer()),
      configured_port_(value.listen_port),
      fwmark_(value.fwmark),
      mtu_(value.mtu.value_or(auto_mtu)),
      routes_(value.routes),
      table_(value.table),
      settings_(config::live_settings(value)) {
  apply_log_level();
  dataplane::TunOptions options;
  options.name = name_;
  options.queues = services_.dataplane.workers().size();
  tun_ = std::make_unique<dataplane::TunDevice>(options);
  ignore(set_addr_gen_mode(name_, 1), "the kernel may lack IPv6");
  value_or_throw(services_.netlink.set_mtu(tun_->ifindex(), mtu_));
  ignore(control::set_forwarding(name_, IpVersion::kV4, Switch::kOn),
         "/proc/sys may be read-only and already set");
  ignore(set_rp_filter(name_, 0), "/proc/sys may be read-only and already set");
  // Otherwise Linux removes IPv6 addresses when the link goes down.
  ignore(write_sysctl("net/ipv6/conf/" + name_ + "/keep_addr_on_down", "1"), "the kernel may lack IPv6");
  // Our own ICMP errors about our own packets (unreachable, too big) arrive by the TUN.
  ignore(write_sysctl("net/ipv4/conf/" + name_ + "/accept_local", "1"),
         "/proc/sys may be read-only and already set");
  for (const config::InterfaceAddress& address : value.addresses) value_or_throw(add_address(address));

  dataplane::InterfaceView view;
  static_cast<dataplane::InterfaceSettings&>(view) = view_of(settings_, mtu_);
  view.allowed4 = &allowed4_;
  view.allowed6 = &allowed6_;
  view.tun = tun_.get();
  id_ = services_.publisher.add_interface(view, tun_->ifindex());
  engine_ = std::make_unique<noise::Engine>(*this, services_.dataplane.keypairs(), services_.random);
  if (value.private_key) set_private_key(value.private_key);
  if (!value.enabled) return;
  if (const Expected<> up = go_up(); !up) {
    services_.publisher.remove_interface(id_);
    engine_.reset();
    throw std::runtime_error(up.error().text);
  }
}

// What workers may still see is retired: it is freed once every worker has passed the snapshot without this
// interface.
Interface::~Interface() {
  if (engine_) {
    go_down();
    std::vector<config::Key> keys;
    for (const auto& [key, record] : peers_) keys.push_back(key);
    const config::Routes routes = std::exchange(routes_, config::Routes::kOff);  // they go with the netdev
    for (const config::Key& key : keys) remove_peer(key);
    routes_ = routes;
    services_.publisher.remove_interface(id_);
    engine_.reset();
  }
  std::shared_ptr<dataplane::TunDevice> tun(std::move(tun_));
  auto allowed4 = std::make_shared<lpm::Lpm4>(std::move(allowed4_));
  auto allowed6 = std::make_shared<lpm::Lpm6>(std::move(allowed6_));
  services_.publisher.flush();
  services_.dataplane.quiescence().retire([tun, allowed4, allowed6] {});
}

// ---------------------------------------------------------------- up, down, sockets

Expected<> Interface::open_socket(UdpSocket& socket, std::uint16_t port) const {
  UdpSocketOptions options;
  options.port = port;
  options.fwmark = fwmark_;
  return socket.open(options);
}

Expected<> Interface::go_up() {
  if (engine_->is_up()) return {};
  if (Expected<> opened = open_socket(socket_, configured_port_); !opened) return opened;
  if (Expected<> up = services_.netlink.set_up(tun_->ifindex(), true); !up) {
    socket_.close();
    return up;
  }
  watch_socket();
  dataplane::InterfaceView& view = services_.publisher.interface(id_);
  view.up = true;
  view.listen_port = socket_.port();
  engine_->up(now());
  std::vector<config::Prefix> prefixes;  // the kernel drops a link's routes when it goes down
  for (const auto& [key, record] : peers_)
    prefixes.insert(prefixes.end(), record->allowed_ips.begin(), record->allowed_ips.end());
  change_routes(RouteVerb::kReplace, prefixes);
  flush_routes();
  log_->info("up, listening on UDP port {}", socket_.port());
  return {};
}

void Interface::go_down() {
  if (!engine_->is_up()) return;
  flush_routes();
  dataplane::InterfaceView& view = services_.publisher.interface(id_);
  view.up = false;
  view.listen_port = 0;
  engine_->down(now());
  unwatch_socket();
  socket_.close();
  ignore(services_.netlink.set_up(tun_->ifindex(), false), "the netdev may be deleted already");
  log_->info("down");
}

void Interface::watch_socket() {
  for (const bool v6 : {false, true}) {
    if (socket_.fd(v6) >= 0)
      services_.loop.add(socket_.fd(v6), EPOLLIN, [this, v6](std::uint32_t) { receive(v6); });
  }
}

void Interface::unwatch_socket() {
  for (const bool v6 : {false, true}) {
    if (socket_.fd(v6) >= 0) services_.loop.remove(socket_.fd(v6));
  }
}

Expected<> Interface::set_enabled(bool enabled) {
  if (enabled) return go_up();
  go_down();
  return {};
}

Expected<> Interface::set_listen_port(std::uint16_t port) {
  if (port == configured_port_) return {};
  if (!engine_->is_up() || (port != 0 && port == socket_.port())) {
    configured_port_ = port;
    return {};
  }
  UdpSocket next;
  if (Expected<> opened = open_socket(next, port); !opened) return opened;
  unwatch_socket();
  socket_ = std::move(next);
  configured_port_ = port;
  watch_socket();
  services_.publisher.interface(id_).listen_port = socket_.port();
  engine_->clear_sources();
  on_routes_changed();  // the source port is part of every path
  return {};
}

Expected<> Interface::set_fwmark(std::uint32_t fwmark) {
  if (socket_.is_open()) {
    if (Expected<> set = socket_.set_fwmark(fwmark); !set) return set;
  }
  fwmark_ = fwmark;
  engine_->clear_sources();
  on_routes_changed();
  return {};
}

void Interface::set_private_key(const std::optional<config::SecretKey>& key) {
  std::optional<noise::Key> raw;
  if (key) std::copy(key->bytes().begin(), key->bytes().end(), raw.emplace().begin());
  dataplane::Peer* gone = engine_->set_private_key(raw, now());
  if (raw) sodium_memzero(raw->data(), raw->size());
  if (gone == nullptr) return;
  if (PeerRecord* record = find_slot(gone->slot)) remove_peer(record->public_key);
}

// An address decides which prefixes need a route of their own (wants_route).
Expected<> Interface::add_address(const config::InterfaceAddress& address) {
  const std::vector<config::Prefix> before = routed_prefixes();
  Expected<> result = services_.netlink.add_address(tun_->ifindex(), to_dataplane(address));
  if (!result) return result;
  addresses_.push_back(address);
  adjust_routes(before);
  return result;
}

Expected<> Interface::remove_address(const config::InterfaceAddress& address) {
  const std::vector<config::Prefix> before = routed_prefixes();
  std::erase(addresses_, address);
  Expected<> result = services_.netlink.remove_address(tun_->ifindex(), to_dataplane(address));
  adjust_routes(before);
  // With the last IPv4 address of a device Linux drops its IPv4 routes (fib_disable_ip), kept ones included.
  const bool any_v4 = std::any_of(addresses_.begin(), addresses_.end(),
                                  [](const config::InterfaceAddress& own) { return own.address.is_v4(); });
  if (address.address.is_v4() && !any_v4) send_routes(RouteVerb::kReplace, routed_prefixes());
  return result;
}

Expected<> Interface::set_mtu(std::optional<std::uint16_t> mtu, std::uint16_t auto_mtu) {
  const std::uint16_t wanted = mtu.value_or(auto_mtu);
  if (Expected<> set = services_.netlink.set_mtu(tun_->ifindex(), wanted); !set) return set;
  mtu_ = wanted;
  publish_settings();
  return {};
}

void Interface::set_routes(config::Routes routes, std::optional<std::uint32_t> table) {
  std::vector<config::Prefix> prefixes;
  for (const auto& [key, record] : peers_)
    prefixes.insert(prefixes.end(), record->allowed_ips.begin(), record->allowed_ips.end());
  change_routes(RouteVerb::kRemove, prefixes);
  flush_routes();
  routes_ = routes;
  table_ = table;
  change_routes(RouteVerb::kReplace, prefixes);
  flush_routes();
}

void Interface::apply(const config::Interface& settings) {
  settings_ = config::live_settings(settings);
  apply_log_level();
  publish_settings();
}

void Interface::apply_log_level() {
  set_log_level(log_, settings_.log_level.value_or(log_level()));
}

void Interface::publish_settings() {
  static_cast<dataplane::InterfaceSettings&>(services_.publisher.interface(id_)) = view_of(settings_, mtu_);
}

void Interface::on_link(const Link& link) {
  if (link.up && !engine_->is_up()) {
    if (const Expected<> up = go_up(); !up) log_->error("cannot go up: {}", up.error().text);
  } else if (!link.up && engine_->is_up()) {
    go_down();
  }
  if (link.mtu != mtu_ && link.mtu != 0 && link.mtu <= 65535) {
    mtu_ = static_cast<std::uint16_t>(link.mtu);
    publish_settings();
  }
}

// ---------------------------------------------------------------- time and queues

void Interface::advance(std::chrono::steady_clock::time_point until) {
  const noise::Now at = now();
  const auto in_time = [until] { return std::chrono::steady_clock::now() < until; };
  const auto timers_due = [&] {
    const BootTime due = engine_->next_deadline();
    return due != 0 && due <= at.boot;
  };
  // Some timers first: what fills the queue may be a flood of strangers.
  if (timers_due() && in_time()) engine_->advance(at);
  for (std::size_t done = 0; done < kHandshakesPerIteration && engine_->queued() != 0 && in_time();)
    done += engine_->process_queued(kHandshakesAtOnce, at);
  while (timers_due() && in_time()) engine_->advance(at);
  flush_routes();
  if (!no_answer_.empty()) use_configured_endpoints();
  for (const dataplane::PeerRef& ref : std::exchange(stale_sources_, {})) {
    if (dataplane::Peer* peer = services_.dataplane.peers().find(ref)) engine_->clear_source(*peer);
  }
}

void Interface::on_handshake(const dataplane::HandshakeMessage& message, const noise::Now& at) {
  engine_->queue_handshake({message.bytes.data(), message.length}, message.remote, message.local, at);
}

void Interface::receive(bool v6) {
  socket_.receive(v6, kDatagramsPerIteration, [this](const ReceivedDatagram& datagram) {
    if (datagram.bytes.size() < 4) return services_.drops.add(dataplane::DropReason::socket_malformed);
    if (datagram.bytes[0] == dataplane::kMessageTransportData) return receive_data(datagram);
    engine_->queue_handshake(datagram.bytes, datagram.remote, datagram.local, now());
  });
}

void Interface::retire(std::function<void()> free) {
  services_.dataplane.quiescence().retire(std::move(free));
}

}  // namespace wg::control
