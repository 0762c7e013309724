#include "control/gateway/drift.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <utility>
#include <variant>

#include "control/convert.h"

namespace wg::control {
namespace {

using namespace std::chrono_literals;

constexpr unsigned kTries = 5;            // in a row
constexpr unsigned kRest = 60;            // seconds
constexpr unsigned kQuiet = 5;            // seconds without a loss, after which all is forgotten
constexpr std::size_t kLinksASecond = 8;  // whose sysctls are read
constexpr std::size_t kAllLinks = std::numeric_limits<std::size_t>::max();
constexpr auto kAtReload = 4ms;  // for routes; the rest in steps

bool contains(const std::vector<std::string>& list, const std::string& text) {
  return std::find(list.begin(), list.end(), text) != list.end();
}

std::string counted(std::size_t count) {
  return std::to_string(count) + (count == 1 ? " lost route" : " lost routes");
}

}  // namespace

Drift::Drift(Services& services, Objects& objects, const RunningConfig& running, Logger log)
    : services_(services), objects_(objects), running_(running), log_(std::move(log)) {}

// ---------------------------------------------------------------- what there should be, and is

std::vector<WantedLink> Drift::wanted() const {
  std::vector<WantedLink> all(1);
  all.front().what = "machine";
  all.front().sysctls = objects_.machine().wanted();
  for (const auto& [name, port] : objects_.ports()) all.push_back(port->wanted());
  for (const auto& [name, interface] : objects_.interfaces()) {
    const config::Interface* value = running_.find_interface(name);
    all.push_back(interface->wanted());
    all.back().up = value == nullptr || value->enabled;
  }
  return all;
}

std::vector<Drift::Found> Drift::find() const {
  std::vector<Found> found;
  for (const WantedLink& wanted : wanted()) {
    if (const auto read = sysctls_.find(wanted.what); read != sysctls_.end())
      for (const Deviation& deviation : read->second) found.push_back({wanted, deviation});
    for (Deviation& deviation : deviations(wanted, services_.mirror))
      found.push_back({wanted, std::move(deviation)});
  }
  return found;
}

// The next links in turn, at most once each.
void Drift::read_sysctls(std::size_t links) {
  const std::vector<WantedLink> all = wanted();
  if (links >= all.size() || sysctls_.size() > all.size()) sysctls_.clear();  // of those that have gone
  for (std::size_t i = 0; i < std::min(links, all.size()); ++i) {
    const WantedLink& link = all[next_link_++ % all.size()];
    sysctls_[link.what] = sysctl_deviations(link);
  }
}

std::vector<std::string> Drift::now() {
  read_sysctls(kAllLinks);
  std::vector<std::string> texts;
  for (const Found& found : find()) texts.push_back(found.deviation.text);
  for (const auto& [name, interface] : objects_.interfaces())
    for (const config::Prefix& prefix : interface->routes().lost())
      texts.push_back("interface " + name + ": route " + config::to_string(prefix) + " is missing");
  return texts;
}

void Drift::on_changes(const std::vector<Change>& changes) {
  for (const Change& change : changes) {
    const auto* route = std::get_if<RouteChanged>(&change);
    if (route == nullptr && !std::holds_alternative<Resynced>(change)) continue;
    for (const auto& [name, interface] : objects_.interfaces()) {
      if (route == nullptr) {
        interface->routes().compare();
      } else {
        interface->routes().note(route->table, {to_config(route->prefix.address), route->prefix.length});
      }
    }
  }
}

// ---------------------------------------------------------------- putting back

// Repairs stop for a while when another program undoes them again and again.
bool Drift::may_try(const std::string& what) {
  Patience& patience = patience_[what];
  if (patience.rest != 0) return false;
  patience.quiet = 0;
  if (++patience.used < kTries) return true;
  patience = {0, kRest, 0};
  log_->write(log_event::put_back_rests, {}, "{}: it is lost repeatedly, not restored for {} s", what, kRest);
  return true;
}

bool Drift::mend(const Found& found) {
  const Expected<bool> mended = put_back(found.wanted, found.deviation, services_.netlink);
  if (!mended)
    log_->write(log_event::put_back_failed, {}, "{}: {}", found.deviation.text, mended.error().text);
  if (!mended || !*mended) return false;
  services_.counters.put_back.add(1);
  log_->write(log_event::put_back, {}, "{}: put back", found.deviation.text);
  announce(GatewayEventKind::kPutBack, found.deviation.text);
  return true;
}

std::string Drift::put_back_routes(const std::string& name, Interface& interface) {
  const std::size_t count = interface.routes().take_put_back();
  if (count == 0) return {};
  services_.counters.put_back.add(count);
  std::string text = "interface " + name + ": " + counted(count);
  log_->write(log_event::put_back, {.interface = name}, "{}: put back", text);
  announce(GatewayEventKind::kPutBack, text);
  return text;
}

void Drift::check_routes() {
  for (const auto& [name, interface] : objects_.interfaces()) {
    const std::string what = "interface " + name + ": routes";
    if (!put_back_routes(name, *interface).empty()) static_cast<void>(may_try(what));
    const auto at = patience_.find(what);
    if (at != patience_.end() && at->second.rest != 0) continue;
    interface->routes().compare_noted();
    if (at != patience_.end() && ++at->second.quiet == kQuiet) patience_.erase(at);
  }
}

void Drift::every_second() {
  for (auto& [what, patience] : patience_)
    if (patience.rest != 0 && --patience.rest == 0) patience.used = 0;
  check_routes();
  read_sysctls(kLinksASecond);
  std::vector<std::string> found_now, remaining;
  for (const Found& found : find()) {
    const std::string& text = found.deviation.text;
    found_now.push_back(text);
    if (!contains(before_, text)) continue;  // it may be a change that is not complete
    if (found.deviation.is_loss() && may_try(text) && mend(found)) continue;
    remaining.push_back(text);
  }
  std::erase_if(patience_, [&](const auto& entry) {
    return entry.second.rest == 0 && !contains(found_now, entry.first) && !contains(before_, entry.first) &&
           !entry.first.ends_with(": routes");
  });
  before_ = std::move(found_now);
  report(std::move(remaining));
}

void Drift::report(std::vector<std::string> now) {
  for (const std::string& text : now) {
    if (contains(current_, text)) continue;
    log_->write(log_event::drift_found, {}, "drift: {}", text);
    announce(GatewayEventKind::kDriftFound, text);
  }
  for (const std::string& text : current_)
    if (!contains(now, text)) log_->write(log_event::drift_gone, {}, "no longer: {}", text);
  current_ = std::move(now);
}

std::vector<std::string> Drift::put_back_all() {
  std::vector<std::string> done;
  patience_.clear();
  read_sysctls(kAllLinks);
  for (const Found& found : find()) {
    Interface* interface = found.deviation.kind == Deviation::Kind::kUpOrDown
                               ? objects_.find_interface(found.wanted.name)
                               : nullptr;
    // Up and down of an interface is more than that of its netdev.
    const bool mended =
        interface != nullptr ? interface->set_enabled(found.wanted.up).has_value() : mend(found);
    if (mended) done.push_back("put back: " + found.deviation.text);
  }
  const auto until = std::chrono::steady_clock::now() + kAtReload;
  for (const auto& [name, interface] : objects_.interfaces()) {
    interface->routes().compare();
    interface->routes().advance(until);
    if (const std::string text = put_back_routes(name, *interface); !text.empty())
      done.push_back("put back: " + text);
  }
  return done;
}

void Drift::announce(GatewayEventKind kind, const std::string& detail) {
  if (!services_.has_subscribers()) return;
  GatewayEvent event;
  event.at = std::chrono::system_clock::now();
  event.kind = kind;
  event.detail = detail;
  services_.emit(std::move(event));
}

}  // namespace wg::control
