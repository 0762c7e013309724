#include "control/gateway/peer_files.h"

#include <unistd.h>

#include <limits>
#include <utility>

namespace wg::control {

namespace {

constexpr std::size_t kPeersPerStep = 4096;  // about a millisecond

}  // namespace

PeerFiles::PeerFiles(const Objects& objects, std::string directory, EventLoop& loop, Background& background,
                     Logger log)
    : objects_(objects),
      directory_(std::move(directory)),
      loop_(loop),
      background_(background),
      reports_(std::move(log),
               "handshakes go on, but after a restart these peers have to notice by themselves") {}

std::string PeerFiles::path_of(const std::string& interface) const {
  return directory_ + "/" + interface + ".peers";
}

void PeerFiles::load(Interface& interface) {
  if (!interface.remembers_endpoints()) return remove(interface.name());
  const std::string path = path_of(interface.name());
  const auto bytes = read_state_file(path);
  if (!bytes) return;
  auto peers = decode(*bytes);
  if (!peers)
    return interface.log()->write(log_event::state_unreadable, {}, "{}: not a valid file of peers, ignored",
                                  path);
  interface.endpoints().load(std::move(*peers));
}

void PeerFiles::save() {
  for (const auto& [name, interface] : objects_.interfaces()) {
    interface->endpoints().expire_restored();
    if (!interface->remembers_endpoints()) {
      remove(name);
    } else if (walks_.emplace(name, Walk{}).second) {  // else the walk before is not done
      step(name);
    }
  }
}

void PeerFiles::step(const std::string& interface) {
  const auto walk = walks_.find(interface);
  const Interface* object = objects_.find_interface(interface);
  if (object == nullptr || !object->remembers_endpoints()) {
    walks_.erase(walk);
    return;
  }
  Walk& at = walk->second;
  at.from = object->endpoints().list_heard(at.from, kPeersPerStep, at.peers);
  if (at.from != 0) return loop_.post([this, interface] { step(interface); });
  auto written = std::make_shared<Expected<>>();
  background_.run(
      [write = writer_for(interface, std::move(at.peers)), written] { *written = catch_refusal(write); },
      [this, written, path = path_of(interface)] { reports_.report(path, *written); });
  walks_.erase(walk);
}

std::function<Expected<>()> PeerFiles::writer_for(const std::string& interface,
                                                  std::vector<RememberedPeer> peers) {
  const std::string path = path_of(interface);
  std::shared_ptr<Checksum>& on_disk = on_disk_[path];
  if (!on_disk) on_disk = std::make_shared<Checksum>();
  return [path, on_disk, peers = std::move(peers)]() -> Expected<> {
    const std::vector<std::uint8_t> bytes = encode(peers);
    Checksum checksum(bytes.end() - sizeof(noise::Hash), bytes.end());
    if (checksum == *on_disk) return {};
    Expected<> written = write_state_file(path, bytes);
    *on_disk = written ? std::move(checksum) : Checksum{};
    return written;
  };
}

void PeerFiles::remove(const std::string& interface) {
  const std::string path = path_of(interface);
  on_disk_.erase(path);
  background_.run([path] { unlink(path.c_str()); }, {});
}

void PeerFiles::save_and_wait() {
  for (const auto& [name, interface] : objects_.interfaces()) {
    if (!interface->remembers_endpoints()) {
      unlink(path_of(name).c_str());
      continue;
    }
    std::vector<RememberedPeer> peers;
    interface->endpoints().list_heard(0, std::numeric_limits<std::size_t>::max(), peers);
    reports_.report(path_of(name), writer_for(name, std::move(peers))());
  }
}

}  // namespace wg::control
