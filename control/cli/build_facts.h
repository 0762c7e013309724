// What this program was built from and runs with.
#pragma once

#include <string>
#include <vector>

namespace wg::control::cli {

struct BuildFacts {
  std::string version;
  std::string dpdk_version;
  std::string aead;                        ///< the variant this machine would use
  std::vector<std::string> aead_variants;  ///< all it can run
};

BuildFacts build_facts();

}  // namespace wg::control::cli
