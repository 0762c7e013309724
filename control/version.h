#pragma once

namespace wg::control {

inline constexpr const char* kVersion = "0.1.0";

}  // namespace wg::control
