#include "control/gateway/changes.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <exception>
#include <set>
#include <utility>
#include <variant>

#include "config/paths.h"
#include "config/save.h"
#include "config/validate.h"
#include "control/gateway/bound_interfaces.h"
#include "control/gateway/config_history.h"
#include "control/round_times.h"

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

// The plan to `next`, and the way back. Off the control thread when the values are large.
void plan_for(const config::Gateway& running, ChangeTask& task, const config::PeerEffects& effects = {}) {
  task.run.wanted = plan_between(running, *task.next, effects);
  task.run.back = [&running, next = task.next] { return plan_between(*next, running); };
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

// A value that reads as `reading` does, and keeps the text of the file `path`.
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
  std::set<config::Key> keys_;  // few: to compare costs less than a hash of every peer's key
  std::set<config::Prefix> prefixes_;
};

}  // namespace

Changes::Changes(const Parts& parts, Logger log, std::function<void()> carried_out)
    : parts_(parts),
      log_(std::move(log)),
      carried_out_(std::move(carried_out)),
      queue_(
          parts.services.loop, parts.background,
          [&runner = parts.runner](PlanRun& run) { return runner.step(run, RoundTimes::kPlan); },
          parts.running) {}

PlanOutcome Changes::apply(config::Gateway next) {
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
  // Settings that need a restart stay as they run, so that the next plan still names them.
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

void Changes::change(Check check, Edit edit, ChangeDone done) {
  auto task = std::make_shared<ChangeTask>();
  task->begin = [check = std::move(check)](ChangeTask&) { return check(); };
  task->work_out = [edit = std::move(edit)](const config::Gateway& running,
                                            ChangeTask& wanted) -> Expected<> {
    wanted.next = std::make_shared<config::Gateway>(running);
    if (Expected<> edited = edit(*wanted.next); !edited) return edited;
    if (const config::Problems problems = config::validate(*wanted.next); !problems.empty())
      return Refusal{EINVAL, problems.front().message};
    plan_for(running, wanted);
    return {};
  };
  task->end = [this, done = std::move(done)](ChangeTask& ended) {
    const Expected<> changed = end_change(ended);
    done(changed || !ended.run.tried ? changed : by_system(changed.error()));
  };
  queue_.add(std::move(task));
}

// Takes the new value when the plan has been carried out.
Expected<> Changes::end_change(ChangeTask& task) {
  if (task.ok() && task.next) destroy_elsewhere(adopt(std::move(*task.next)));
  if (task.run.tried) carried_out_();
  if (!task.ok()) return task.run.outcome.errors.front();
  return {};
}

Expected<> Changes::check_interface(const std::string& name) const {
  if (parts_.objects.find_interface(name) == nullptr) return no_interface(name);
  return {};
}

void Changes::forget_interface(const std::string& name) {
  const Interface* gone = parts_.objects.find_interface(name);
  if (gone == nullptr) return;
  const auto check = [this, name, ifindex = gone->ifindex()]() -> Expected<> {
    const Interface* interface = parts_.objects.find_interface(name);
    if (interface == nullptr || interface->ifindex() != ifindex) return no_interface(name);  // forgotten
    log_->write(log_event::interface_gone, {.interface = name},
                "interface {}: its netdev was deleted (ip link delete, wg-quick down): removing it", name);
    return {};
  };
  const auto edit = [name](config::Gateway& value) -> Expected<> {
    value.interfaces.erase(name);
    return {};
  };
  change(check, edit, [this, name](const Expected<>& changed) {
    if (!changed && changed.error().code != ENOENT)
      log_->write(log_event::interface_failed, {.interface = name}, "interface {}: {}", name,
                  changed.error().text);
  });
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
void Changes::keep_for_rollback(const ChangeTask& task, const Reload& reload,
                                std::unique_ptr<config::Gateway> before) {
  const bool changed = !task.run.outcome.plan.empty(), waited = way_back_.has_value();
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
  log_->write(log_event::reload_waits, {}, "reload: undone in {} s unless it is confirmed", within.count());
  way_back_ = parts_.services.loop.after(within, [this] {
    way_back_.reset();
    log_->write(log_event::reload_unconfirmed, {}, "reload: not confirmed, undoing it");
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
  Reload reload;
  reload.done = std::move(done);
  reload.is_way_back = true;
  queue_reload(std::move(before_reload_), std::move(reload));
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
        Reload reload;
        reload.done = [this, text, done](PlanOutcome outcome) {
          if (outcome.applied) note_in_history(parts_.background, parts_.running, text, log_);
          done(std::move(outcome));
        };
        reload.options = options;
        queue_reload(std::make_shared<config::Gateway>(std::move(**parsed)), std::move(reload));
      });
}

void Changes::queue_reload(std::shared_ptr<config::Gateway> next, Reload reload) {
  auto task = std::make_shared<ChangeTask>();
  task->next = std::move(next);
  task->dry_run = reload.options.dry_run;
  const auto mine = std::make_shared<Reload>(std::move(reload));
  task->begin = [mine](ChangeTask&) -> Expected<> {
    mine->started = std::chrono::steady_clock::now();
    return {};
  };
  task->work_out = [](const config::Gateway& running, ChangeTask& wanted) -> Expected<> {
    keep_bound_interfaces(running, *wanted.next);
    plan_for(running, wanted);
    describe(wanted.run.wanted.plan, wanted.run.outcome);
    return {};
  };
  task->end = [this, mine](ChangeTask& ended) { end_reload(ended, *mine); };
  queue_.add(std::move(task));
}

void Changes::refuse(const config::Problems& problems, bool dry_run, const PlanDone& done) {
  PlanOutcome outcome;
  outcome.errors = refusals_of(problems);
  if (!dry_run) report_reload(outcome);
  done(std::move(outcome));
}

void Changes::end_reload(ChangeTask& task, const Reload& reload) {
  PlanOutcome& outcome = task.run.outcome;
  if (!reload.options.dry_run) {
    if (outcome.ok()) {
      keep_for_rollback(task, reload, adopt(std::move(*task.next)));
    } else if (reload.is_way_back) {
      before_reload_ = std::make_unique<config::Gateway>(std::move(*task.next));
    }
    carried_out_();
  }
  add_drift(reload.options.dry_run, outcome);
  outcome.took = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() -
                                                                       reload.started);
  if (!reload.options.dry_run) report_reload(outcome);
  reload.done(std::move(outcome));
}

// Differences between Linux and the file: reported, or repaired.
void Changes::add_drift(bool dry_run, PlanOutcome& outcome) {
  if (!outcome.ok()) return;
  for (std::string& text : dry_run ? parts_.drift.now() : parts_.drift.put_back_all())
    outcome.plan.push_back(std::move(text));
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

// The value is copied when its turn has come; to write it is no change.
void Changes::save(PlanDone done) {
  auto task = std::make_shared<ChangeTask>();
  task->dry_run = true;
  task->work_out = [](const config::Gateway& running, ChangeTask& copied) -> Expected<> {
    copied.next = std::make_shared<config::Gateway>(running);
    remove_bound_interfaces(*copied.next);
    return {};
  };
  task->end = [this, done = std::move(done)](ChangeTask& copied) {
    if (!copied.ok()) return done(std::move(copied.run.outcome));
    auto outcome = std::make_shared<PlanOutcome>();
    parts_.background.run(
        [outcome, path = parts_.running.path(), wanted = copied.next] {
          const Expected<> saved = catch_refusal([&] { *outcome = save_to(path, *wanted); });
          if (!saved) outcome->errors.push_back(saved.error());
        },
        [outcome, done] { done(std::move(*outcome)); });
  };
  queue_.add(std::move(task));
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

bool Changes::is_small(const std::string& name, const WgSet& set) const {
  constexpr std::size_t kFew = 256;  // peers, prefixes
  std::size_t size = set.peers.size();
  for (const WgPeerSet& section : set.peers) size += section.allowed_ips.size();
  const config::Interface* value = set.replace_peers ? parts_.running.find_interface(name) : nullptr;
  return size + (value != nullptr ? value->peers.size() : 0) <= kFew;
}

// All but the answer, which is the same for both.
void Changes::apply_wg_set(std::string_view name_view, WgSet&& set, ChangeDone done) {
  const std::string name(name_view);
  const auto wanted = std::make_shared<WgSet>(std::move(set));
  const Task task = is_small(name, *wanted) ? small_set(name, wanted) : large_set(name, wanted);
  task->end = [this, name, take = std::move(task->end), done = std::move(done)](ChangeTask& ended) {
    if (take && ended.ok()) take(ended);
    const Expected<> changed = end_change(ended);
    if (const Interface* interface = parts_.objects.find_interface(name))
      for (const Refusal& error : ended.run.outcome.errors)
        interface->log()->write(log_event::wg_set_refused, {}, "wg set refused: {}", error.text);
    done(changed);
  };
  queue_.add(task);
}

// Only the peers that the set can touch take part: one peer among 100 000 costs little more than one alone.
Changes::Task Changes::small_set(const std::string& name, std::shared_ptr<WgSet> set) {
  auto task = std::make_shared<ChangeTask>();
  auto part = std::make_shared<InterfacePart>();
  task->begin = [this, name, set = std::move(set), part](ChangeTask& wanted) -> Expected<> {
    const Interface* interface = parts_.objects.find_interface(name);
    if (interface == nullptr) return Refusal{ENODEV, "no interface " + name};
    *part = parts_.running.copy_part(name, ConcernedBy(*set));
    auto before = std::make_shared<config::Gateway>(), after = std::make_shared<config::Gateway>();
    before->interfaces[name] = part->value;
    const config::PeerEffects effects = wg::control::apply(*set, part->value, interface->listen_port());
    after->interfaces[name] = part->value;
    const std::uint16_t mtu = auto_mtu(parts_.running.value());
    wanted.run.wanted = GatewayPlan::of(config::diff(*before, *after, effects), mtu);
    wanted.run.back = [before, after, mtu] { return GatewayPlan::of(config::diff(*after, *before), mtu); };
    return {};
  };
  task->end = [this, name, part](ChangeTask&) { parts_.running.replace_part(name, std::move(*part)); };
  return task;
}

Changes::Task Changes::large_set(const std::string& name, std::shared_ptr<WgSet> set) {
  auto task = std::make_shared<ChangeTask>();
  const auto port = std::make_shared<UdpPort>();
  task->begin = [this, name, port](ChangeTask&) -> Expected<> {
    const Interface* interface = parts_.objects.find_interface(name);
    if (interface == nullptr) return Refusal{ENODEV, "no interface " + name};
    *port = interface->listen_port();
    return {};
  };
  task->work_out = [name, port, set = std::move(set)](const config::Gateway& running,
                                                      ChangeTask& wanted) -> Expected<> {
    wanted.next = std::make_shared<config::Gateway>(running);
    const auto at = wanted.next->interfaces.find(name);
    if (at == wanted.next->interfaces.end()) return Refusal{ENODEV, "no interface " + name};
    plan_for(running, wanted, wg::control::apply(*set, at->second, *port));
    return {};
  };
  return task;
}

void Changes::interface_create(const std::string& name, config::Interface value, ChangeDone done) {
  const auto check = [this, name, id = value.id]() -> Expected<> {
    if (!config::is_interface_name(name)) return Refusal{EINVAL, "'" + name + "' is no interface name"};
    if (parts_.running.find_interface(name) != nullptr)
      return Refusal{EEXIST, "interface " + name + " exists already"};
    if (const std::string holder = holder_of_id(parts_.running.value(), id); !holder.empty())
      return Refusal{EEXIST, "interface " + holder + " has this id"};
    return {};
  };
  const auto edit = [name, value = std::make_shared<config::Interface>(std::move(value))](
                        config::Gateway& next) -> Expected<> {
    next.interfaces[name] = *value;
    return {};
  };
  change(check, edit, std::move(done));
}

void Changes::release(std::uint64_t bound_to) {
  const auto check = [this, bound_to]() -> Expected<> {
    for (const auto& [name, interface] : parts_.running.value().interfaces)
      if (interface.bound_to == bound_to) return {};
    return Refusal{ENOENT, "nothing is bound to it"};
  };
  const auto edit = [bound_to](config::Gateway& next) -> Expected<> {
    remove_interfaces_bound_to(bound_to, next);
    return {};
  };
  change(check, edit, [this](const Expected<>& changed) {
    if (!changed && changed.error().code != ENOENT)
      log_->write(log_event::bound_interfaces_failed, {}, "the interfaces of a program that ended: {}",
                  changed.error().text);
  });
}

bool Changes::in_use() const {
  return !parts_.running.value().interfaces.empty();
}

void Changes::interface_up(const std::string& name, ChangeDone done) {
  const auto edit = [name](config::Gateway& next) -> Expected<> {
    next.interfaces[name].enabled = true;
    return {};
  };
  change([this, name] { return check_interface(name); }, edit,
         [this, name, done = std::move(done)](const Expected<>& changed) {
           if (!changed) return done(changed);
           // `ip link set down` does not change the value, which may say "enabled" already.
           Interface* interface = parts_.objects.find_interface(name);
           const Expected<> up = interface == nullptr ? Expected<>() : interface->set_enabled(true);
           if (!up) return done(by_system(up.error()));
           announce(GatewayEventKind::kInterfaceUp, name);
           done({});
         });
}

void Changes::interface_down(const std::string& name, ChangeDone done) {
  const auto edit = [name](config::Gateway& next) -> Expected<> {
    next.interfaces[name].enabled = false;
    return {};
  };
  change([this, name] { return check_interface(name); }, edit,
         [this, name, done = std::move(done)](const Expected<>& changed) {
           if (changed) announce(GatewayEventKind::kInterfaceDown, name);
           done(changed);
         });
}

void Changes::port_restart(const std::string& name, ChangeDone done) {
  auto task = std::make_shared<ChangeTask>();
  task->dry_run = true;  // there is no plan
  task->begin = [this, name](ChangeTask&) -> Expected<> {
    if (!parts_.running.value().ports.contains(name)) return Refusal{ENOENT, "no port " + name};
    if (parts_.objects.find_port(name) == nullptr)
      return Refusal{ENODEV, "port " + name + " is lost: it is recreated as soon as its device is there"};
    const Expected<> restarted = parts_.keeper.restart(name, "requested by an operator");
    carried_out_();
    return restarted ? Expected<>() : by_system(restarted.error());
  };
  task->end = [this, done = std::move(done)](ChangeTask& ended) { done(end_change(ended)); };
  queue_.add(std::move(task));
}

void Changes::interface_delete(const std::string& name, ChangeDone done) {
  const auto ifindex = std::make_shared<std::uint32_t>();
  const auto check = [this, name, ifindex]() -> Expected<> {
    const Interface* interface = parts_.objects.find_interface(name);
    if (interface == nullptr) return no_interface(name);
    *ifindex = interface->ifindex();
    return {};
  };
  const auto edit = [name](config::Gateway& next) -> Expected<> {
    next.interfaces.erase(name);
    return {};
  };
  change(check, edit, [this, ifindex, done = std::move(done)](const Expected<>& deleted) {
    deleted ? wait_until_gone(*ifindex, kGoneTries, done) : done(deleted);
  });
}

// A netdev goes when the last worker has let go of it.
void Changes::wait_until_gone(std::uint32_t ifindex, unsigned tries, const ChangeDone& done) {
  if (!parts_.services.netlink.find_link(ifindex)) return done({});
  if (tries == 0) return done(Refusal{EIO, "deleted, but a worker still holds its netdev"});
  parts_.services.loop.after(kGoneInterval,
                             [this, ifindex, tries, done] { wait_until_gone(ifindex, tries - 1, done); });
}

void Changes::set_log_level(const std::string& interface, config::LogLevel level, ChangeDone done) {
  const auto edit = [interface, level](config::Gateway& next) -> Expected<> {
    if (interface.empty()) {
      next.control.log.level = level;
    } else {
      next.interfaces[interface].log_level = level;
    }
    return {};
  };
  change([this, interface] { return interface.empty() ? Expected<>() : check_interface(interface); }, edit,
         std::move(done));
}

}  // namespace wg::control
