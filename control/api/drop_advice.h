// Advice to an operator for each drop reason. docs/operations.md shows the same texts,
// which a test compares.
#pragma once

#include <string_view>

namespace wg::control {

// `reason` is a name of dataplane/drop_reason.h. Empty: there is no such reason.
std::string_view drop_advice(std::string_view reason);

}  // namespace wg::control
