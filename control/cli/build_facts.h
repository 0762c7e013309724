// Facts about this build and this machine, for `version` and the status.
#pragma once

#include <string>
#include <vector>

namespace wg::control::cli {

struct BuildFacts {
  std::string version;
  std::string dpdk_version;
  std::string aead;                        // the variant that this machine uses
  std::vector<std::string> aead_variants;  // every variant that this machine can run
};

BuildFacts build_facts();

}  // namespace wg::control::cli
