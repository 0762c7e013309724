#include "control/api/wg_socket.h"

#include <utility>

#include "control/api/wg_conversation.h"

namespace wg::control {
namespace {

constexpr std::size_t kChunk = 64 * 1024;

class WgClient final : public Stream {
 public:
  WgClient(EventLoop& loop, const SecretSource& secrets, ChangeSink& changes, const std::string& interface,
           const OnWgSet& on_set, int fd)
      : Stream(loop, fd, kChunk),
        on_set_(on_set),
        caller_(caller_of(fd)),
        conversation_(secrets, changes, interface, connection()) {}

 private:
  void on_bytes(std::string_view& bytes) override { conversation_.on_bytes(bytes); }
  bool on_end() override {
    conversation_.on_end(other_end_gone());
    return true;
  }
  bool mid_request() const override { return conversation_.mid_request(); }

  WgConversation::Connection connection() {
    return {.send = [this](std::string text) { send(std::move(text)); },
            .send_from = [this](Source source) { send_from(std::move(source)); },
            .answer_later = [this] { return answer_later(); },
            .end = [this] { close_after_output(); },
            .on_set =
                [this](const WgSet& set) {
                  if (on_set_) on_set_(caller_, set);
                },
            .exists = {},
            .tells_public_key = false};
  }

  const OnWgSet& on_set_;
  const RpcCaller caller_;
  WgConversation conversation_;
};

}  // namespace

WgSocket::WgSocket(EventLoop& loop, const SecretSource& secrets, ChangeSink& changes, std::string interface,
                   const std::string& directory, StreamLimits limits, OnWgSet on_set)
    : loop_(loop),
      secrets_(secrets),
      changes_(changes),
      interface_(std::move(interface)),
      on_set_(std::move(on_set)),
      listener_(directory + "/" + interface_ + ".sock", 0700),
      clients_(loop, limits) {
  listener_.serve(loop_, [this](int fd) { adopt(fd); });
}

void WgSocket::adopt(int fd) {
  clients_.admit(std::make_shared<WgClient>(loop_, secrets_, changes_, interface_, on_set_, fd));
}

}  // namespace wg::control
