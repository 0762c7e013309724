// Reads members of an answer of the control socket. A member that is missing or has another type counts as
// absent: an older or newer gateway may have answered.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "control/api/json.h"

namespace wg::control::members {

std::string text(const Json& object, const char* name, const char* otherwise = "-");
std::uint64_t number(const Json& object, const char* name);
double real(const Json& object, const char* name);
bool truth(const Json& object, const char* name);
// Empty when absent.
const Json& list(const Json& object, const char* name);
const Json& map(const Json& object, const char* name);
std::optional<WallTime> time(const Json& object, const char* name);

std::string digits(const Json& object, const char* name);
std::string bytes(const Json& object, const char* name);  // "1.50 KiB"
// The words with commas between them: the first `most`, then how many more there are. "-" without any.
std::string joined(const Json& words, std::size_t most = SIZE_MAX);
std::uint64_t sum(const Json& counts);
std::string one_decimal(double value);

}  // namespace wg::control::members
