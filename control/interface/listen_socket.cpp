#include "control/interface/listen_socket.h"

#include <sys/epoll.h>

#include <cstddef>

namespace wg::control {

namespace {

constexpr std::size_t kDatagramsPerIteration = 256;

}  // namespace

Expected<> ListenSocket::open_on(UdpSocket& socket, UdpPort port) const {
  UdpSocketOptions options;
  options.port = port;
  options.fwmark = fwmark_;
  return socket.open(options);
}

Expected<> ListenSocket::open() {
  if (Expected<> opened = open_on(socket_, configured_port_); !opened) return opened;
  Expected<> watched = watch(socket_);
  if (!watched) socket_.close();
  return watched;
}

void ListenSocket::close() {
  unwatch(socket_);
  socket_.close();
}

// `socket` is socket_, or will be it by the time a datagram is read. When it is refused nothing is watched.
Expected<> ListenSocket::watch(const UdpSocket& socket) {
  for (const bool v6 : {false, true}) {
    if (socket.fd(v6) < 0) continue;
    Expected<> added = loop_.add(socket.fd(v6), EPOLLIN, [this, v6](std::uint32_t) {
      socket_.receive(v6, kDatagramsPerIteration, take_);
    });
    if (added) continue;
    unwatch(socket);
    return added;
  }
  return {};
}

void ListenSocket::unwatch(const UdpSocket& socket) {
  for (const bool v6 : {false, true}) {
    if (socket.fd(v6) >= 0) loop_.remove(socket.fd(v6));
  }
}

Expected<bool> ListenSocket::set_port(UdpPort port) {
  if (port == configured_port_) return false;
  if (!socket_.is_open() || (port != kAnyPort && port == socket_.port())) {
    configured_port_ = port;
    return false;
  }
  UdpSocket next;
  if (Expected<> opened = open_on(next, port); !opened) return opened.error();
  if (Expected<> watched = watch(next); !watched) return watched.error();
  unwatch(socket_);
  socket_ = std::move(next);
  configured_port_ = port;
  return true;
}

Expected<> ListenSocket::set_fwmark(std::uint32_t fwmark) {
  if (socket_.is_open()) {
    if (Expected<> set = socket_.set_fwmark(fwmark); !set) return set;
  }
  fwmark_ = fwmark;
  return {};
}

}  // namespace wg::control
