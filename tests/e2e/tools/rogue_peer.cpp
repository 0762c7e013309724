// A peer that misbehaves, seen from the wire alone: sends what no honest one would and watches what comes
// back. After each attack the session must still answer an ICMP echo (or not, where that is the point).
//
//   rogue_peer begin   OWN_PRIVATE_KEY GATEWAY_PUBLIC_KEY
//     as the initiator, inside 10.10.0.9, from 10.20.0.2:41000
//
//   rogue_peer answer  OWN_PRIVATE_KEY GATEWAY_PUBLIC_KEY
//     as the responder at 10.20.0.2:41010, which the gateway calls
//
// The gateway is 10.20.0.1:51820 and 10.10.0.1. One line per attack; exit code 1 when one of them worked.
#include <arpa/inet.h>
#include <poll.h>
#include <sodium.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstring>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "control/noise/cookie.h"
#include "control/noise/noise.h"

namespace {

using namespace wg::noise;
using namespace std::chrono_literals;
using Message = std::vector<std::uint8_t>;

constexpr int kSilence = 250;  // milliseconds in which an answer would have come
constexpr int kPatience = 3000;

int failures = 0;
void judge(const char* what, bool good) {
  std::printf("%s %s\n", good ? "ok" : "FAILED", what);
  std::fflush(stdout);
  failures += good ? 0 : 1;
}

wg::WallTime wall_now() {
  return std::chrono::system_clock::now();
}
void sleep_ms(unsigned ms) {
  usleep(ms * 1000);
}

class Socket {
 public:
  explicit Socket(std::uint16_t port) : fd_(socket(AF_INET, SOCK_DGRAM, 0)) {
    use(address("10.20.0.2", port), address("10.20.0.1", 51820));
  }
  // IPv6, of the kernel's choice of port.
  Socket() : fd_(socket(AF_INET6, SOCK_DGRAM, 0)) { use(address6("fd20::2", 0), address6("fd20::1", 51820)); }
  ~Socket() { close(fd_); }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  void send(const Message& m) const { static_cast<void>(::send(fd_, m.data(), m.size(), 0)); }
  // The next datagram from the gateway; empty when none comes in time.
  [[nodiscard]] Message receive(int ms) const {
    pollfd ready{fd_, POLLIN, 0};
    if (poll(&ready, 1, ms) != 1) return {};
    Message m(2048);
    const ssize_t n = recv(fd_, m.data(), m.size(), 0);
    m.resize(n < 0 ? 0 : static_cast<std::size_t>(n));
    return m;
  }
  void drain() const {
    while (!receive(1).empty()) {
    }
  }

 private:
  static sockaddr_in address(const char* host, std::uint16_t port) {
    sockaddr_in a{};
    a.sin_family = AF_INET;
    a.sin_port = htons(port);
    inet_pton(AF_INET, host, &a.sin_addr);
    return a;
  }
  static sockaddr_in6 address6(const char* host, std::uint16_t port) {
    sockaddr_in6 a{};
    a.sin6_family = AF_INET6;
    a.sin6_port = htons(port);
    inet_pton(AF_INET6, host, &a.sin6_addr);
    return a;
  }
  template <typename Address>
  void use(const Address& own, const Address& gateway) {
    if (bind(fd_, reinterpret_cast<const sockaddr*>(&own), sizeof own) != 0 ||
        connect(fd_, reinterpret_cast<const sockaddr*>(&gateway), sizeof gateway) != 0)
      throw std::runtime_error(std::string("socket: ") + std::strerror(errno));
  }
  int fd_;
};

struct Session {
  SessionKeys keys;
  std::uint32_t local_index = 0;
  std::uint64_t counter = 0;
};

Message sealed(const Session& s, std::uint64_t counter, const Message& plain) {
  Message m(16 + plain.size() + 16);
  m[0] = kTransportData;
  std::memcpy(m.data() + 4, &s.keys.remote_index, 4);
  std::memcpy(m.data() + 8, &counter, 8);
  std::uint8_t nonce[12] = {};
  std::memcpy(nonce + 4, &counter, 8);
  crypto_aead_chacha20poly1305_ietf_encrypt(m.data() + 16, nullptr, plain.data(), plain.size(), nullptr, 0,
                                            nullptr, nonce, s.keys.sending.bytes.data());
  return m;
}

std::optional<Message> opened(const Session& s, const Message& m) {
  if (m.size() < 32 || m[0] != kTransportData || std::memcmp(m.data() + 4, &s.local_index, 4) != 0)
    return std::nullopt;
  std::uint8_t nonce[12] = {};
  std::memcpy(nonce + 4, m.data() + 8, 8);
  Message plain(m.size() - 32);
  if (crypto_aead_chacha20poly1305_ietf_decrypt(plain.data(), nullptr, nullptr, m.data() + 16, m.size() - 16,
                                                nullptr, 0, nonce, s.keys.receiving.bytes.data()) != 0)
    return std::nullopt;
  return plain;
}

std::uint16_t checksum(const std::uint8_t* bytes, std::size_t n) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < n; ++i)
    sum += i % 2 == 0 ? static_cast<std::uint32_t>(bytes[i]) << 8 : bytes[i];
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(~sum);
}

// IPv4, ICMP echo request to 10.10.0.1 with `tail` bytes of data.
Message echo(std::uint16_t sequence, const char* from = "10.10.0.9", std::size_t tail = 4) {
  Message p(28 + tail);
  p[0] = 0x45;
  p[3] = static_cast<std::uint8_t>(p.size());
  p[8] = 64;
  p[9] = 1;
  inet_pton(AF_INET, from, p.data() + 12);
  inet_pton(AF_INET, "10.10.0.1", p.data() + 16);
  const std::uint16_t header = checksum(p.data(), 20);
  p[10] = static_cast<std::uint8_t>(header >> 8);
  p[11] = static_cast<std::uint8_t>(header);
  p[20] = 8;
  p[26] = static_cast<std::uint8_t>(sequence >> 8);
  p[27] = static_cast<std::uint8_t>(sequence);
  const std::uint16_t icmp = checksum(p.data() + 20, p.size() - 20);
  p[22] = static_cast<std::uint8_t>(icmp >> 8);
  p[23] = static_cast<std::uint8_t>(icmp);
  return p;
}

// A datagram to the gateway whose source is made up; no UDP checksum.
void send_from(const char* host, std::uint16_t port, const Message& m) {
  Message p(28 + m.size());
  p[0] = 0x45;
  p[8] = 64;
  p[9] = 17;
  inet_pton(AF_INET, host, p.data() + 12);
  inet_pton(AF_INET, "10.20.0.1", p.data() + 16);
  const std::uint16_t ports[] = {htons(port), htons(51820), htons(static_cast<std::uint16_t>(8 + m.size()))};
  std::memcpy(p.data() + 20, ports, sizeof ports);
  std::copy(m.begin(), m.end(), p.begin() + 28);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  std::memcpy(&to.sin_addr, p.data() + 16, 4);
  const int fd = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
  if (fd < 0 || sendto(fd, p.data(), p.size(), 0, reinterpret_cast<const sockaddr*>(&to), sizeof to) < 0)
    throw std::runtime_error(std::string("raw socket: ") + std::strerror(errno));
  close(fd);
}

class RoguePeer {
 public:
  RoguePeer(const Key& own, const PublicKey& gateway, std::uint16_t port)
      : home_(port), me_(make_identity(own)), gateway_(gateway) {
    secrets_.static_static_ok = dh(&secrets_.static_static, me_.static_key.private_key.bytes, gateway_);
    jar_.set_public_key(gateway_);
  }
  void begin();
  void answer();

 private:
  Message initiation(wg::WallTime wall, std::uint32_t index) {
    InitiationMessage m;
    if (create_initiation(me_, {gateway_, secrets_}, tai64n_whitened(wall), index, random_, &handshake_,
                          &m) != Verdict::kOk)
      throw std::runtime_error("our own keys are bad");
    return with_macs({bytes_of(m).begin(), bytes_of(m).end()});
  }
  Message with_macs(Message m) {
    jar_.add_macs(m, wg::BootClock::now());
    return m;
  }
  // Initiation, response; the session is not confirmed yet.
  std::optional<Session> shake_hands(std::uint32_t index = 77) {
    sleep_ms(50);  // the gateway takes one per 20 ms, and our stamps have 16 ms of grain
    home_.drain();
    home_.send(initiation(wall_now(), index));
    return consume(home_.receive(kPatience), index);
  }
  std::optional<Session> consume(const Message& m, std::uint32_t index) {
    if (m.size() != sizeof(ResponseMessage) || m[0] != kResponse) return std::nullopt;
    Session s;
    s.local_index = index;
    if (consume_response(me_, {gateway_, secrets_}, handshake_, message_as<ResponseMessage>(m), &s.keys) !=
        Verdict::kOk)
      return std::nullopt;
    return s;
  }
  bool silent(int ms = kSilence) { return home_.receive(ms).empty(); }
  bool silent_to(const Message& m) {
    home_.drain();
    home_.send(m);
    return silent();
  }
  // An echo in any wrapping is answered on `answered_on`.
  bool echoes(const Socket& at, const Message& m, const Session& answered_on) {
    at.drain();
    at.send(m);
    for (int i = 0; i < 5; ++i) {
      const auto plain = opened(answered_on, at.receive(kPatience));
      if (plain && plain->size() >= 28 && (*plain)[9] == 1 && (*plain)[20] == 0) return true;
    }
    return false;
  }
  bool works(Session& s) { return echoes(home_, sealed(s, s.counter++, echo(++sequence_)), s); }

  void bad_initiations();
  void bad_data(Session& s);
  void huge_data();
  void bad_inside(Session& s);
  void bad_sessions(Session& s);
  Message response_to(const Message& initiation, bool low_order, Session* session);

  Socket home_;
  Identity me_;
  PublicKey gateway_;
  PeerSecrets secrets_;
  CookieJar jar_;
  Handshake handshake_;
  SystemRandom random_;
  std::uint16_t sequence_ = 0;
};

void RoguePeer::bad_initiations() {
  for (std::size_t i = 1; i < 4; ++i) {
    Message m = initiation(wall_now(), 5);
    m[i] = 1;
    judge("a reserved byte in an initiation: silence", silent_to(with_macs(m)));
  }
  for (const std::size_t length : {147u, 149u, 92u, 64u, 3u, 0u}) {
    Message m = initiation(wall_now(), 5);
    m.resize(length);
    judge("an initiation of another length: silence", silent_to(m));
  }
  Message m = initiation(wall_now(), 5);
  m[120] ^= 1;
  judge("a wrong mac1: silence", silent_to(m));
  for (const int low : {0, 1}) {
    m = initiation(wall_now(), 5);
    std::fill_n(m.begin() + 8, 32, std::uint8_t{0});
    m[8] = static_cast<std::uint8_t>(low);
    judge("a low-order ephemeral: silence", silent_to(with_macs(m)));
  }
  m = initiation(wall_now(), 5);
  m[50] ^= 1;
  judge("another's static key: silence", silent_to(with_macs(m)));
  Message answer(sizeof(ResponseMessage), 7);
  std::copy_n(header_of(kResponse).type.begin(), 4, answer.begin());
  judge("a response to nothing: silence", silent_to(with_macs(answer)));
  Message cookie(sizeof(CookieReplyMessage), 7);
  std::copy_n(header_of(kCookieReply).type.begin(), 4, cookie.begin());
  judge("a cookie reply to nothing: silence", silent_to(cookie));
}

void RoguePeer::bad_data(Session& s) {
  for (std::size_t i = 1; i < 4; ++i) {
    Message m = sealed(s, s.counter + 1000, echo(++sequence_));
    m[i] = 0x80;
    judge("a reserved byte in data: silence", silent_to(m));
  }
  Message m = sealed(s, s.counter, echo(++sequence_));
  m.back() ^= 1;
  judge("a bad tag: silence", silent_to(m));
  m.back() ^= 1;
  judge("its counter is not used up", echoes(home_, m, s));
  judge("the same again: silence", silent_to(m));
  ++s.counter;
  Session stray = s;
  stray.keys.remote_index ^= 1;
  judge("an unknown index: silence", silent_to(sealed(stray, s.counter++, echo(++sequence_))));
  judge("counter 2^64 - 1: silence", silent_to(sealed(s, ~0ull, echo(++sequence_))));
  judge("counter at REJECT_AFTER_MESSAGES: silence",
        silent_to(sealed(s, wg::REJECT_AFTER_MESSAGES, echo(++sequence_))));
  const Message late = sealed(s, s.counter, echo(++sequence_));
  s.counter += 8000;
  judge("8000 counters later", works(s));
  judge("one from within the window", echoes(home_, late, s));
  s.counter += 200;
  judge("200 more", works(s));
  judge("one from before the window: silence", silent_to(sealed(s, 3, echo(++sequence_))));
  s.counter += 1ull << 40;
  judge("2^40 later", works(s));
  for (std::size_t length = 16; length < 32; ++length) {
    m = sealed(s, s.counter++, {});
    m.resize(length);
    home_.send(m);
  }
  judge("data shorter than a keepalive: silence", silent());
  huge_data();
}

// What comes in fragments is reassembled by Linux and comes from the gateway's own socket. The last few
// lengths overflow 16 bits with the headers in front.
void RoguePeer::huge_data() {
  const Socket v6;
  for (const std::size_t length : {2000u, 9000u, 60'000u, 65'473u, 65'474u, 65'493u, 65'494u, 65'507u}) {
    Message huge(length, 0xff);
    std::copy_n("\4\0\0", 4, huge.begin());
    for (int i = 0; i < 3; ++i) {
      v6.send(huge);
      sleep_ms(100);  // 45 fragments at once are many for a small ring
    }
    judge("a huge datagram: silence", silent_to(huge) && v6.receive(1).empty());
  }
  // Through every packet buffer the control thread has: one that a huge datagram has written over is used
  // now.
  Message reassembled(1700);
  reassembled[0] = kTransportData;
  for (int i = 0; i < 3000; ++i) {
    v6.send(reassembled);
    if (i % 50 == 0) sleep_ms(2);
  }
  judge("3000 in two fragments: silence", silent());
}

void RoguePeer::bad_inside(Session& s) {
  judge("a keepalive is not answered", silent_to(sealed(s, s.counter++, {})));
  for (const std::size_t size : {1u, 15u, 16u, 20u})
    judge("zeros inside: silence", silent_to(sealed(s, s.counter++, Message(size))));
  judge("another's address inside: silence",
        silent_to(sealed(s, s.counter++, echo(++sequence_, "10.10.0.2"))));
  judge("the gateway's own address inside: silence",
        silent_to(sealed(s, s.counter++, echo(++sequence_, "10.10.0.1"))));
  Message m = echo(++sequence_);
  m[0] = 0x44;
  judge("a header of 16 bytes: silence", silent_to(sealed(s, s.counter++, m)));
  m = echo(++sequence_);
  m[0] = 0x4f;
  judge("a header longer than the packet: silence", silent_to(sealed(s, s.counter++, m)));
  m = echo(++sequence_);
  m[2] = 0x10;
  judge("a packet longer than the message: silence", silent_to(sealed(s, s.counter++, m)));
  m = echo(++sequence_);
  m[3] = 19;
  judge("a packet shorter than its header: silence", silent_to(sealed(s, s.counter++, m)));
  m = echo(++sequence_, "10.10.0.9", 1);
  judge("29 bytes, not padded at all", echoes(home_, sealed(s, s.counter++, m), s));
  m.resize(300, 0xee);
  judge("271 bytes of padding, not zero", echoes(home_, sealed(s, s.counter++, m), s));
}

void RoguePeer::bad_sessions(Session& s) {
  // Roaming: an authentic packet from elsewhere moves us, one with a bad tag does not.
  {
    const Socket elsewhere(41001), nowhere(41002);
    judge("from another port: answered there",
          echoes(elsewhere, sealed(s, s.counter++, echo(++sequence_)), s));
    Message m = sealed(s, s.counter, echo(++sequence_));
    m.back() ^= 1;
    nowhere.send(m);
    elsewhere.drain();
    nowhere.send(sealed(s, s.counter - 1, echo(++sequence_)));  // a replay
    judge("neither a bad tag nor a replay moves us", nowhere.receive(kSilence).empty());
  }
  judge("and home again", works(s));
  struct {
    const char* host;
    std::uint16_t port;
  } martians[] = {
      {"127.0.0.1", 7}, {"224.0.0.1", 7}, {"255.255.255.255", 7}, {"10.20.0.1", 7}, {"10.20.0.2", 0}};
  for (const auto& from : martians) {
    home_.drain();
    send_from(from.host, from.port, sealed(s, s.counter++, echo(++sequence_)));
    const auto plain = opened(s, home_.receive(kPatience));
    judge("data from a martian source does not move us", plain && plain->size() >= 28);
    send_from(from.host, from.port, initiation(wall_now(), 76));
    judge("an initiation from there: silence", silent(50));
    judge("and nothing has moved", works(s));
  }

  const Message again = initiation(wall_now(), 78);
  home_.drain();
  home_.send(again);
  auto next = consume(home_.receive(kPatience), 78);
  judge("a second handshake", next.has_value());
  if (!next) return;
  judge("a replayed initiation: silence", silent_to(again));
  judge("one with an older stamp: silence", silent_to(initiation(wall_now() - 5s, 79)));
  judge("until it is confirmed, answers come on the old session", works(s));
  judge("the first data confirms, answers come on the new", works(*next));
  judge("the old one still receives", echoes(home_, sealed(s, s.counter++, echo(++sequence_)), *next));

  home_.drain();
  home_.send(initiation(wall_now() + 100ms, 80));
  home_.send(initiation(wall_now() + 200ms, 81));
  const Message first = home_.receive(kPatience);
  judge("two at once: one answer", first.size() == sizeof(ResponseMessage) && silent());
  sleep_ms(300);
  for (const std::uint32_t index : {0u, 0xffffffffu, 78u}) {
    auto same = shake_hands(index);
    judge("an index of the peer's own strange choice", same && works(*same));
    if (same) s = *same;
  }
  judge("what was sealed for an ended session: silence",
        silent_to(sealed(*next, next->counter++, echo(++sequence_))));
}

void RoguePeer::begin() {
  auto session = shake_hands();
  judge("an honest handshake", session.has_value());
  if (!session) return;
  judge("an unconfirmed session is not sent on", silent());
  judge("the first data is answered", works(*session));
  bad_initiations();
  judge("still works", works(*session));
  bad_data(*session);
  judge("still works", works(*session));
  bad_inside(*session);
  judge("still works", works(*session));
  bad_sessions(*session);
  judge("still works", works(*session));
  // Last, for it locks us out: that is the protocol (CVE-2021-46873), and `linegate explain` says so.
  home_.drain();
  home_.send(initiation(wall_now() + 24h * 3650, 90));
  judge("a stamp ten years ahead is answered", home_.receive(kPatience).size() == sizeof(ResponseMessage));
  sleep_ms(50);
  judge("after it one of today: silence", silent_to(initiation(wall_now(), 91)));
}

// ---- as the responder

Message RoguePeer::response_to(const Message& m, bool low_order, Session* session) {
  ConsumedInitiation consumed;
  const FindPeer find = [&](const PublicKey& key) { return key == gateway_ ? &secrets_ : nullptr; };
  if (consume_initiation(me_, find, message_as<InitiationMessage>(m), &consumed) != Verdict::kOk)
    throw std::runtime_error("the gateway's initiation is not one");
  ResponseMessage r;
  if (create_response(consumed, {gateway_, secrets_}, 55, random_, &session->keys, &r) != Verdict::kOk)
    throw std::runtime_error("our own keys are bad");
  session->local_index = 55;
  session->counter = 0;
  if (low_order) r.ephemeral = {};
  return with_macs({bytes_of(r).begin(), bytes_of(r).end()});
}

void RoguePeer::answer() {
  CookieChecker checker(random_);
  checker.set_public_key(me_.static_key.public_key);
  const auto next_initiation = [&] {
    for (int i = 0; i < 10; ++i) {
      Message m = home_.receive(8000);
      if (m.size() == sizeof(InitiationMessage)) return m;
    }
    throw std::runtime_error("the gateway does not call");
  };
  Session unused, session;
  const wg::dataplane::Endpoint gateway{wg::dataplane::IpAddress::from_v4("\x0a\x14\x00\x01"),
                                        wg::dataplane::UdpPort{51820}, 0};

  const Message first = next_initiation();
  judge("an initiation has a right mac1 and no mac2",
        checker.mac1_valid(first) && is_zero(macs_of(first).mac2));
  const Message late = response_to(first, false, &unused);
  Message m = late;
  m[8] ^= 1;
  judge("a response to another index: silence", silent_to(with_macs(m)));
  m = late;
  m[50] ^= 1;
  judge("a response that does not authenticate: silence", silent_to(with_macs(m)));
  judge("a low-order ephemeral: silence", silent_to(response_to(first, true, &unused)));
  Message data = sealed(unused, 0, {});
  std::memcpy(data.data() + 4, first.data() + 4, 4);
  judge("data to the index of a handshake: silence", silent_to(data));
  CookieReplyMessage cookie = checker.create_reply(first, gateway, wg::BootClock::now());
  cookie.receiver_index[0] ^= 1;
  judge("a cookie for another index: silence", silent_to({bytes_of(cookie).begin(), bytes_of(cookie).end()}));
  cookie.receiver_index[0] ^= 1;
  cookie.sealed_cookie[3] ^= 1;
  judge("a forged cookie: silence", silent_to({bytes_of(cookie).begin(), bytes_of(cookie).end()}));

  const Message second = next_initiation();
  judge("the next has no mac2 still", checker.mac1_valid(second) && is_zero(macs_of(second).mac2));
  judge("indices and ephemerals are new",
        !std::equal(second.begin() + 4, second.begin() + 40, first.begin() + 4));
  judge("a response to the initiation before: silence", silent_to(late));
  const CookieReplyMessage stale = checker.create_reply(first, gateway, wg::BootClock::now());
  judge("a cookie for the mac1 before: silence", silent_to({bytes_of(stale).begin(), bytes_of(stale).end()}));
  const CookieReplyMessage right = checker.create_reply(second, gateway, wg::BootClock::now());
  judge("a right cookie is not answered at once",
        silent_to({bytes_of(right).begin(), bytes_of(right).end()}));

  const Message third = next_initiation();
  judge("the next carries mac2", checker.mac2_valid(third, gateway, wg::BootClock::now()));
  home_.drain();
  home_.send(response_to(third, false, &session));
  const auto confirmation = opened(session, home_.receive(kPatience));
  judge("the right response is confirmed by an empty packet", confirmation && confirmation->empty());
  judge("and once", silent_to(response_to(third, false, &unused)));
}

Key key_of(const char* text) {
  Key key;
  std::size_t length = 0;
  if (sodium_base642bin(key.data(), key.size(), text, std::strlen(text), nullptr, &length, nullptr,
                        sodium_base64_VARIANT_ORIGINAL) != 0 ||
      length != key.size())
    throw std::runtime_error("not a key");
  return key;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string mode = argc == 4 ? argv[1] : "";
  if ((mode != "begin" && mode != "answer") || sodium_init() < 0) {
    std::fputs("usage: rogue_peer begin|answer OWN_PRIVATE_KEY GATEWAY_PUBLIC_KEY\n", stderr);
    return 2;
  }
  try {
    RoguePeer peer(key_of(argv[2]), key_of(argv[3]), mode == "begin" ? 41000 : 41010);
    mode == "begin" ? peer.begin() : peer.answer();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "rogue_peer: %s\n", error.what());
    return 1;
  }
  return failures == 0 ? 0 : 1;
}
