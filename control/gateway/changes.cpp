// Changes: reload, diff, save, wg(8), interfaces; and what survives a restart.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <unordered_set>
#include <utility>

#include "config/paths.h"
#include "config/read_file.h"
#include "config/save.h"
#include "config/validate.h"
#include "control/gateway/gateway.h"

namespace wg::control {

namespace {

constexpr auto kGoneInterval = std::chrono::milliseconds(5);
constexpr unsigned kGoneTries = 2000;

std::vector<std::string> lines_of(const config::Problems& problems) {
  std::vector<std::string> lines;
  for (const config::Problem& problem : problems) lines.push_back(config::to_string(problem));
  return lines;
}

PlanOutcome refusal(std::vector<std::string> errors) {
  PlanOutcome outcome;
  outcome.errors = std::move(errors);
  return outcome;
}

void describe_plan(const config::Plan& plan, PlanOutcome& outcome) {
  for (const config::Action& action : plan.actions) {
    (std::holds_alternative<config::NeedsRestart>(action) ? outcome.restart : outcome.plan)
        .push_back(config::describe(action));
  }
}

// The interface with those peers only that the set names, or that hold a prefix it names, or that have the
// key it makes our own. Returns their keys.
std::vector<config::Key> part_for(const WgSet& set, config::Interface& whole, config::Interface& part) {
  std::unordered_set<config::Key> keys;
  std::set<config::Prefix> prefixes;
  for (const WgPeerSet& section : set.peers) {
    keys.insert(section.public_key);
    for (const AllowedIpChange& change : section.allowed_ips) prefixes.insert(change.prefix);
  }
  if (set.private_key && !set.private_key->is_zero()) keys.insert(config::public_key_of(*set.private_key));
  std::vector<config::Peer> peers = std::exchange(whole.peers, {});
  part = whole;
  whole.peers = std::move(peers);
  std::vector<config::Key> looked_at;
  for (const config::Peer& peer : whole.peers) {
    const bool concerned =
        set.replace_peers || keys.contains(peer.public_key) ||
        (!prefixes.empty() && std::any_of(peer.allowed_ips.begin(), peer.allowed_ips.end(),
                                          [&](const config::Prefix& p) { return prefixes.contains(p); }));
    if (!concerned) continue;
    part.peers.push_back(peer);
    looked_at.push_back(peer.public_key);
  }
  return looked_at;
}

// A peer removed and added again in one set starts afresh, which diff() would not see: it goes after what
// the system may refuse, and before anything comes.
config::Plan plan_of_set(const config::Gateway& before, const config::Gateway& after, const std::string& name,
                         const WgEffects& effects) {
  if (effects.reborn.empty()) return config::diff(before, after);
  config::Gateway without = before;
  const std::unordered_set<config::Key> reborn(effects.reborn.begin(), effects.reborn.end());
  std::erase_if(without.interfaces[name].peers,
                [&](const config::Peer& peer) { return reborn.contains(peer.public_key); });
  config::Plan plan = config::diff(without, after);
  const auto first_peer = std::find_if(plan.actions.begin(), plan.actions.end(), [](const auto& action) {
    return std::holds_alternative<config::AddPeer>(action);
  });
  std::vector<config::Action> removals;
  for (const config::Key& key : effects.reborn)
    removals.emplace_back(config::RemovePeer{{name, key, config::to_string(key)}});
  plan.actions.insert(first_peer, removals.begin(), removals.end());
  return plan;
}

}  // namespace

// ---------------------------------------------------------------- reload, diff, save

void Gateway::reload(bool dry_run, PlanDone done) {
  plan_against_file(!dry_run, std::move(done));
}

// Reading and parsing may take seconds and a slow disk: off the control thread.
void Gateway::plan_against_file(bool apply_it, PlanDone done, const config::ParseOptions& options) {
  auto parsed = std::make_shared<config::Result<config::Gateway>>();
  background_->run([parsed, path = config_path_, options] { *parsed = config::parse_file(path, options); },
                   [this, parsed, apply_it, done = std::move(done)] {
                     finish_reload(!apply_it, std::move(*parsed), done);
                   });
}

void Gateway::finish_reload(bool dry_run, config::Result<config::Gateway>&& parsed, PlanDone done) {
  PlanOutcome outcome;
  if (!parsed.ok()) {
    outcome = refusal(lines_of(parsed.problems));
  } else if (dry_run) {
    describe_plan(config::diff(running_, *parsed.value), outcome);
    outcome.ok = true;
  } else {
    apply(std::move(*parsed.value), outcome);
  }
  if (!dry_run) {
    last_reload_ = std::chrono::system_clock::now();
    last_reload_result_ = outcome.ok ? "applied" : outcome.errors.front();
    GatewayEvent event;
    event.at = *last_reload_;
    event.kind = outcome.ok ? "config_applied" : "config_refused";
    event.detail = outcome.ok ? std::to_string(outcome.plan.size()) + " change(s)" : outcome.errors.front();
    emit(std::move(event));
    if (outcome.ok) {
      log_->info("reload: {} change(s) in {} us{}", outcome.plan.size(), outcome.took.count(),
                 outcome.restart.empty() ? "" : "; some need a restart");
    } else {
      for (const std::string& error : outcome.errors) log_->error("reload refused: {}", error);
    }
  }
  done(std::move(outcome));
}

// Drift: what must be done to what runs to make it what the file says.
void Gateway::diff(PlanDone done) {
  plan_against_file(false, std::move(done));
}

void Gateway::save(PlanDone done) {
  auto outcome = std::make_shared<PlanOutcome>();
  background_->run(
      [outcome, path = config_path_, wanted = running_] {
        const config::Saved saved = config::save(path, wanted);
        if (!saved.ok()) {
          outcome->errors = lines_of(saved.problems);
          return;
        }
        for (const config::SavedFile& file : saved.files) outcome->plan.push_back("wrote " + file.path);
        outcome->plan.insert(outcome->plan.end(), saved.remarks.begin(), saved.remarks.end());
        const std::string error = config::write(saved);
        if (error.empty()) {
          outcome->ok = outcome->applied = true;
        } else {
          outcome->plan.clear();
          outcome->errors.push_back(error);
        }
      },
      [outcome, done = std::move(done)] { done(std::move(*outcome)); });
}

// ---------------------------------------------------------------- changes from the sockets

Outcome Gateway::change(config::Gateway&& next, const char* what) {
  if (const config::Problems problems = config::validate(next); !problems.empty()) {
    return {Failure::kInvalid, problems.front().message};
  }
  PlanOutcome outcome;
  if (!apply(std::move(next), outcome))
    return {Failure::kFailed, outcome.errors.empty() ? what : outcome.errors.front()};
  return {};
}

int Gateway::apply_wg_set(std::string_view name_view, WgSet&& set) {
  const std::string name(name_view);
  Interface* interface = find_interface(name);
  if (interface == nullptr) return ENODEV;
  // Only the peers that the set can touch take part: one peer among 100 000 costs as much as one alone.
  config::Gateway before, after;
  const std::vector<config::Key> looked_at =
      part_for(set, running_.interfaces[name], before.interfaces[name]);
  config::Interface& value = after.interfaces[name] = before.interfaces[name];
  const bool port_changes = set.listen_port && *set.listen_port != interface->listen_port();
  const WgEffects effects = wg::control::apply(set, value);
  if (set.listen_port && !port_changes) value.listen_port = before.interfaces[name].listen_port;

  PlanOutcome outcome;
  const bool done = execute(
      plan_of_set(before, after, name, effects), [&] { return config::diff(after, before); }, outcome);
  if (!done) {
    for (const std::string& error : outcome.errors) interface->log()->error("wg set refused: {}", error);
    return outcome.error != 0 ? outcome.error : EIO;
  }
  // An endpoint that was named counts even when the configured one was the same: it ends roaming.
  const std::unordered_set<config::Key> named(effects.endpoint_named.begin(), effects.endpoint_named.end());
  for (const config::Peer& peer : value.peers) {
    if (named.contains(peer.public_key)) interface->set_peer_endpoint(peer.public_key, peer.endpoint);
  }
  merge_peers(name, looked_at, std::move(value));
  return 0;
}

// `part` has become what runs; peers that were not looked at are as they were, in their old order.
void Gateway::merge_peers(const std::string& name, const std::vector<config::Key>& looked_at,
                          config::Interface&& part) {
  config::Interface& whole = running_.interfaces[name];
  std::unordered_map<config::Key, config::Peer*> now;
  for (config::Peer& peer : part.peers) now[peer.public_key] = &peer;
  const std::unordered_set<config::Key> involved(looked_at.begin(), looked_at.end());
  std::vector<config::Peer> peers = std::move(whole.peers);
  std::erase_if(peers, [&](config::Peer& peer) {
    if (!involved.contains(peer.public_key)) return false;
    const auto at = now.find(peer.public_key);
    if (at == now.end()) return true;
    peer = std::move(*at->second);
    at->second = nullptr;
    return false;
  });
  for (config::Peer& peer : part.peers) {
    const auto at = now.find(peer.public_key);
    if (at->second != nullptr) peers.push_back(std::move(peer));
  }
  whole = std::move(part);
  whole.peers = std::move(peers);
}

Outcome Gateway::interface_create(const std::string& name, const config::Interface& value) {
  if (!config::is_interface_name(name)) return {Failure::kInvalid, "'" + name + "' is no interface name"};
  if (running_.interfaces.contains(name)) return {Failure::kExists, "interface " + name + " exists already"};
  config::Gateway next = running_;
  next.interfaces[name] = value;
  return change(std::move(next), "creating failed");
}

Outcome Gateway::interface_up(const std::string& name) {
  if (find_interface(name) == nullptr) return {Failure::kNotFound, "there is no interface " + name};
  config::Gateway next = running_;
  next.interfaces[name].enabled = true;
  const Outcome outcome = change(std::move(next), "going up failed");
  // It may have been set down behind our back (ip link): then the value says up already.
  if (outcome.ok()) {
    if (const KernelResult up = find_interface(name)->set_enabled(true); !up.ok())
      return {Failure::kFailed, up.text};
    emit({std::chrono::system_clock::now(), "interface_up", name, {}, {}, {}, {}, 0, 0});
  }
  return outcome;
}

Outcome Gateway::interface_down(const std::string& name) {
  if (find_interface(name) == nullptr) return {Failure::kNotFound, "there is no interface " + name};
  config::Gateway next = running_;
  next.interfaces[name].enabled = false;
  const Outcome outcome = change(std::move(next), "going down failed");
  if (outcome.ok()) emit({std::chrono::system_clock::now(), "interface_down", name, {}, {}, {}, {}, 0, 0});
  return outcome;
}

void Gateway::interface_delete(const std::string& name, OutcomeDone done) {
  const Interface* interface = find_interface(name);
  if (interface == nullptr) return done({Failure::kNotFound, "there is no interface " + name});
  const std::uint32_t ifindex = interface->ifindex();
  config::Gateway next = running_;
  next.interfaces.erase(name);
  if (const Outcome outcome = change(std::move(next), "deleting failed"); !outcome.ok()) return done(outcome);
  when_gone(ifindex, kGoneTries, done);
}

// A netdev goes when the last worker has let go of it.
void Gateway::when_gone(std::uint32_t ifindex, unsigned tries, const OutcomeDone& done) {
  if (!netlink_.find_link(ifindex)) return done({});
  if (tries == 0) return done({Failure::kFailed, "deleted, but a worker still holds its netdev"});
  loop_.after(kGoneInterval, [this, ifindex, tries, done] { when_gone(ifindex, tries - 1, done); });
}

Outcome Gateway::set_log_level(const std::string& interface, config::LogLevel level) {
  config::Gateway next = running_;
  if (interface.empty()) {
    next.control.log.level = level;
  } else {
    if (find_interface(interface) == nullptr)
      return {Failure::kNotFound, "there is no interface " + interface};
    next.interfaces[interface].log_level = level;
  }
  return change(std::move(next), "changing the log level failed");
}

void Gateway::emit(GatewayEvent&& event) {
  if (rpc_) rpc_->publish(event);
}

// ---------------------------------------------------------------- reload on file change

// Switched off, the watch stays with nothing to watch: to close it would hold the control thread for 10 to 20
// ms.
void Gateway::watch_files() {
  const bool wanted = running_.control.reload_on_change;
  if (!wanted && !file_watch_) return;
  try {
    if (!file_watch_) file_watch_ = std::make_unique<FileWatch>(loop_, [this] { reload_after_change(); });
    const std::vector<std::string> files =
        wanted ? config::files_of(config_path_, running_) : std::vector<std::string>{};
    for (const std::string& refused : file_watch_->watch(files)) log_->error("reload_on_change: {}", refused);
  } catch (const std::exception& error) {
    log_->error("reload_on_change: {}", error.what());
  }
}

void Gateway::reload_after_change() {
  config::ParseOptions options;
  options.settle = FileWatch::kQuiet;
  plan_against_file(
      true, [](PlanOutcome) {}, options);
}

// ---------------------------------------------------------------- TAI64N floor and peers' timestamps

std::string Gateway::timestamps_path(const std::string& interface) const {
  return running_.control.state_directory + "/" + interface + ".timestamps";
}

void Gateway::load_timestamps(Interface& interface) {
  std::ifstream file(timestamps_path(interface.name()), std::ios::binary);
  if (!file) return;
  const std::vector<std::uint8_t> bytes{std::istreambuf_iterator<char>(file), {}};
  if (!interface.engine().import_timestamps(bytes)) {
    interface.log()->warn("{} is not a timestamps file of ours: ignored", timestamps_path(interface.name()));
  }
}

void Gateway::save_timestamps(bool wait) {
  for (const auto& [name, interface] : interfaces_) {
    if (!interface->engine().timestamps_changed()) continue;
    auto write = [path = timestamps_path(name), directory = running_.control.state_directory,
                  bytes = interface->engine().export_timestamps()] {
      std::error_code ignored;
      std::filesystem::create_directories(directory, ignored);
      return config::replace_file(path, {bytes.begin(), bytes.end()}, 0600);
    };
    if (wait) {
      if (const std::string error = write(); !error.empty())
        log_->warn("{}: {}", timestamps_path(name), error);
      continue;
    }
    auto error = std::make_shared<std::string>();
    background_->run([write, error] { *error = write(); },
                     [this, error, name = name] {
                       if (!error->empty())
                         log_->warn("{}: {}; handshakes go on", timestamps_path(name), *error);
                     });
  }
}

}  // namespace wg::control
