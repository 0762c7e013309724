// Attackers that keep the control thread busy: unknown hosts on the wire, readers of every socket, and an
// administrator's program that never stops changing peers.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "tests/daemon/load.h"

namespace wg::test {

// Junk, initiations with a wrong mac1, initiations of keys that are not configured, and forged responses; the
// last two with a mac1 that is right.
Load::Messages messages_of_strangers(std::size_t of_each_kind, const noise::Key& gateway_private);

// Connections that ask again and again, on one thread. A greedy one takes the answers as fast as they come,
// a slow one some kilobytes a second.
class Readers {
 public:
  struct Kind {
    std::string address;  // path of a socket, or "host:port"
    std::string request;
    std::string end;  // what an answer ends with; empty: with the connection
    unsigned greedy = 0, slow = 0;
  };
  explicit Readers(const std::vector<Kind>& kinds);
  ~Readers();
  Readers(const Readers&) = delete;
  Readers& operator=(const Readers&) = delete;

  // Whole answers of the kind so far.
  [[nodiscard]] std::uint64_t answers(std::size_t kind) const { return answers_[kind].load(); }
  [[nodiscard]] std::uint64_t bytes() const { return bytes_.load(); }

 private:
  struct Connection {
    std::size_t kind = 0;
    bool slow = false;
    int fd = -1;
    std::string tail;  // of what was read
  };
  void run();
  void open(Connection& connection);
  void close(Connection& connection);
  void read(Connection& connection);
  void take(Connection& connection, std::string_view bytes);
  void ask(Connection& connection);

  const std::vector<Kind> kinds_;
  std::vector<Connection> connections_;
  std::vector<std::atomic<std::uint64_t>> answers_;
  std::atomic<std::uint64_t> bytes_{0};
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

// Adds and removes peers of wg0 by wg(8)'s socket, so many at a time.
class Setter {
 public:
  explicit Setter(std::size_t peers);
  ~Setter();
  Setter(const Setter&) = delete;
  Setter& operator=(const Setter&) = delete;

  [[nodiscard]] std::uint64_t done() const { return done_.load(); }
  // The first answer that was not errno=0; empty: none.
  [[nodiscard]] const std::string& refused() const { return refused_; }
  // Ends after the set at hand.
  void stop();

 private:
  void run(std::size_t peers);

  std::atomic<std::uint64_t> done_{0};
  std::atomic<bool> stop_{false};
  std::string refused_;  // W: the thread. R: after stop()
  std::thread thread_;
};

// One set over wg(8)'s socket of `interface`; what the gateway answers.
std::string wg_set(const std::string& interface, const std::string& lines);
// The same, or any other request, in two parts. The first returns the connection, which the second closes.
int begin_wg_set(const std::string& interface, const std::string& lines);
int begin_wg(const std::string& interface, const std::string& request);
std::string end_wg(int connection);
// What wg(8) reads of an interface.
std::string wg_get(const std::string& interface);
// The lines that add peers number `from` to `from` + `count` - 1, or remove them.
std::string wg_peers(std::size_t from, std::size_t count, bool remove);

}  // namespace wg::test
