// The params of a request, read one by one. Absent or null is as by default; a value of another type or
// outside of the allowed range throws BadParam, whose text names the param and what is allowed.
#pragma once

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "control/api/json.h"

namespace wg::control {

// The caller of a method answers it with bad_params. The text never holds the value, which may be a key.
class BadParam : public std::runtime_error {
 public:
  BadParam(const std::string& name, const std::string& allowed) : std::runtime_error(name + " " + allowed) {}
};

namespace param {

// nullptr: absent or null.
inline const Json* find(const Json& params, const char* name) {
  const auto found = params.find(name);
  return found == params.end() || found->is_null() ? nullptr : &*found;
}

inline std::string text(const Json& params, const char* name, const char* otherwise = "") {
  const Json* const value = find(params, name);
  if (value == nullptr) return otherwise;
  if (!value->is_string()) throw BadParam(name, "is a text");
  return value->get<std::string>();
}

// Without it the method means nothing.
inline std::string needed_text(const Json& params, const char* name) {
  std::string value = text(params, name);
  if (value.empty()) throw BadParam(name, "is missing");
  return value;
}

inline bool flag(const Json& params, const char* name, bool otherwise) {
  const Json* const value = find(params, name);
  if (value == nullptr) return otherwise;
  if (!value->is_boolean()) throw BadParam(name, "is true or false");
  return value->get<bool>();
}

// nullopt: negative, a fraction or no number.
inline std::optional<std::uint64_t> whole(const Json& value) {
  if (value.is_number_unsigned()) return value.get<std::uint64_t>();
  if (!value.is_number_integer() || value.get<std::int64_t>() < 0) return std::nullopt;
  return static_cast<std::uint64_t>(value.get<std::int64_t>());
}

inline std::uint64_t number(const Json& params, const char* name, std::uint64_t otherwise,
                            std::uint64_t least, std::uint64_t most) {
  const Json* const value = find(params, name);
  if (value == nullptr) return otherwise;
  const auto given = whole(*value);
  if (!given || *given < least || *given > most)
    throw BadParam(name, "is a whole number from " + std::to_string(least) + " to " + std::to_string(most));
  return *given;
}

inline std::vector<std::string> texts(const Json& params, const char* name) {
  std::vector<std::string> all;
  const Json* const value = find(params, name);
  if (value == nullptr) return all;
  if (!value->is_array()) throw BadParam(name, "is a list of texts");
  for (const Json& each : *value) {
    if (!each.is_string()) throw BadParam(name, "is a list of texts");
    all.push_back(each.get<std::string>());
  }
  return all;
}

}  // namespace param
}  // namespace wg::control
