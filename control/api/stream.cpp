#include "control/api/stream.h"

#include <poll.h>
#include <sodium.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

namespace wg::control {
namespace {

// Slack above the chunk: a source that overshoots must not reallocate out_, which would leave a copy in
// memory.
constexpr std::size_t kSlack = 4096;
constexpr int kChunksPerTurn = 4;

void wipe(std::string& text) {
  sodium_memzero(text.data(), text.size());
  text.clear();
}

}  // namespace

Descriptors::~Descriptors() {
  for (const int fd : fds_) ::close(fd);
}

Stream::Stream(EventLoop& loop, int fd, std::size_t chunk) : loop_(loop), fd_(fd), chunk_(chunk) {}

Stream::~Stream() {
  on_closed = nullptr;
  close();
}

Expected<> Stream::start() {
  const std::weak_ptr<Stream> self = weak_from_this();
  watched_ = EPOLLIN;
  return loop_.add(fd_, watched_, [self](std::uint32_t events) {
    const auto stream = self.lock();
    if (!stream) return;
    try {
      stream->on_events(events);
    } catch (...) {
      stream->close();  // the other side must not wait for an answer
      throw;
    }
  });
}

void Stream::close() {
  if (fd_ < 0) return;
  loop_.remove(fd_);
  ::close(fd_);
  fd_ = -1;
  drop_output();
  wipe(held_);
  if (on_closed) on_closed();
}

void Stream::drop_output() {
  wipe(out_);
  sent_ = 0;
  out_descriptors_.reset();
  for (auto& item : queue_)
    if (auto* text = std::get_if<std::string>(&item)) wipe(*text);
  queue_.clear();
  queued_bytes_ = 0;
}

void Stream::send(std::string text) {
  if (closed()) return;
  queued_bytes_ += text.size();
  queue_.emplace_back(std::move(text));
  flush();
}

void Stream::send_with(std::string text, std::unique_ptr<Descriptors> descriptors) {
  if (closed()) return;
  queued_bytes_ += text.size();
  queue_.emplace_back(Parcel{std::move(text), std::move(descriptors)});
  flush();
}

void Stream::send_from(Source source) {
  if (closed()) return;
  queue_.emplace_back(std::move(source));
  flush();
}

void Stream::close_after_output() {
  ending_ = true;
  flush();
}

void Stream::on_events(std::uint32_t events) {
  if ((events & EPOLLERR) != 0) return close();
  if ((events & EPOLLOUT) != 0) flush();
  if (closed() || (events & (EPOLLIN | EPOLLHUP)) == 0) return;
  if ((watched_ & EPOLLIN) != 0) return receive();
  // A hang-up while we only wait to write, or for an answer, means that no client will read it. A request
  // that has arrived is carried out all the same.
  if (held_.empty() || output_pending() || paused_) close();
}

void Stream::receive() {
  std::vector<char> buffer(chunk_);
  const auto got = recv(fd_, buffer.data(), buffer.size(), 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got < 0) return close();
  last_progress_ = Clock::now();
  note_idle(last_progress_);
  if (got == 0) {
    ended_ = true;
    return on_end() ? close_after_output() : watch();
  }
  held_.assign(buffer.data(), static_cast<std::size_t>(got));  // it was empty: input was watched
  sodium_memzero(buffer.data(), static_cast<std::size_t>(got));
  ask_for_turn();
}

bool Stream::other_end_gone() const {
  pollfd end{fd_, 0, 0};
  return poll(&end, 1, 0) > 0 && (end.revents & (POLLHUP | POLLERR)) != 0;
}

void Stream::ask_for_turn() {
  if (!std::exchange(turn_asked_, true))
    loop_.in_turns([self = weak_from_this()] {
      const auto stream = self.lock();
      if (!stream || stream->closed()) return false;
      try {
        return stream->take_turn();
      } catch (...) {
        stream->close();  // the other side must not wait for an answer
        throw;
      }
    });
  watch();
}

// True: another one in the next round.
bool Stream::take_turn() {
  last_progress_ = Clock::now();  // it was we who kept the other end waiting
  if (source_is_next() && ask_source()) return true;
  turn_asked_ = false;
  if (output_pending() || ending_) {
    flush();
  } else if (!held_.empty() && !paused_) {
    deliver_held();
  } else {
    watch();
  }
  return false;
}

void Stream::deliver_held() {
  std::string held = std::move(held_);
  held_.clear();
  std::string_view bytes = held;
  delivering_ = true;
  on_bytes(bytes);
  delivering_ = false;
  if (!closed() && !ending_) held_.assign(bytes);
  wipe(held);
  if (closed()) return;
  if (!held_.empty() && !output_pending() && !paused_) return ask_for_turn();
  watch();
}

std::function<void(std::string)> Stream::answer_later() {
  paused_ = true;
  return [self = weak_from_this()](std::string answer) {
    const auto stream = self.lock();
    if (stream && !stream->closed()) stream->resume(std::move(answer));
  };
}

void Stream::resume(std::string answer) {
  paused_ = false;
  last_progress_ = busy_since_ = Clock::now();
  send(std::move(answer));
}

bool Stream::source_is_next() const {
  return sent_ == out_.size() && !queue_.empty() && std::holds_alternative<Source>(queue_.front());
}

bool Stream::refill() {
  wipe(out_);
  sent_ = 0;
  if (queue_.empty()) return false;
  if (auto* text = std::get_if<std::string>(&queue_.front())) {
    out_ = std::move(*text);
  } else if (auto* parcel = std::get_if<Parcel>(&queue_.front())) {
    out_ = std::move(parcel->text);
    out_descriptors_ = std::move(parcel->descriptors);
  } else {
    return false;  // a source, which has its turn later
  }
  queued_bytes_ -= out_.size();
  queue_.pop_front();
  return true;
}

// True: it has more, but nothing yet.
bool Stream::ask_source() {
  wipe(out_);
  sent_ = 0;
  out_.reserve(chunk_ + kSlack);
  const Source source = std::get<Source>(queue_.front());  // it may close the stream, and with it the queue
  const bool more = source(out_, chunk_);
  if (closed()) return false;
  if (!more) queue_.pop_front();
  return more && out_.empty();
}

ssize_t Stream::send_some() {
  constexpr int kFlags = MSG_NOSIGNAL | MSG_DONTWAIT;
  iovec piece{out_.data() + sent_, out_.size() - sent_};
  if (!out_descriptors_) return ::send(fd_, piece.iov_base, piece.iov_len, kFlags);
  const std::vector<int>& fds = out_descriptors_->all();
  std::vector<char> control(CMSG_SPACE(fds.size() * sizeof(int)));
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  cmsghdr* const rights = CMSG_FIRSTHDR(&message);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
  std::memcpy(CMSG_DATA(rights), fds.data(), fds.size() * sizeof(int));
  const ssize_t sent = ::sendmsg(fd_, &message, kFlags);
  if (sent > 0) out_descriptors_.reset();
  return sent;
}

void Stream::flush() {
  if (closed() || flushing_) return;
  flushing_ = true;
  bool blocked = false;
  for (int turn = 0; turn < kChunksPerTurn && !blocked;) {
    if (sent_ == out_.size() && !refill()) break;
    const auto sent = send_some();
    if (sent < 0 && errno != EAGAIN && errno != EINTR) {
      flushing_ = false;
      return close();
    }
    blocked = sent < 0;
    if (sent > 0) {
      sent_ += static_cast<std::size_t>(sent);
      last_progress_ = Clock::now();
    }
    if (sent_ == out_.size()) ++turn;
  }
  flushing_ = false;
  if (source_is_next()) return ask_for_turn();
  if (!output_pending() && ending_ && !paused_) return close();
  if (!output_pending() && !held_.empty() && !delivering_ && !paused_) return ask_for_turn();
  watch();
}

void Stream::watch() {
  if (closed() || delivering_) return;
  const bool waits = turn_asked_ || paused_;
  const std::uint32_t input = ended_ || waits ? 0U : std::uint32_t{EPOLLIN};
  const bool unsent = output_pending() && !source_is_next();
  const std::uint32_t wanted = unsent ? std::uint32_t{EPOLLOUT} : input;
  if (wanted == watched_) return;
  watched_ = wanted;
  if (!loop_.modify(fd_, wanted)) close();  // no event would read or write it any more
}

// ---------------------------------------------------------------- the set

StreamSet::~StreamSet() {
  loop_.cancel(sweeper_);
  for (auto& [key, stream] : streams_) {
    stream->on_closed = nullptr;
    stream->close();
  }
}

bool StreamSet::admit(std::shared_ptr<Stream> stream) {
  if (streams_.size() >= limits_.streams && !make_room()) return false;
  Stream* key = stream.get();
  if (!stream->start()) return false;
  stream->on_closed = [this, key] { streams_.erase(key); };
  streams_.emplace(key, std::move(stream));
  if (sweeper_ == 0) sweeper_ = loop_.every(limits_.idle_timeout / 4, [this] { sweep(); });
  return true;
}

bool StreamSet::make_room() {
  std::shared_ptr<Stream> oldest;
  for (const auto& [key, stream] : streams_)
    if (stream->evictable() && (!oldest || stream->last_progress() < oldest->last_progress()))
      oldest = stream;
  if (oldest) oldest->close();
  return oldest != nullptr;
}

void StreamSet::sweep() {
  const auto now = Stream::Clock::now();
  std::vector<std::shared_ptr<Stream>> hanging;
  for (const auto& [key, stream] : streams_) {
    stream->note_idle(now);
    const bool stands = stream->last_progress() < now - limits_.idle_timeout;
    const bool drags = stream->bounded() && stream->busy_since() < now - limits_.request_timeout;
    if (!stream->idle() && !stream->paused() && (stands || drags)) hanging.push_back(stream);
  }
  for (const auto& stream : hanging) stream->close();
  if (streams_.empty()) {
    loop_.cancel(sweeper_);
    sweeper_ = 0;
  }
}

}  // namespace wg::control
