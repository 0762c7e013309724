// Where packets to an address go, in words. A pure function of RouteFacts.
#pragma once

#include <string>
#include <vector>

#include "control/api/status.h"

namespace wg::control {

struct RouteExplanation {
  bool ok = false;      // packets arrive where the allowed IPs say, or there is no such peer
  std::string verdict;  // one sentence
  std::vector<std::string> advice;
};

RouteExplanation explain_route(const RouteFacts& facts);

}  // namespace wg::control
