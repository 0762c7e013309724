#include "control/flows/flow_service.h"

#include <sys/epoll.h>
#include <sys/random.h>

#include <algorithm>
#include <chrono>
#include <new>
#include <system_error>
#include <utility>

#include "control/flows/flow_list.h"
#include "control/flows/flow_search.h"
#include "control/kernel/sysctl.h"
#include "dataplane/base/clocks.h"

namespace wg::control {

using dataplane::FlowTable;

namespace {

BootSeconds boot_seconds() {
  return in_seconds(BootClock::now());
}

bool has_flows(const config::Gateway& value) {
  const auto asks = [](const auto& named) { return named.second.forwarding == config::Forwarding::kFlows; };
  return std::any_of(value.ports.begin(), value.ports.end(), asks) ||
         std::any_of(value.interfaces.begin(), value.interfaces.end(), asks);
}

FlowTable::HashKey random_key() {
  FlowTable::HashKey key;
  if (getrandom(key.data(), sizeof key, 0) != sizeof key)
    throw std::system_error(errno, std::generic_category(), "random key");
  return key;
}

FlowFollower::Counts operator+(FlowFollower::Counts a, const FlowFollower::Counts& b) {
  a.taken_over += b.taken_over;
  a.handed_back += b.handed_back;
  a.refreshed += b.refreshed;
  a.lost += b.lost;
  a.read_again += b.read_again;
  a.rule_changes += b.rule_changes;
  a.returned_by_rules += b.returned_by_rules;
  a.refused_full += b.refused_full;
  return a;
}

}  // namespace

struct FlowService::Active {
  Active(Services& services, const FlowWays& ways, const config::Flows& settings)
      : table(std::make_shared<FlowTable>(settings.max, random_key(),
                                          [&services](std::function<void()> free) {
                                            services.dataplane.quiescence().retire(std::move(free));
                                          })),
        follower(
            *table, conntrack, [&ways](const IpAddress& address) { return ways.of(address); },
            settings.mark) {}

  std::shared_ptr<FlowTable> table;
  Conntrack conntrack;
  FlowFollower follower;
};

FlowService::FlowService(Services& services, Logger log)
    : services_(services),
      log_(std::move(log)),
      ways_(services.mirror, services.publisher, services.dataplane) {}

FlowService::~FlowService() = default;

void FlowService::apply(const config::Gateway& value) {
  const bool wanted = has_flows(value);
  if (active_ && (!wanted || !(value.flows == settings_))) stop();
  if (!wanted) return;
  if (!active_) return start(value.flows);
  on_routes_changed(RoutesChanged::all());  // ports, interfaces and peers may have other settings
}

void FlowService::start(const config::Flows& settings) {
  settings_ = settings;
  try {
    active_ = std::make_unique<Active>(services_, ways_, settings);
  } catch (const std::system_error& error) {
    return log_->write(log_event::flows_off, {}, "flows: {}; every connection stays with Linux",
                       error.what());
  } catch (const std::bad_alloc&) {
    return log_->write(log_event::flows_off, {},
                       "flows: no memory for {} connections; every connection stays with Linux",
                       settings.max);
  }
  if (read_sysctl("net/netfilter/nf_conntrack_events").value_or("0") == "0")
    log_->write(log_event::flows_unseen, {},
                "flows: net.netfilter.nf_conntrack_events is 0, so that no connection can leave Linux");
  services_.publisher.set_flows(active_->table.get());
  if (const Expected<> watched = watch(); !watched) {
    log_->write(log_event::flows_off, {}, "flows: {}; every connection stays with Linux",
                watched.error().text);
    return stop();
  }
  active_->follower.set_now(boot_seconds());
  active_->follower.set_timeouts(conntrack_timeouts());
  active_->follower.start();
  log_->write(log_event::flows_on, {}, "flows: at most {} connections with the mark {:#x}, {} MB",
              settings.max, settings.mark, active_->table->memory_bytes() >> 20);
}

Expected<> FlowService::watch() {
  for (const int fd : active_->conntrack.descriptors()) {
    Expected<> added = services_.loop.add(fd, EPOLLIN, [this](std::uint32_t) { receive(); });
    if (!added) return added;
  }
  return {};
}

void FlowService::stop() {
  if (!active_) return;
  for (const int fd : active_->conntrack.descriptors()) services_.loop.remove(fd);
  services_.publisher.set_flows(nullptr);
  services_.publisher.flush_settings();
  before_ = before_ + active_->follower.counts();
  before_.handed_back = before_.taken_over;
  before_.read_again = before_.lost;
  services_.dataplane.quiescence().retire([table = active_->table] {});
  active_.reset();
  report();
}

void FlowService::receive() {
  active_->follower.set_now(boot_seconds());
  active_->conntrack.receive(active_->follower);
  active_->conntrack.flush();
}

void FlowService::on_routes_changed(const RoutesChanged& changed) {
  if (!active_) return;
  active_->follower.on_ways_changed(changed);
  active_->conntrack.flush();
}

bool FlowService::advance() {
  if (!active_) return false;
  const bool more = active_->follower.advance();
  active_->conntrack.flush();
  return more;
}

void FlowService::every_second() {
  if (!active_) return;
  active_->follower.set_now(boot_seconds());
  active_->follower.set_timeouts(conntrack_timeouts());
  active_->follower.refresh();
  active_->conntrack.flush();
  report();
}

void FlowService::report() {
  const FlowFollower::Counts now = counts();
  const std::size_t carried = active_ ? active_->table->size() : 0;
  for (FlowNews& news : events_.take(now, carried, settings_.max, boot_seconds())) {
    log_->write(news.line, {}, "flows: {}", news.words);
    announce(news.kind, std::move(news.words));
  }
  services_.counters.flows_taken_over.set(now.taken_over);
  services_.counters.flows_handed_back.set(now.handed_back);
  services_.counters.flow_timeouts_refreshed.set(now.refreshed);
  services_.counters.flow_events_lost.set(now.lost);
  services_.counters.flow_rule_changes.set(now.rule_changes);
}

void FlowService::announce(GatewayEventKind kind, std::string words) {
  if (!services_.has_subscribers()) return;
  GatewayEvent event;
  event.at = std::chrono::system_clock::now();
  event.kind = kind;
  event.detail = std::move(words);
  services_.emit(std::move(event));
}

FlowFollower::Counts FlowService::counts() const {
  return active_ ? before_ + active_->follower.counts() : before_;
}

PacketConnections FlowService::connections_of(const FlowTuple& packet, dataplane::FlowIngress from) const {
  return active_ ? find_connections(active_->follower, packet, from, find_conntrack) : PacketConnections{};
}

std::unique_ptr<FlowReading> FlowService::read(const FlowQuery& query) const {
  FlowsStatus totals;
  totals.tracked = conntrack_count();
  totals.on = active_ != nullptr;
  totals.mark = totals.on ? settings_.mark : 0;
  totals.max = totals.on ? settings_.max : 0;
  const auto follower = [this]() -> const FlowFollower* { return active_ ? &active_->follower : nullptr; };
  return std::make_unique<FlowList>(FlowList::Source{follower, boot_seconds}, query, std::move(totals));
}

}  // namespace wg::control
