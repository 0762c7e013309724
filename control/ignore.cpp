#include "control/ignore.h"

#include "control/log.h"

namespace wg::control {

void ignore(const Expected<>& result, const char* why) {
  if (!result)
    make_logger()->write(log_event::request_ignored, {}, "ignored: {} ({})", result.error().text, why);
}

}  // namespace wg::control
