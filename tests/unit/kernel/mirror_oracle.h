// Two oracles for the mirror: a mirror that has just dumped everything afresh, and the kernel's own answer
// to "how would you route this".
#pragma once

#include <functional>
#include <random>
#include <string>

#include "control/kernel/netlink_mirror.h"

namespace wg::control {

// Empty when both agree; otherwise a sentence about the first difference.
std::string difference(const NetlinkMirror& followed, const NetlinkMirror& fresh);

// How much a call of process() does: all that there is, or the least.
enum class Pace { kAtOnce, kLeast };

// Follows until the mirror equals a fresh dump, at most two seconds (some of IPv6 settles in a kernel
// thread of its own); returns the last difference, empty when there is none.
std::string follow_until_fresh(NetlinkMirror& mirror, Pace pace = Pace::kAtOnce);

// Follows until `done`, at most two seconds.
bool follow_until(NetlinkMirror& mirror, const std::function<bool()>& done, Pace pace = Pace::kAtOnce);

// Empty when resolve() and kernel_route() agree about the destination; a multipath nexthop may be any of
// the prefix's.
std::string disagreement(NetlinkMirror& mirror, const IpAddress& destination, const ResolveKey& key = {});

std::string in_words(const Resolved& resolved);

}  // namespace wg::control
