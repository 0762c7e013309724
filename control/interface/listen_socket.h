// The UDP sockets of an interface in the kernel, one per family, on its listen port.
//
// W: Interface (port, mark), EngineHost and WorkerEvents (send). Control thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <utility>

#include "control/kernel/udp_socket.h"
#include "control/loop/event_loop.h"
#include "dataplane/base/expected.h"

namespace wg::control {

class ListenSocket {
 public:
  ListenSocket(EventLoop& loop, UdpPort port, std::uint32_t fwmark)
      : loop_(loop), configured_port_(port), fwmark_(fwmark) {}

  // Is given every datagram from here on.
  void on_datagram(std::function<void(const ReceivedDatagram&)> take) { take_ = std::move(take); }

  // The port in use; while closed, the configured one.
  [[nodiscard]] UdpPort port() const { return socket_.is_open() ? socket_.port() : configured_port_; }
  [[nodiscard]] std::uint32_t fwmark() const { return fwmark_; }

  Expected<> open();
  void close();
  // Opens the new port before it closes the old one: a taken port changes nothing. The port that is
  // configured already changes nothing either: 0 keeps the port that was drawn. False: the port in use is
  // the same as before.
  Expected<bool> set_port(UdpPort port);
  Expected<> set_fwmark(std::uint32_t fwmark);
  SendResult send(const Datagram& datagram) { return socket_.send(datagram); }

 private:
  Expected<> open_on(UdpSocket& socket, UdpPort port) const;
  Expected<> watch(const UdpSocket& socket);
  void unwatch(const UdpSocket& socket);

  EventLoop& loop_;
  std::function<void(const ReceivedDatagram&)> take_;
  UdpPort configured_port_;
  std::uint32_t fwmark_;
  UdpSocket socket_;
};

}  // namespace wg::control
