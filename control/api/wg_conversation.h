// One conversation in wg(8)'s protocol about one interface, apart from the connection that carries it: the
// socket of the interface, or the control socket after `interface.wg`.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "control/api/change_sink.h"
#include "control/api/secret_source.h"
#include "control/api/stream.h"
#include "control/api/wg_protocol.h"

namespace wg::control {

class WgConversation {
 public:
  // How it answers on its connection, and what it asks before it acts. All but `on_set` and `exists` are
  // there.
  struct Connection {
    std::function<void(std::string)> send;
    std::function<void(Stream::Source)> send_from;
    // Stream::answer_later().
    std::function<std::function<void(std::string)>()> answer_later;
    std::function<void()> end;                     // closes it when the answers are out
    std::function<void(const WgSet& set)> on_set;  // before a set is applied, whatever becomes of it
    std::function<bool()> exists;                  // false: the interface that was meant has gone
    bool tells_public_key = false;                 // its own, in the answer to a get
  };
  // The objects it refers to outlive it.
  WgConversation(const SecretSource& secrets, ChangeSink& changes, std::string interface,
                 Connection connection);

  void on_bytes(std::string_view& bytes) { act(reader_.feed(bytes)); }
  // The other side has closed its sending side; `gone`: both sides.
  void on_end(bool gone);
  [[nodiscard]] bool mid_request() const { return reader_.mid_request(); }

 private:
  void act(WgRequestReader::Kind kind);
  void set(WgSet&& wanted);
  void get();
  [[nodiscard]] bool exists() const { return !connection_.exists || connection_.exists(); }

  const SecretSource& secrets_;
  ChangeSink& changes_;
  const std::string interface_;
  const Connection connection_;
  WgRequestReader reader_;
};

}  // namespace wg::control
