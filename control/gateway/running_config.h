// The configuration that runs, as a value, and the only ways to change it.
//
// W: Changes, once a plan has been carried out. R: every part. While a plan is carried out this is still the
// value before.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "config/types.h"
#include "control/api/status.h"

namespace wg::control {

// An interface with some of its peers.
struct InterfacePart {
  config::Interface value;
  std::vector<std::size_t> places;  // of those peers in the whole, ascending
};

struct LastReload {
  std::optional<WallTime> at;  // empty: never tried
  std::string result;          // "applied", or the first error
};

class RunningConfig {
 public:
  // Starts with what cannot change while running; ports and interfaces come by replace().
  RunningConfig(std::string path, const config::Gateway& at_start);

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] const config::Gateway& value() const { return value_; }
  [[nodiscard]] const config::Interface* find_interface(const std::string& name) const;
  // How often the value has changed.
  [[nodiscard]] std::uint64_t generation() const { return generation_; }
  [[nodiscard]] const LastReload& last_reload() const { return last_reload_; }

  // A whole plan has been carried out. Returns the value before.
  config::Gateway replace(config::Gateway next);

  // A copy of an interface with the peers that are `concerned`: all are asked, those alone are copied. An
  // empty part when there is no such interface.
  [[nodiscard]] InterfacePart copy_part(const std::string& name,
                                        const std::function<bool(const config::Peer&)>& concerned);
  // `part`, a copy of the present value that has been edited, runs now in place of the peers that it was
  // copied from and of the interface's own values. The other peers stay as they are, in their order, and cost
  // nothing; new ones come after them.
  void replace_part(const std::string& name, InterfacePart part);

  void note_reload(LastReload reload) { last_reload_ = std::move(reload); }

 private:
  const std::string path_;
  config::Gateway value_;
  std::uint64_t generation_ = 0;
  LastReload last_reload_;
};

}  // namespace wg::control
