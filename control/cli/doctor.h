// `linegate doctor`: what on this machine keeps a gateway from working well, each with a remedy. The checks
// are pure functions of what was read.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "config/types.h"
#include "control/api/json.h"
#include "control/cli/build_facts.h"
#include "control/cli/machine.h"

namespace wg::control::cli {

enum class Verdict : std::uint8_t {
  kOk,
  kNote,     // worth knowing
  kWarning,  // works, but not well or not safely
  kFault,    // does not work
};

struct Finding {
  std::string check;  // "hugepages"
  Verdict verdict = Verdict::kOk;
  std::string text;
  std::string remedy;  // empty when there is nothing to do
};

struct Patient {
  Machine machine;
  std::string config_path;
  config::Problems problems;  // errors and warnings of the file
  std::optional<config::Gateway> config;
  std::optional<Json> running;  // the answer to show.gateway
  bool may_ask = true;          // false: its socket is there, but not for this user
  BuildFacts build;
};

// Every check has at least one finding.
std::vector<Finding> examine(const Patient& patient);

}  // namespace wg::control::cli
