// The one way to report failure: a function that may fail returns Expected<T>, the value or a Refusal.
//
//   Expected<> set_mtu(std::uint32_t ifindex, std::uint32_t mtu);
//
//   if (Expected<> set = set_mtu(ifindex, 1420); !set) return set;
//   log->error("{}", set.error().text);
//   return Refusal::from_errno(errno, "opening " + path);
//   return {};  // done
//
// What else there is, and when (docs/decisions/0020-one-way-to-fail.md):
//   std::optional    nothing there is a usual answer (find_x), or the caller knows better than the callee
//   what was
//                    allowed and says so (parse_x of one word)
//   exceptions       constructors, and what only they call; catch_refusal() is where they end
//   an enumeration   the packet path and the protocol engine, where every way to end is counted by its name
#pragma once

#include <cerrno>
#include <exception>
#include <stdexcept>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <type_traits>
#include <utility>

namespace wg {

// Why something was not done. Nothing is half done then, unless the function says otherwise.
struct Refusal {
  int code =
      EINVAL;  // a positive errno: the kernel's, or the one that says best why the gateway itself refused
  std::string text;  // for people: what was attempted and why it was refused; no secret, no newline

  // "adding 10.0.0.1/24 to wg0: File exists (detail)"; `detail`: further words of the kernel, if any.
  [[nodiscard]] static Refusal from_errno(int error, std::string_view what, std::string_view detail = {});
  // The errno of a std::system_error, ENOMEM for std::bad_alloc, otherwise EINVAL.
  [[nodiscard]] static Refusal from_exception(const std::exception& error);
  // The same, with what it is about in front: "wg0: no such interface".
  [[nodiscard]] Refusal about(std::string_view subject) const;

  bool operator==(const Refusal&) const = default;
};

// tl::expected that may not be ignored, and is made of a value or of an error without further words. To
// discard one on purpose: control/ignore.h.
template <class T = void, class E = Refusal>
class [[nodiscard]] Expected : public tl::expected<T, E> {
  using Base = tl::expected<T, E>;

 public:
  using Base::Base;
  Expected() = default;
  Expected(E error) : Base(tl::unexpect, std::move(error)) {}
};

// For constructors, which cannot return one: the value, or std::runtime_error with the refusal's text.
template <class T>
T value_or_throw(Expected<T> result) {
  if (!result) throw std::runtime_error(std::move(result.error().text));
  if constexpr (!std::is_void_v<T>) return *std::move(result);
}

// The type that catch_refusal() returns: an Expected stays what it is.
template <class T>
struct CaughtAs {
  using Type = Expected<T>;
};
template <class T>
struct CaughtAs<Expected<T>> {
  using Type = Expected<T>;
};

// Calls `make`; what it throws becomes the refusal, as what it refuses is.
template <class Make>
typename CaughtAs<std::invoke_result_t<Make>>::Type catch_refusal(Make&& make) {
  try {
    if constexpr (std::is_void_v<std::invoke_result_t<Make>>) {
      std::forward<Make>(make)();
      return {};
    } else {
      return std::forward<Make>(make)();
    }
  } catch (const std::exception& error) {
    return Refusal::from_exception(error);
  }
}

}  // namespace wg
