#include "control/gateway/path_errors.h"

#include <algorithm>
#include <iterator>

namespace wg::control {
namespace {

bool is_about(const IcmpError& error, const Endpoint& remote, UdpPort local) {
  return error.remote.address == remote.address && error.remote.port == remote.port &&
         error.local.port == local;
}

}  // namespace

void PathErrors::every_second(BootTime now, const std::function<bool(const Endpoint& local)>& listens) {
  source_.receive(kMostPerSecond, [&](const IcmpError& error) {
    if (listens(error.local)) note(error, now);
  });
}

// One entry for each kind: an endpoint has no more of them than there are kinds.
void PathErrors::note(const IcmpError& error, BootTime now) {
  const auto same = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) {
    return entry.error.kind == error.kind && is_about(entry.error, error.remote, error.local.port);
  });
  if (same != entries_.end()) {
    *same = {error, same->count + 1, now};
    return;
  }
  if (entries_.size() < kMost) {
    entries_.push_back({error, 1, now});
    return;
  }
  const auto oldest = std::min_element(entries_.begin(), entries_.end(),
                                       [](const Entry& a, const Entry& b) { return a.last < b.last; });
  *oldest = {error, 1, now};
}

std::vector<PathErrors::Entry> PathErrors::about(const Endpoint& remote, UdpPort local) const {
  std::vector<Entry> found;
  std::copy_if(entries_.begin(), entries_.end(), std::back_inserter(found),
               [&](const Entry& entry) { return is_about(entry.error, remote, local); });
  return found;
}

}  // namespace wg::control
