#include "control/cli/options.h"

#include <cmath>

#include "config/address.h"
#include "config/scalars.h"

namespace wg::control::cli {
namespace {

CLI::Validator checked(std::string allowed, std::function<bool(const std::string&)> fits) {
  CLI::Validator validator;
  validator.operation([allowed = std::move(allowed), fits = std::move(fits)](std::string& text) {
    return fits(text) ? std::string() : "'" + text + "' is not " + allowed;
  });
  return validator;
}

std::string short_number(double value) {
  std::string text = std::to_string(value);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.ends_with('.')) text.pop_back();
  return text;
}

// The whole text is a number; strtod also reads "nan" and "inf".
bool is_number_between(const std::string& text, double least, double most) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  return !text.empty() && *end == '\0' && std::isfinite(value) && value >= least && value <= most;
}

bool is_whole_between(const std::string& text, std::uint64_t least, std::uint64_t most) {
  const auto number = config::parse_number(text);
  return number && *number >= least && *number <= most;
}

}  // namespace

CLI::Validator whole_number(std::uint64_t least, std::uint64_t most) {
  return checked("a whole number from " + std::to_string(least) + " to " + std::to_string(most),
                 [=](const std::string& text) { return is_whole_between(text, least, most); });
}

CLI::Validator seconds_between(double least, double most) {
  return checked("a number of seconds from " + short_number(least) + " to " + short_number(most),
                 [=](const std::string& text) { return is_number_between(text, least, most); });
}

CLI::Validator ip_address() {
  return checked("an IP address",
                 [](const std::string& text) { return config::parse_address(text).has_value(); });
}

}  // namespace wg::control::cli
