#include "control/api/wg_socket.h"

#include <cerrno>
#include <utility>

namespace wg::control {
namespace {

constexpr std::size_t kChunk = 64 * 1024;

class WgClient final : public Stream {
 public:
  WgClient(EventLoop& loop, const SecretSource& secrets, ChangeSink& changes, const std::string& interface,
           const OnWgSet& on_set, int fd)
      : Stream(loop, fd, kChunk),
        secrets_(secrets),
        changes_(changes),
        interface_(interface),
        on_set_(on_set),
        caller_(caller_of(fd)) {}

 private:
  void on_bytes(std::string_view& bytes) override { act(reader_.feed(bytes)); }

  // By the protocol the end of input ends a set. After the death of the writer the set may be truncated, and
  // no client waits for the answer, so nothing is applied.
  bool on_end() override {
    if (other_end_gone()) return true;
    act(reader_.finish());
    return true;
  }

  bool mid_request() const override { return reader_.mid_request(); }

  void act(WgRequestReader::Kind kind) {
    using Kind = WgRequestReader::Kind;
    switch (kind) {
      case Kind::kNeedMore:
        return;
      case Kind::kGet:
        return get();
      case Kind::kSet:
        return set(reader_.take_set());
      case Kind::kRefused:
        return send(errno_answer(-reader_.refusal().code));
      case Kind::kFatal:
        send(errno_answer(-reader_.refusal().code));
        return close_after_output();
      case Kind::kClose:
        return close_after_output();
    }
  }

  void set(WgSet&& wanted) {
    if (on_set_) on_set_(caller_, wanted);
    const Expected<> applied = changes_.apply_wg_set(interface_, std::move(wanted));
    send(errno_answer(applied ? 0 : -applied.error().code));
  }

  void get() {
    auto device = secrets_.wg_get(interface_);
    if (!device) return send(errno_answer(ENODEV));  // wg accepts only digits in the answer to a get
    const auto writer = std::make_shared<WgGetWriter>(std::move(*device));
    send_from([writer](std::string& out, std::size_t target) { return writer->write(out, target); });
  }

  const SecretSource& secrets_;
  ChangeSink& changes_;
  const std::string& interface_;
  const OnWgSet& on_set_;
  const RpcCaller caller_;
  WgRequestReader reader_;
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
