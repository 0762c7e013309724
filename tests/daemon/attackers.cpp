#include "tests/daemon/attackers.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <stdexcept>

#include "tests/daemon/yaml.h"

namespace wg::test {

namespace {

using namespace std::chrono_literals;

std::string hex(const noise::Key& key) {
  constexpr const char* kDigits = "0123456789abcdef";
  std::string text;
  for (const std::uint8_t byte : key) text.append({kDigits[byte >> 4], kDigits[byte & 15]});
  return text;
}

std::vector<std::uint8_t> random_message(noise::Random& random, std::size_t size, std::uint8_t type) {
  std::vector<std::uint8_t> message(size);
  random.fill(message);
  message[0] = type;
  message[1] = message[2] = message[3] = 0;
  return message;
}

template <class Message>
std::vector<std::uint8_t> copy_of(const Message& message) {
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(&message);
  return {bytes, bytes + sizeof message};
}

// "host:port" or the path of a socket. -1: refused.
int connect_to(const std::string& address) {
  const auto colon = address.rfind(':');
  sockaddr_storage storage{};
  socklen_t size = 0;
  if (colon == std::string::npos) {
    auto& unix_address = reinterpret_cast<sockaddr_un&>(storage);
    unix_address.sun_family = AF_UNIX;
    address.copy(unix_address.sun_path, sizeof unix_address.sun_path - 1);
    size = sizeof unix_address;
  } else {
    auto& internet = reinterpret_cast<sockaddr_in&>(storage);
    internet.sin_family = AF_INET;
    internet.sin_port = htons(static_cast<std::uint16_t>(std::stoi(address.substr(colon + 1))));
    inet_pton(AF_INET, address.substr(0, colon).c_str(), &internet.sin_addr);
    size = sizeof internet;
  }
  const int fd = socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&storage), size) == 0) return fd;
  ::close(fd);
  return -1;
}

}  // namespace

Load::Messages messages_of_strangers(std::size_t of_each_kind, const noise::Key& gateway_private) {
  noise::SystemRandom random;
  const noise::PublicKey gateway = noise::derive_public(gateway_private);
  noise::CookieJar jar;
  jar.set_public_key(gateway);
  Load::Messages out;
  for (std::size_t i = 0; i < of_each_kind; ++i) {
    out.push_back(random_message(random, 200, 9));
    out.push_back(random_message(random, sizeof(noise::InitiationMessage), noise::kInitiation));
    noise::Key key;
    random.fill(key);
    const noise::Identity unknown = noise::make_identity(key);
    noise::PeerSecrets secrets;
    secrets.static_static_ok =
        noise::dh(&secrets.static_static, unknown.static_key.private_key.bytes, gateway);
    noise::Handshake handshake;
    noise::InitiationMessage initiation{};
    static_cast<void>(noise::create_initiation(unknown, {gateway, secrets},
                                               noise::tai64n_whitened(std::chrono::system_clock::now()), 1,
                                               random, &handshake, &initiation));
    out.push_back(copy_of(initiation));
    jar.add_macs(out.back(), BootClock::now());
    out.push_back(random_message(random, sizeof(noise::ResponseMessage), noise::kResponse));
    jar.add_macs(out.back(), BootClock::now());
  }
  return out;
}

// ---------------------------------------------------------------- readers

Readers::Readers(const std::vector<Kind>& kinds) : kinds_(kinds), answers_(kinds.size()) {
  for (std::size_t kind = 0; kind < kinds.size(); ++kind)
    for (unsigned i = 0; i < kinds[kind].greedy + kinds[kind].slow; ++i)
      connections_.push_back({kind, i >= kinds[kind].greedy, -1, {}});
  thread_ = std::thread([this] { run(); });
}

Readers::~Readers() {
  stop_ = true;
  thread_.join();
  for (Connection& connection : connections_) close(connection);
}

void Readers::run() {
  for (unsigned turn = 0; !stop_; ++turn) {
    std::vector<pollfd> ready;
    for (Connection& connection : connections_) {
      if (connection.fd < 0) open(connection);
      // A slow one reads every 64th time.
      const bool reads = !connection.slow || turn % 64 == 0;
      ready.push_back({connection.fd, static_cast<short>(reads ? POLLIN : 0), 0});
    }
    poll(ready.data(), ready.size(), 1);
    for (std::size_t i = 0; i < ready.size(); ++i)
      if ((ready[i].revents & (POLLIN | POLLHUP | POLLERR)) != 0) read(connections_[i]);
    std::this_thread::sleep_for(200us);  // the cores are few
  }
}

void Readers::open(Connection& connection) {
  connection.fd = connect_to(kinds_[connection.kind].address);
  connection.tail.clear();
  if (connection.fd >= 0) ask(connection);
}

void Readers::close(Connection& connection) {
  if (connection.fd >= 0) ::close(connection.fd);
  connection.fd = -1;
}

void Readers::ask(Connection& connection) {
  const std::string& request = kinds_[connection.kind].request;
  static_cast<void>(::send(connection.fd, request.data(), request.size(), MSG_NOSIGNAL | MSG_DONTWAIT));
}

void Readers::read(Connection& connection) {
  std::array<char, 65536> buffer;
  const auto got = recv(connection.fd, buffer.data(), connection.slow ? 4096 : buffer.size(), MSG_DONTWAIT);
  if (got < 0 && errno == EAGAIN) return;
  if (got > 0) return take(connection, {buffer.data(), static_cast<std::size_t>(got)});
  if (got == 0 && kinds_[connection.kind].end.empty()) answers_[connection.kind].fetch_add(1);
  close(connection);
}

void Readers::take(Connection& connection, std::string_view bytes) {
  bytes_.fetch_add(bytes.size());
  const std::string& end = kinds_[connection.kind].end;
  if (end.empty()) return;
  connection.tail.append(bytes);
  for (auto at = connection.tail.find(end); at != std::string::npos; at = connection.tail.find(end)) {
    connection.tail.erase(0, at + end.size());
    answers_[connection.kind].fetch_add(1);
    ask(connection);
  }
  if (connection.tail.size() > end.size()) connection.tail.erase(0, connection.tail.size() - end.size());
}

// ---------------------------------------------------------------- sets

std::string wg_set(const std::string& interface, const std::string& lines) {
  return end_wg(begin_wg_set(interface, lines));
}

std::string wg_get(const std::string& interface) {
  return end_wg(begin_wg(interface, "get=1\n\n"));
}

int begin_wg_set(const std::string& interface, const std::string& lines) {
  return begin_wg(interface, "set=1\n" + lines + "\n");
}

int begin_wg(const std::string& interface, const std::string& request) {
  const int fd = connect_to("/run/wireguard/" + interface + ".sock");
  if (fd < 0) throw std::runtime_error("no socket of " + interface);
  std::string_view rest = request;
  while (!rest.empty()) {
    const auto sent = ::send(fd, rest.data(), rest.size(), MSG_NOSIGNAL);
    if (sent <= 0) break;
    rest.remove_prefix(static_cast<std::size_t>(sent));
  }
  return fd;
}

std::string end_wg(int connection) {
  std::string answer;
  std::array<char, 65536> buffer;
  while (!answer.ends_with("\n\n")) {
    const auto got = recv(connection, buffer.data(), buffer.size(), 0);
    if (got <= 0) break;
    answer.append(buffer.data(), static_cast<std::size_t>(got));
  }
  ::close(connection);
  return answer;
}

std::string wg_peers(std::size_t from, std::size_t count, bool remove) {
  std::string lines;
  for (std::size_t i = from; i < from + count; ++i) {
    const std::uint64_t number = i + (std::uint64_t{1} << 40);  // not those of idle_public_key()
    lines += "public_key=" + hex(noise::hash({reinterpret_cast<const std::uint8_t*>(&number), 8})) + "\n";
    const auto address = 0x0b000000u + static_cast<std::uint32_t>(i);  // 11.0.0.0/8
    lines += remove ? std::string("remove=true\n") : "allowed_ip=" + dotted(address) + "/32\n";
  }
  return lines;
}

Setter::Setter(std::size_t peers) : thread_([this, peers] { run(peers); }) {}

Setter::~Setter() {
  stop();
}

void Setter::stop() {
  stop_ = true;
  if (thread_.joinable()) thread_.join();
}

void Setter::run(std::size_t peers) {
  for (bool remove = false; !stop_; remove = !remove) {
    const std::string answer = wg_set("wg0", wg_peers(0, peers, remove));
    if (answer != "errno=0\n\n" && refused_.empty())
      refused_ = "a set of " + std::to_string(peers) + ": " + answer;
    done_.fetch_add(1);
  }
}

}  // namespace wg::test
