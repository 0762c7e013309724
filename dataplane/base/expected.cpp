#include "dataplane/base/expected.h"

#include <cstring>
#include <new>
#include <system_error>

namespace wg {

Refusal Refusal::from_errno(int error, std::string_view what, std::string_view detail) {
  std::string text = std::string(what) + ": " + std::strerror(error);
  if (!detail.empty()) text.append(" (").append(detail).append(")");
  return {error, std::move(text)};
}

Refusal Refusal::from_exception(const std::exception& error) {
  if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr) return {ENOMEM, "out of memory"};
  const auto* system = dynamic_cast<const std::system_error*>(&error);
  return {system != nullptr ? system->code().value() : EINVAL, error.what()};
}

Refusal Refusal::about(std::string_view subject) const {
  return {code, std::string(subject) + ": " + text};
}

}  // namespace wg
