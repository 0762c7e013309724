// Words for values that several messages name.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/types.h"

namespace wg::config {

[[nodiscard]] std::string words_of(const Workers& workers);
[[nodiscard]] std::string words_of(const std::vector<std::string>& arguments);
// "1 peer", "3 peers"
[[nodiscard]] std::string counted(std::size_t count, std::string_view noun);

}  // namespace wg::config
