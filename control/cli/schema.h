// The JSON Schema of the configuration file (draft 2020-12).
#pragma once

#include "control/api/json.h"

namespace wg::control::cli {

Json configuration_schema();

}  // namespace wg::control::cli
