// How many character cells of a terminal a text takes: none for a combining mark, two for a wide character.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace wg::control::cli {

// The cells of UTF-8 text; an invalid byte takes one, as terminals show a replacement for it.
[[nodiscard]] std::size_t cells_of(std::string_view text);
// The longest beginning of `text` that fits `cells`, marks of its last character included.
[[nodiscard]] std::string_view first_cells(std::string_view text, std::size_t cells);

}  // namespace wg::control::cli
