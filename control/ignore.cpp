#include "control/ignore.h"

#include "control/log.h"

namespace wg::control {

void ignore(const KernelResult& result, const char* why) {
  if (!result.ok()) make_logger()->debug("ignored: {} ({})", result.text, why);
}

}  // namespace wg::control
