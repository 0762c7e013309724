#include "control/api/members.h"

#include <cstdio>
#include <numeric>

#include "control/api/format.h"

namespace wg::control::members {

std::string text(const Json& object, const char* name, const char* otherwise) {
  const auto found = object.find(name);
  const bool none =
      found == object.end() || !found->is_string() || found->get_ref<const std::string&>().empty();
  return none ? otherwise : found->get<std::string>();
}

std::uint64_t number(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_number() ? found->get<std::uint64_t>() : 0;
}

double real(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_number() ? found->get<double>() : 0;
}

bool truth(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_boolean() && found->get<bool>();
}

const Json& list(const Json& object, const char* name) {
  static const Json empty = Json::array();
  const auto found = object.find(name);
  return found != object.end() && found->is_array() ? *found : empty;
}

const Json& map(const Json& object, const char* name) {
  static const Json empty = Json::object();
  const auto found = object.find(name);
  return found != object.end() && found->is_object() ? *found : empty;
}

std::optional<WallTime> time(const Json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end() || !found->is_number()) return std::nullopt;
  using namespace std::chrono;
  return WallTime{duration_cast<WallTime::duration>(duration<double>(found->get<double>()))};
}

std::string digits(const Json& object, const char* name) {
  return std::to_string(number(object, name));
}
std::string bytes(const Json& object, const char* name) {
  return format_bytes(number(object, name));
}

std::string joined(const Json& words, std::size_t most) {
  std::string line;
  std::size_t count = 0;
  for (const auto& word : words) {
    if (!word.is_string()) continue;
    if (count++ == most) return line + ", … " + std::to_string(words.size() - most) + " more";
    line += (line.empty() ? "" : ", ") + word.get<std::string>();
  }
  return line.empty() ? "-" : line;
}

std::uint64_t sum(const Json& counts) {
  return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0},
                         [](std::uint64_t all, const Json& count) {
                           return all + (count.is_number() ? count.get<std::uint64_t>() : 0);
                         });
}

std::string one_decimal(double value) {
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, "%.1f", value);
  return buffer;
}

}  // namespace wg::control::members
