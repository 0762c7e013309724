#include "control/api/wg_conversation.h"

#include <cerrno>
#include <memory>
#include <utility>

namespace wg::control {

WgConversation::WgConversation(const SecretSource& secrets, ChangeSink& changes, std::string interface,
                               Connection connection)
    : secrets_(secrets),
      changes_(changes),
      interface_(std::move(interface)),
      connection_(std::move(connection)) {}

// In the protocol the end of input ends a set. After the death of the writer the set may be truncated, and
// no client waits for the answer, so nothing is applied.
void WgConversation::on_end(bool gone) {
  if (!gone) act(reader_.finish());
}

void WgConversation::act(WgRequestReader::Kind kind) {
  using Kind = WgRequestReader::Kind;
  switch (kind) {
    case Kind::kNeedMore:
      return;
    case Kind::kGet:
      return get();
    case Kind::kSet:
      return set(reader_.take_set());
    case Kind::kRefused:
      return connection_.send(errno_answer(-reader_.refusal().code));
    case Kind::kFatal:
      connection_.send(errno_answer(-reader_.refusal().code));
      return connection_.end();
    case Kind::kClose:
      return connection_.end();
  }
}

void WgConversation::set(WgSet&& wanted) {
  if (!exists()) return connection_.send(errno_answer(-ENODEV));
  if (connection_.on_set) connection_.on_set(wanted);
  changes_.apply_wg_set(interface_, std::move(wanted),
                        [answer = connection_.answer_later()](const Expected<>& applied) {
                          answer(errno_answer(applied ? 0 : -applied.error().code));
                        });
}

void WgConversation::get() {
  auto device = exists() ? secrets_.wg_get(interface_) : std::nullopt;
  if (!device) return connection_.send(errno_answer(ENODEV));  // wg accepts only digits in the answer
  const auto& key = device->private_key;
  if (connection_.tells_public_key && key && !key->is_zero())
    device->own_public_key = config::public_key_of(*key);
  const auto writer = std::make_shared<WgGetWriter>(
      std::move(*device),
      [&secrets = secrets_, interface = interface_, at = PeerCursor()](auto& peers) mutable {
        return secrets.wg_peers(interface, at, EventLoop::Clock::now() + EventLoop::kStep,
                                [&peers](WgPeer&& peer) { peers.push_back(std::move(peer)); });
      });
  connection_.send_from(
      [writer](std::string& out, std::size_t target) { return writer->write(out, target); });
}

}  // namespace wg::control
