#include "control/cli/build_facts.h"

#include <rte_version.h>

#include "control/version.h"
#include "dataplane/crypto/aead.h"

namespace wg::control::cli {

BuildFacts build_facts() {
  BuildFacts facts;
  facts.version = kVersion;
  facts.dpdk_version = rte_version();
  facts.aead = crypto::aead_engine().name;
  for (const auto* engine : crypto::aead_engines()) facts.aead_variants.emplace_back(engine->name);
  return facts;
}

}  // namespace wg::control::cli
