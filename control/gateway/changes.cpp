#include "control/gateway/changes.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <exception>
#include <set>
#include <unordered_set>
#include <utility>
#include <variant>

#include "config/paths.h"
#include "config/save.h"
#include "config/validate.h"
#include "control/gateway/bound_interfaces.h"
#include "control/gateway/config_history.h"

namespace wg::control {

namespace {

constexpr auto kGoneInterval = std::chrono::milliseconds(5);
constexpr unsigned kGoneTries = 2000;

std::vector<Refusal> refusals_of(const config::Problems& problems) {
  std::vector<Refusal> refusals;
  for (const config::Problem& problem : problems) refusals.push_back({EINVAL, config::to_string(problem)});
  return refusals;
}

// Whatever the system's errno was: EINVAL, ENOENT and EEXIST are said of the request alone.
Refusal by_system(const Refusal& refusal) {
  return {EIO, refusal.text};
}

Refusal no_interface(const std::string& name) {
  return {ENOENT, "no interface " + name};
}

PlanOutcome save_to(const std::string& path, const config::Gateway& wanted) {
  PlanOutcome outcome;
  const Expected<config::Saved, config::Problems> saved = config::save(path, wanted);
  if (!saved) {
    outcome.errors = refusals_of(saved.error());
  } else if (const Expected<> written = config::write(*saved); !written) {
    outcome.errors.push_back(written.error());
  } else {
    outcome.applied = true;
    for (const config::SavedFile& file : saved->files) outcome.plan.push_back("wrote " + file.path);
    outcome.plan.insert(outcome.plan.end(), saved->remarks.begin(), saved->remarks.end());
  }
  return outcome;
}

// Is wiped in the end, because the file may hold keys.
std::shared_ptr<std::string> secret_text() {
  return {new std::string, [](std::string* text) {
            config::wipe(*text);
            delete text;
          }};
}

// What reads as `reading` does, and keeps the text of the file `path`.
config::ParseOptions keeping(const config::ParseOptions& reading, const std::string& path,
                             std::string& text) {
  config::ParseOptions options = reading;
  options.read = [read = reading.read, path, &text](const std::string& file,
                                                    const config::ReadLimits& limits) {
    auto found = read(file, limits);
    if (found && file == path) text = found->text;
    return found;
  };
  return options;
}

// Which peers a set can touch: those it names, those that hold a prefix it names, and the one whose key it
// makes our own.
class ConcernedBy {
 public:
  explicit ConcernedBy(const WgSet& set) : all_(set.replace_peers) {
    for (const WgPeerSet& section : set.peers) {
      keys_.insert(section.public_key);
      for (const AllowedIpChange& change : section.allowed_ips) prefixes_.insert(change.prefix);
    }
    if (set.private_key && !set.private_key->is_zero()) keys_.insert(config::public_key_of(*set.private_key));
  }

  bool operator()(const config::Peer& peer) const {
    if (all_ || keys_.contains(peer.public_key)) return true;
    return !prefixes_.empty() &&
           std::any_of(peer.allowed_ips.begin(), peer.allowed_ips.end(),
                       [this](const config::Prefix& prefix) { return prefixes_.contains(prefix); });
  }

 private:
  bool all_;
  std::unordered_set<config::Key> keys_;
  std::set<config::Prefix> prefixes_;
};

}  // namespace

Changes::Changes(const Parts& parts, Logger log, std::function<void()> carried_out)
    : parts_(parts), log_(std::move(log)), carried_out_(std::move(carried_out)) {}

PlanOutcome Changes::apply(config::Gateway next) {
  finish_reload();
  const auto started = std::chrono::steady_clock::now();
  const config::Gateway& running = parts_.running.value();
  PlanOutcome outcome =
      parts_.runner.run(plan_between(running, next), [&] { return plan_between(next, running); });
  if (outcome.ok()) destroy_elsewhere(adopt(std::move(next)));
  carried_out_();
  outcome.took =
      std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - started);
  return outcome;
}

// Returns what ran before.
std::unique_ptr<config::Gateway> Changes::adopt(config::Gateway next) {
  // What needs a restart stays as it runs, so that the next plan still names it.
  config::keep_until_restart(parts_.running.value(), next);
  auto old = std::make_unique<config::Gateway>(parts_.running.replace(std::move(next)));
  watch_files();
  return old;
}

// To destroy a value of 100 000 peers takes its time: not on this thread.
void Changes::destroy_elsewhere(std::unique_ptr<config::Gateway> value) {
  if (!value) return;
  parts_.background.run([old = std::shared_ptr<config::Gateway>(std::move(value))]() mutable { old.reset(); },
                        {});
}

Expected<> Changes::change(config::Gateway&& next) {
  if (const config::Problems problems = config::validate(next); !problems.empty()) {
    return Refusal{EINVAL, problems.front().message};
  }
  const PlanOutcome outcome = apply(std::move(next));
  if (!outcome.ok()) return by_system(outcome.errors.front());
  return {};
}

void Changes::forget_interface(const std::string& name) {
  log_->write(log_event::interface_gone, {.interface = name},
              "interface {}: its netdev was deleted (ip link delete, wg-quick down): removing it", name);
  config::Gateway next = copy_running();
  next.interfaces.erase(name);
  if (const Expected<> changed = change(std::move(next)); !changed)
    log_->write(log_event::interface_failed, {.interface = name}, "interface {}: {}", name,
                changed.error().text);
}

void Changes::announce(GatewayEventKind kind, const std::string& interface, const std::string& detail) {
  GatewayEvent event;
  event.at = std::chrono::system_clock::now();
  event.kind = kind;
  event.interface = interface;
  event.detail = detail;
  parts_.services.emit(std::move(event));
}

// ---------------------------------------------------------------- reload, diff, save

void Changes::reload(const ReloadOptions& options, PlanDone done) {
  plan_against_file(options, std::move(done));
}

void Changes::diff(PlanDone done) {
  plan_against_file({.dry_run = true}, std::move(done));
}

// While a reload waits to be confirmed, the way back leads to what ran before that one.
void Changes::keep_for_rollback(const Reload& reload, std::unique_ptr<config::Gateway> before) {
  const bool changed = !reload.run.outcome.plan.empty(), waited = way_back_.has_value();
  if (!reload.is_way_back && !waited && changed) before.swap(before_reload_);
  destroy_elsewhere(std::move(before));
  if (reload.is_way_back) return stop_waiting();
  const auto within = reload.options.confirm_within;
  // A plain reload (SIGHUP, the file watch) confirms nothing: what waits goes back with it.
  if (within.count() == 0) {
    if (waited)
      log_->write(log_event::reload_waits, {}, "reload: an earlier one still waits for `linegate confirm`");
    return;
  }
  // Without a change there is nothing to go back from; the way back of an earlier reload is not this one's.
  if (!changed && !waited) return;
  stop_waiting();
  log_->write(log_event::reload_waits, {}, "reload: goes back in {} s unless it is confirmed",
              within.count());
  way_back_ = parts_.services.loop.after(within, [this] {
    way_back_.reset();
    log_->write(log_event::reload_unconfirmed, {}, "reload: not confirmed, going back");
    rollback([](PlanOutcome) {});  // it is logged
  });
}

void Changes::stop_waiting() {
  if (way_back_) parts_.services.loop.cancel(*std::exchange(way_back_, std::nullopt));
}

Expected<> Changes::confirm() {
  if (!way_back_) return Refusal{EINVAL, "no reload waits to be confirmed"};
  stop_waiting();
  log_->write(log_event::reload_confirmed, {}, "reload: confirmed");
  return {};
}

void Changes::rollback(PlanDone done) {
  stop_waiting();
  if (!before_reload_) {
    PlanOutcome refused;
    refused.errors.push_back({EINVAL, "no reload was applied that could be undone"});
    return done(std::move(refused));
  }
  auto reload = std::make_shared<Reload>();
  reload->next = std::move(before_reload_);
  reload->done = std::move(done);
  reload->is_way_back = true;
  queue_reload(std::move(reload));
}

// Reading and parsing may take seconds and a slow disk: off the control thread.
void Changes::plan_against_file(const ReloadOptions& options, PlanDone done,
                                const config::ParseOptions& reading) {
  auto parsed = std::make_shared<config::ParsedGateway>();
  const std::shared_ptr<std::string> text = secret_text();
  parts_.background.run(
      [parsed, text, path = parts_.running.path(), reading] {
        const Expected<> read =
            catch_refusal([&] { *parsed = config::parse_file(path, keeping(reading, path, *text)); });
        if (!read) *parsed = config::Problems{{path, {}, {}, read.error().text}};
      },
      [this, parsed, text, options, done = std::move(done)] {
        if (!*parsed) return refuse(parsed->error(), options.dry_run, done);
        auto reload = std::make_shared<Reload>();
        reload->next = std::make_shared<config::Gateway>(std::move(**parsed));
        reload->done = [this, text, done](PlanOutcome outcome) {
          if (outcome.applied) note_in_history(parts_.background, parts_.running, text, log_);
          done(std::move(outcome));
        };
        reload->options = options;
        queue_reload(std::move(reload));
      });
}

void Changes::queue_reload(std::shared_ptr<Reload> reload) {
  if (reload_) return waiting_.push_back(std::move(reload));
  begin_reload(std::move(reload));
}

void Changes::refuse(const config::Problems& problems, bool dry_run, const PlanDone& done) {
  PlanOutcome outcome;
  outcome.errors = refusals_of(problems);
  if (!dry_run) report_reload(outcome);
  done(std::move(outcome));
}

// To compare 100 000 peers takes a tenth of a second: off the control thread, which leaves the running value
// alone until then (finish_reload()).
void Changes::begin_reload(std::shared_ptr<Reload> reload) {
  reload_ = std::move(reload);
  reload_->started = std::chrono::steady_clock::now();
  auto planned = std::make_shared<std::promise<void>>();
  reload_->planned = planned->get_future();
  const config::Gateway& running = parts_.running.value();
  keep_bound_interfaces(running, *reload_->next);
  reload_->run.back = [&running, next = reload_->next] { return plan_between(*next, running); };
  parts_.background.run(
      [&running, planned, reload = reload_] {
        const Expected<> made = catch_refusal([&] {
          reload->run.wanted = plan_between(running, *reload->next);
          describe(reload->run.wanted.plan, reload->run.outcome);
        });
        if (!made) reload->run.outcome.errors.push_back(made.error());
        planned->set_value();
      },
      [this, reload = reload_] { step_reload(reload); });
}

void Changes::step_reload(const std::shared_ptr<Reload>& reload) {
  if (reload_ != reload) return;  // finished meanwhile
  if (!reload->options.dry_run && !parts_.runner.step(reload->run, RoundTimes::kPlan))
    return parts_.services.loop.post([this, reload] { step_reload(reload); });
  end_reload(*reload);
}

void Changes::begin_waiting() {
  if (reload_ || waiting_.empty()) return;
  std::shared_ptr<Reload> next = std::move(waiting_.front());
  waiting_.pop_front();
  begin_reload(std::move(next));
}

void Changes::end_reload(Reload& reload) {
  reload_ = nullptr;  // the caller holds it
  if (!waiting_.empty()) parts_.services.loop.post([this] { begin_waiting(); });
  PlanOutcome& outcome = reload.run.outcome;
  if (!reload.options.dry_run) {
    if (outcome.ok()) {
      keep_for_rollback(reload, adopt(std::move(*reload.next)));
    } else if (reload.is_way_back) {
      before_reload_ = std::make_unique<config::Gateway>(std::move(*reload.next));
    }
    carried_out_();
  }
  add_drift(reload.options.dry_run, outcome);
  outcome.took = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() -
                                                                       reload.started);
  if (!reload.options.dry_run) report_reload(outcome);
  reload.done(std::move(outcome));
  // To destroy the plan takes its time: not on this thread.
  auto plan = std::make_unique<GatewayPlan>(std::move(reload.run.wanted));
  parts_.background.run([plan = std::shared_ptr<GatewayPlan>(std::move(plan))]() mutable { plan.reset(); },
                        {});
}

// Where Linux is not as the file says: told, or put back.
void Changes::add_drift(bool dry_run, PlanOutcome& outcome) {
  if (!outcome.ok()) return;
  for (std::string& text : dry_run ? parts_.drift.now() : parts_.drift.put_back_all())
    outcome.plan.push_back(std::move(text));
}

config::Gateway Changes::copy_running() {
  finish_reload();
  return parts_.running.value();
}

void Changes::finish_reload() {
  if (!reload_) return;
  const std::shared_ptr<Reload> reload = reload_;
  reload->planned.wait();
  while (!reload->options.dry_run && !parts_.runner.step(reload->run, std::chrono::hours(1))) {
  }
  end_reload(*reload);
}

void Changes::report_reload(const PlanOutcome& outcome) {
  parts_.running.note_reload(
      {std::chrono::system_clock::now(), outcome.ok() ? "applied" : outcome.errors.front().text});
  if (!outcome.ok()) {
    announce(GatewayEventKind::kConfigRefused, {}, outcome.errors.front().text);
    for (const Refusal& error : outcome.errors)
      log_->write(log_event::reload_refused, {}, "reload refused: {}", error.text);
    return;
  }
  announce(GatewayEventKind::kConfigApplied, {}, std::to_string(outcome.plan.size()) + " change(s)");
  log_->write(log_event::reload_applied, {}, "reload: {} change(s) in {} us{}", outcome.plan.size(),
              outcome.took.count(), outcome.restart.empty() ? "" : "; some need a restart");
}

void Changes::save(PlanDone done) {
  auto outcome = std::make_shared<PlanOutcome>();
  config::Gateway value = parts_.running.value();
  remove_bound_interfaces(value);
  parts_.background.run(
      [outcome, path = parts_.running.path(), wanted = std::move(value)] {
        const Expected<> saved = catch_refusal([&] { *outcome = save_to(path, wanted); });
        if (!saved) outcome->errors.push_back(saved.error());
      },
      [outcome, done = std::move(done)] { done(std::move(*outcome)); });
}

// Switched off, the watch stays with nothing to watch: to close it would hold the control thread for 10 to 20
// ms.
void Changes::watch_files() {
  const config::Gateway& running = parts_.running.value();
  const bool wanted = running.control.reload_on_change;
  if (!wanted && !file_watch_) return;
  const auto changed = [this] {
    config::ParseOptions options;
    options.settle = FileWatch::kQuiet;
    plan_against_file(
        {}, [](PlanOutcome) {}, options);
  };
  try {
    if (!file_watch_) file_watch_ = std::make_unique<FileWatch>(parts_.services.loop, changed);
    const std::vector<std::string> files =
        wanted ? config::files_of(parts_.running.path(), running) : std::vector<std::string>{};
    for (const std::string& refused : file_watch_->watch(files))
      log_->write(log_event::files_unwatched, {}, "reload_on_change: {}", refused);
  } catch (const std::exception& error) {
    log_->write(log_event::files_unwatched, {}, "reload_on_change: {}", error.what());
  }
}

// ---------------------------------------------------------------- changes from the sockets

Expected<> Changes::apply_wg_set(std::string_view name_view, WgSet&& set) {
  finish_reload();
  const std::string name(name_view);
  Interface* interface = parts_.objects.find_interface(name);
  if (interface == nullptr) return Refusal{ENODEV, "no interface " + name};
  // Only the peers that the set can touch take part: one peer among 100 000 costs as much as one alone.
  InterfacePart part = parts_.running.copy_part(name, ConcernedBy(set));
  config::Gateway before, after;
  config::Interface& value = after.interfaces[name] = before.interfaces[name] = std::move(part.value);
  const config::PeerEffects effects = wg::control::apply(set, value, interface->listen_port());

  const std::uint16_t mtu = auto_mtu(parts_.running.value());
  const PlanOutcome outcome = parts_.runner.run({config::diff(before, after, effects), mtu}, [&] {
    return GatewayPlan{config::diff(after, before), mtu};
  });
  if (outcome.ok()) parts_.running.replace_interface_part(name, part.seen, std::move(value));
  for (const Refusal& error : outcome.errors)
    interface->log()->write(log_event::wg_set_refused, {}, "wg set refused: {}", error.text);
  carried_out_();
  if (!outcome.ok()) return outcome.errors.front();
  return {};
}

Expected<> Changes::interface_create(const std::string& name, const config::Interface& value) {
  finish_reload();
  if (!config::is_interface_name(name)) return Refusal{EINVAL, "'" + name + "' is no interface name"};
  if (parts_.running.find_interface(name) != nullptr)
    return Refusal{EEXIST, "interface " + name + " exists already"};
  if (const std::string holder = holder_of_id(parts_.running.value(), value.id); !holder.empty())
    return Refusal{EEXIST, "interface " + holder + " has this id"};
  config::Gateway next = copy_running();
  next.interfaces[name] = value;
  return change(std::move(next));
}

void Changes::release(std::uint64_t bound_to) {
  config::Gateway next = copy_running();
  if (!remove_interfaces_bound_to(bound_to, next)) return;
  if (const Expected<> changed = change(std::move(next)); !changed)
    log_->write(log_event::bound_interfaces_failed, {}, "the interfaces of a program that has gone: {}",
                changed.error().text);
}

bool Changes::in_use() const {
  return !parts_.running.value().interfaces.empty();
}

Expected<> Changes::interface_up(const std::string& name) {
  finish_reload();
  if (parts_.objects.find_interface(name) == nullptr) return no_interface(name);
  config::Gateway next = copy_running();
  next.interfaces[name].enabled = true;
  if (Expected<> changed = change(std::move(next)); !changed) return changed;
  // `ip link set down` does not change the value, which may say "enabled" already.
  if (Interface* interface = parts_.objects.find_interface(name)) {
    if (const Expected<> up = interface->set_enabled(true); !up) return by_system(up.error());
  }
  announce(GatewayEventKind::kInterfaceUp, name);
  return {};
}

Expected<> Changes::interface_down(const std::string& name) {
  finish_reload();
  if (parts_.objects.find_interface(name) == nullptr) return no_interface(name);
  config::Gateway next = copy_running();
  next.interfaces[name].enabled = false;
  Expected<> changed = change(std::move(next));
  if (changed) announce(GatewayEventKind::kInterfaceDown, name);
  return changed;
}

Expected<> Changes::port_restart(const std::string& name) {
  finish_reload();
  if (!parts_.running.value().ports.contains(name)) return Refusal{ENOENT, "no port " + name};
  if (parts_.objects.find_port(name) == nullptr)
    return Refusal{ENODEV, "port " + name + " is lost: it is made anew as soon as its device is there"};
  Expected<> done = parts_.keeper.restart(name, "an operator asks for it");
  carried_out_();
  return done ? std::move(done) : by_system(done.error());
}

void Changes::interface_delete(const std::string& name, ChangeDone done) {
  finish_reload();
  const Interface* interface = parts_.objects.find_interface(name);
  if (interface == nullptr) return done(no_interface(name));
  const std::uint32_t ifindex = interface->ifindex();
  config::Gateway next = copy_running();
  next.interfaces.erase(name);
  if (Expected<> changed = change(std::move(next)); !changed) return done(std::move(changed));
  wait_until_gone(ifindex, kGoneTries, done);
}

// A netdev goes when the last worker has let go of it.
void Changes::wait_until_gone(std::uint32_t ifindex, unsigned tries, const ChangeDone& done) {
  if (!parts_.services.netlink.find_link(ifindex)) return done({});
  if (tries == 0) return done(Refusal{EIO, "deleted, but a worker still holds its netdev"});
  parts_.services.loop.after(kGoneInterval,
                             [this, ifindex, tries, done] { wait_until_gone(ifindex, tries - 1, done); });
}

Expected<> Changes::set_log_level(const std::string& interface, config::LogLevel level) {
  config::Gateway next = copy_running();
  if (interface.empty()) {
    next.control.log.level = level;
  } else {
    if (parts_.objects.find_interface(interface) == nullptr) return no_interface(interface);
    next.interfaces[interface].log_level = level;
  }
  return change(std::move(next));
}

}  // namespace wg::control
