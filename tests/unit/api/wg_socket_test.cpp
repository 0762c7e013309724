// The cross-platform protocol over a real stream socket. The numbers are those of the conformance list that
// the protocol's framing, errors and semantics follow.
#include "control/api/wg_socket.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "tests/unit/api/conversation.h"
#include "tests/unit/api/fake_gateway.h"

namespace wg::control::test::wg_socket_test {
namespace {

constexpr std::string_view kOk = "errno=0\n\n";
constexpr std::string_view kInvalid = "errno=-22\n\n";
const std::string kZeros(64, '0');

std::string hex(std::uint8_t byte) {
  return hex_of(key_of(byte));
}

class WgSocketTest : public testing::Test {
 protected:
  explicit WgSocketTest(std::chrono::milliseconds patience = std::chrono::seconds{20}) {
    gateway.interfaces_by_name["wg0"];
    char name[] = "/tmp/linegate-api-XXXXXX";
    directory = mkdtemp(name);
    socket = std::make_unique<WgSocket>(loop, gateway, gateway, "wg0", directory,
                                        StreamLimits{4, patience, 3 * patience},
                                        [this](const RpcCaller& caller, const WgSet& set) {
                                          sets_seen.emplace_back(caller.uid, set.peers.size());
                                        });
  }
  ~WgSocketTest() override {
    socket.reset();
    std::filesystem::remove_all(directory);
  }

  auto serve() {
    return [this](int fd) { socket->adopt(fd); };
  }
  // One request on a connection of its own.
  std::string ask(const std::string& request) {
    Conversation client(loop, serve());
    return client.ask(request);
  }
  std::string set(const std::string& lines) { return ask("set=1\n" + lines + "\n"); }
  std::string get() { return ask("get=1\n\n"); }
  config::Interface& wg0() { return gateway.wg0(); }

  EventLoop loop;
  FakeGateway gateway;
  std::string directory;
  std::vector<std::pair<uid_t, std::size_t>> sets_seen;
  std::unique_ptr<WgSocket> socket;
};

TEST_F(WgSocketTest, EverySetIsReportedWithItsCaller) {
  get();
  EXPECT_TRUE(sets_seen.empty());
  set("public_key=" + hex(1) + "\npublic_key=" + hex(2) + "\n");
  using Seen = std::vector<std::pair<uid_t, std::size_t>>;
  EXPECT_EQ(sets_seen, (Seen{{getuid(), 2}}));
}

class ImpatientWgSocketTest : public WgSocketTest {
 protected:
  ImpatientWgSocketTest() : WgSocketTest(std::chrono::milliseconds{200}) {}
};

// ---------------------------------------------------------------- framing

TEST_F(WgSocketTest, GetAnswersStateAndStaysOpen /* framing 1, case 7 */) {
  wg0().listen_port = UdpPort{51820};
  Conversation client(loop, serve());
  EXPECT_EQ(client.ask("get=1\n\n"), "listen_port=51820\nerrno=0\n\n");
  EXPECT_EQ(client.ask("get=1\n\n"), "listen_port=51820\nerrno=0\n\n");
  EXPECT_FALSE(client.ended());
}

TEST_F(WgSocketTest, EmptySetIsFine /* framing 2 */) {
  EXPECT_EQ(set(""), kOk);
}

TEST_F(WgSocketTest, EndOfInputEndsASet /* framing 3, cases 83, 84, 85 */) {
  for (const std::string last : {"fwmark=7\n", "fwmark=7"}) {
    wg0().fwmark = 0;
    Conversation client(loop, serve());
    client.say("set=1\n" + last);
    client.end_of_input();
    EXPECT_EQ(client.hear(), kOk);
    EXPECT_EQ(wg0().fwmark, 7U);
    EXPECT_TRUE(client.ended());
  }
  Conversation bad(loop, serve());
  bad.say("set=1\nfwmark=x");
  bad.end_of_input();
  EXPECT_EQ(bad.hear(), kInvalid);
  Conversation half_get(loop, serve());
  half_get.say("get=1\n");
  half_get.end_of_input();
  EXPECT_EQ(half_get.hear(), "");
  EXPECT_TRUE(half_get.ended());
}

TEST_F(WgSocketTest, AWriterThatDiesWithinASetAppliesNothing) {
  for (const std::string half : {"set=1\nfwmark=7\n", "set=1\nfwmark=7"}) {
    Conversation client(loop, serve());
    client.say(half);
    client.close();
    for (int turn = 0; turn < 5; ++turn) loop.run_once(std::chrono::milliseconds{0});
    EXPECT_EQ(gateway.sets, 0) << half;
    EXPECT_EQ(socket->clients(), 0U);
  }
  Conversation whole(loop, serve());
  whole.say("set=1\nfwmark=7\n\nset=1\nfwmark=8\n");
  whole.close();
  for (int turn = 0; turn < 5; ++turn) loop.run_once(std::chrono::milliseconds{0});
  EXPECT_EQ(wg0().fwmark, 7U) << "what was said to its end counts";
}

TEST_F(WgSocketTest, GetWithAnythingBetweenIsRefused /* framing 4, case 82 */) {
  Conversation client(loop, serve());
  EXPECT_EQ(client.ask("get=1\nfwmark=1\n\n"), kInvalid);
  EXPECT_TRUE(client.ended());
}

TEST_F(WgSocketTest, OtherFirstLinesCloseWithoutAnswer /* framing 5, cases 74, 79-81, 86 */) {
  for (const std::string first :
       {"frob=1\n\n", "set=2\n\n", "get=0\n\n", "\n", "get=1\r\n\r\n", "set=1 \n\n"}) {
    Conversation client(loop, serve());
    EXPECT_EQ(client.ask(first), "") << first;
    EXPECT_TRUE(client.ended()) << first;
  }
  EXPECT_EQ(gateway.sets, 0);
}

TEST_F(WgSocketTest, RequestInPieces /* framing 6, case 87 */) {
  Conversation client(loop, serve());
  const std::string request = "set=1\nfwmark=9\npublic_key=" + hex(1) + "\n\n";
  for (const char byte : request.substr(0, request.size() - 1)) EXPECT_EQ(client.ask({&byte, 1}), "");
  EXPECT_EQ(gateway.sets, 0);
  EXPECT_EQ(client.ask("\n"), kOk);
  EXPECT_EQ(wg0().fwmark, 9U);
  EXPECT_EQ(wg0().peers.size(), 1U);
}

TEST_F(WgSocketTest, SeveralRequestsInOneWriteAreAllAnswered /* framing 6, cases 8, 78 */) {
  EXPECT_EQ(ask("set=1\nfwmark=3\n\nget=1\n\nset=1\nfwmark=0\n\nget=1\n\n"),
            "errno=0\n\nfwmark=3\nerrno=0\n\nerrno=0\n\nerrno=0\n\n");
}

TEST_F(WgSocketTest, ErrorEndsTheSetAndAppliesNothing /* framing 7, cases 75-77 */) {
  Conversation client(loop, serve());
  EXPECT_EQ(client.ask("set=1\nfwmark=5\nlisten_port=1\nfrob=1\n"), kInvalid);  // answered immediately
  EXPECT_EQ(client.ask("fwmark=6\nnot even a key\n"), "");                      // discarded
  EXPECT_EQ(wg0().fwmark, 0U);
  EXPECT_EQ(gateway.sets, 0);
  EXPECT_EQ(client.ask("\nset=1\nfwmark=8\n\n"), kOk);
  EXPECT_EQ(wg0().fwmark, 8U);
}

TEST_F(WgSocketTest, LongLineIsAReadError /* framing 8, case 89 */) {
  Conversation client(loop, serve());
  EXPECT_EQ(client.ask("set=1\nendpoint=" + std::string(200'000, 'a')), "errno=-5\n\n");
  EXPECT_TRUE(client.ended());
  Conversation just(loop, serve());
  EXPECT_EQ(just.ask("set=1\n" + std::string(kWgLineMax, 'a') + "\n\n"),
            "errno=-71\n\n");  // the longest line
  Conversation operation(loop, serve());
  EXPECT_EQ(operation.ask(std::string(100'000, 'g')), "");
  EXPECT_TRUE(operation.ended());
}

TEST_F(WgSocketTest, LineWithoutEqualsIsAProtocolError /* framing 8, case 71 */) {
  EXPECT_EQ(set("private_key\n"), "errno=-71\n\n");
}

TEST_F(WgSocketTest, OpenedAndClosedIsHarmless /* framing 9 */) {
  for (int i = 0; i < 10; ++i) {
    Conversation client(loop, serve());
    client.close();
    for (int turn = 0; turn < 3; ++turn) loop.run_once(std::chrono::milliseconds{0});
  }
  EXPECT_EQ(socket->clients(), 0U);
  EXPECT_EQ(get(), kOk);
}

// ---------------------------------------------------------------- keys and values

TEST_F(WgSocketTest, RefusedLines) {
  const std::string peer = "public_key=" + hex(1) + "\n";
  const std::vector<std::string> invalid = {
      "private_key=12\n",
      "private_key=" + std::string(63, '0') + "g\n",
      "private_key=\n",
      "private_key=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",  // base64 is not of this protocol
      "listen_port=65536\n",
      "listen_port=-1\n",
      "listen_port=\n",
      "listen_port=x\n",
      "listen_port=+5\n",
      "fwmark=0x10\n" /* 10 */,
      "fwmark=4294967296\n",
      "fwmark=\n",
      "replace_peers=false\n" /* 67 */,
      "replace_peers=\n",
      "frob=1\n" /* 62 */,
      "listen_port= 5\n" /* 72 */,
      "listen_port=5 \n" /* 73 */,
      " listen_port=5\n",
      "listen_port=5\r\n",
      "endpoint=1.2.3.4:5\n" /* 64 */,
      "preshared_key=" + hex(1) + "\n",
      "update_only=true\n",
      "public_key=12\n",
      peer + "listen_port=5\n" /* 65 */,
      peer + "private_key=" + hex(2) + "\n",
      peer + "fwmark=1\n",
      peer + "replace_peers=true\n",
      peer + "frob=1\n" /* 63 */,
      peer + "preshared_key=xyz\n",
      peer + "update_only=false\n",
      peer + "remove=1\n",
      peer + "replace_allowed_ips=yes\n",
      peer + "protocol_version=2\n",
      peer + "protocol_version=\n",
      peer + "persistent_keepalive_interval=65536\n",
      peer + "persistent_keepalive_interval=off\n",
      peer + "endpoint=example.com:1\n",
      peer + "endpoint=1.2.3.4\n",
      peer + "endpoint=1.2.3.4:\n",
      peer + "endpoint=1.2.3.4:65536\n",
      peer + "endpoint=::1:5\n",
      peer + "endpoint=[1.2.3.4]:5\n",
      peer + "endpoint=[::1]\n",
      peer + "endpoint=[::1%]:5\n",
      peer + "endpoint=:5\n",
      peer + "allowed_ip=10.0.0.1\n" /* 16 */,
      peer + "allowed_ip=10.0.0.1/33\n",
      peer + "allowed_ip=::/129\n",
      peer + "allowed_ip=10.0.0.256/8\n",
      peer + "allowed_ip=/8\n",
      peer + "allowed_ip=--10.0.0.0/8\n",
      peer + "allowed_ip=10.0.0.0/\n",
      peer + "remove=true\nendpoint=frob\n"};
  for (const auto& lines : invalid) {
    EXPECT_EQ(set("fwmark=1\n" + lines), kInvalid) << lines;
    EXPECT_EQ(wg0(), config::Interface{}) << lines;
  }
}

TEST_F(WgSocketTest, DeviceKeysAreShownInOrder /* 9, 49, 50, 92 */) {
  EXPECT_EQ(set("fwmark=0042\nlisten_port=0051820\nprivate_key=" + std::string(64, '1') + "\n"), kOk);
  const std::string clamped = "10" + std::string(60, '1') + "51";
  EXPECT_EQ(get(), "private_key=" + clamped + "\nlisten_port=51820\nfwmark=42\nerrno=0\n\n");
  EXPECT_EQ(set("private_key=" + kZeros + "\nlisten_port=0\nfwmark=0\n"), kOk);
  EXPECT_EQ(get(), kOk);
}

TEST_F(WgSocketTest, PeerIsShownInOrder) {
  gateway.handshakes["alice"] = WallTime{std::chrono::nanoseconds{1'500'000'007'000'000'042}};
  config::Peer alice;
  alice.name = "alice";
  alice.public_key = key_of(0xab);
  wg0().peers.push_back(alice);
  EXPECT_EQ(set("public_key=" + hex(0xab) + "\npreshared_key=" + hex(0xCD) +
                "\nendpoint=[fe80::1%lo]:7\npersistent_keepalive_interval=25\nallowed_ip=10.1.2.3/8\n"
                "allowed_ip=2001:db8::1/64\nprotocol_version=1\n"),
            kOk);
  EXPECT_EQ(get(),
            "public_key=" + hex(0xab) + "\npreshared_key=" + hex(0xcd) +
                "\nprotocol_version=1\nendpoint=[fe80::1%lo]:7\nlast_handshake_time_sec=1500000007\n"
                "last_handshake_time_nsec=42\ntx_bytes=0\nrx_bytes=0\npersistent_keepalive_interval=25\n"
                "allowed_ip=10.0.0.0/8\nallowed_ip=2001:db8::/64\nerrno=0\n\n");
  EXPECT_EQ(wg0().peers[0].name, "alice");
}

TEST_F(WgSocketTest, BarePeerIsShownWithZeros /* 60: the all-zero key is a peer */) {
  EXPECT_EQ(set("public_key=" + kZeros + "\n"), kOk);
  EXPECT_EQ(get(),
            "public_key=" + kZeros + "\npreshared_key=" + kZeros +
                "\nprotocol_version=1\nlast_handshake_time_sec=0\nlast_handshake_time_nsec=0\ntx_bytes=0\n"
                "rx_bytes=0\npersistent_keepalive_interval=0\nerrno=0\n\n");
}

TEST_F(WgSocketTest, EndpointPortZeroAndUpperCaseHex /* 39 */) {
  EXPECT_EQ(set("public_key=" + std::string(64, 'A') + "\nendpoint=1.2.3.4:0\n"), kOk);
  ASSERT_EQ(wg0().peers.size(), 1U);
  EXPECT_EQ(wg0().peers[0].public_key, key_of(0xaa));
  EXPECT_EQ(config::to_string(*wg0().peers[0].endpoint), "1.2.3.4:0");
}

TEST_F(WgSocketTest, MappedIpv6PrefixStaysIpv6 /* 20 */) {
  EXPECT_EQ(set("public_key=" + hex(1) + "\nallowed_ip=::ffff:10.0.0.1/128\n"), kOk);
  ASSERT_EQ(wg0().peers[0].allowed_ips.size(), 1U);
  EXPECT_FALSE(wg0().peers[0].allowed_ips[0].address.is_v4());
}

TEST_F(WgSocketTest, PortInUse) {
  gateway.taken_ports.insert(UdpPort{80});
  EXPECT_EQ(set("fwmark=1\nlisten_port=80\n"), "errno=-98\n\n");
  EXPECT_EQ(wg0().fwmark, 0U);
}

TEST_F(WgSocketTest, InterfaceThatHasGone) {
  gateway.interfaces_by_name.clear();
  EXPECT_EQ(set("fwmark=1\n"), "errno=-19\n\n");
  EXPECT_EQ(get(), "errno=19\n\n");  // wg takes only digits in the answer to a get
}

// ---------------------------------------------------------------- many, slow, hanging

TEST_F(WgSocketTest, FiveHundredPeersInOneSet /* 94, 95 */) {
  std::string lines;
  for (int i = 0; i < 500; ++i) {
    char digits[65];
    std::snprintf(digits, sizeof digits, "%064x", i + 1);
    lines += "public_key=" + std::string(digits) + "\nallowed_ip=10.0." + std::to_string(i / 256) + "." +
             std::to_string(i % 256) + "/32\n";
  }
  EXPECT_EQ(set(lines), kOk);
  EXPECT_EQ(wg0().peers.size(), 500U);
  const auto state = get();
  std::size_t count = 0;
  for (auto at = state.find("public_key="); at != std::string::npos; at = state.find("public_key=", at + 1))
    ++count;
  EXPECT_EQ(count, 500U);
  EXPECT_TRUE(state.ends_with("\nerrno=0\n\n"));
}

TEST_F(WgSocketTest, PrefixesOfOnePeerBeyondOneChunk) {
  std::string lines = "public_key=" + hex(1) + "\n";
  for (int i = 0; i < 20'000; ++i)
    lines += "allowed_ip=10." + std::to_string(i / 256) + "." + std::to_string(i % 256) + ".0/24\n";
  EXPECT_EQ(set(lines), kOk);
  const auto state = get();
  EXPECT_EQ(state.substr(state.find("allowed_ip=")), lines.substr(lines.find("allowed_ip=")) + "errno=0\n\n");
}

TEST_F(WgSocketTest, FiveTimesManyPeersInOneSet /* 100 000 when optimised */) {
  std::string request = "set=1\nreplace_peers=true\n";
  for (int i = 0; i < 5 * static_cast<int>(kManyPeers); ++i) {
    char digits[65];
    std::snprintf(digits, sizeof digits, "%064x", i + 1);
    request += "public_key=" + std::string(digits) + "\nreplace_allowed_ips=true\nallowed_ip=10." +
               std::to_string(i >> 16) + "." + std::to_string(i >> 8 & 255) + "." + std::to_string(i & 255) +
               "/32\n";
  }
  EXPECT_EQ(ask(request + "\n"), kOk);
  EXPECT_EQ(wg0().peers.size(), 5 * kManyPeers);
}

TEST_F(WgSocketTest, ASetOfMoreThanItsLimitIsRefused) {
  Conversation client(loop, serve());
  std::string block = "public_key=" + hex(1) + "\n";
  while (block.size() < 1'000'000) block += "allowed_ip=10.0.0.0/8\n";
  client.say("set=1\n");
  bool open = true;
  for (int megabytes = 0; megabytes < 100 && open; ++megabytes) open = client.say(block);
  EXPECT_FALSE(open);
  EXPECT_EQ(gateway.sets, 0);
  EXPECT_EQ(socket->clients(), 0U);
}

TEST_F(WgSocketTest, AClientThatDoesNotReadBlocksNoOther) {
  gateway.add_peers("wg0", kManyPeers);
  Conversation lazy(loop, serve());
  lazy.say("get=1\n\nget=1\n\n");
  for (int i = 0; i < 20; ++i) loop.run_once(std::chrono::milliseconds{0});
  EXPECT_EQ(set("fwmark=1\n"), kOk);
  const auto both = lazy.hear();
  const auto end_of_first = both.find("errno=0\n\n") + kOk.size();
  const auto first = both.substr(0, end_of_first);
  EXPECT_GT(first.size(), kManyPeers * 200);
  // The second was taken when its turn came, after the set.
  EXPECT_TRUE(both.substr(end_of_first) == "fwmark=1\n" + first);
}

TEST_F(ImpatientWgSocketTest, HangingClientsAreClosedIdleOnesAreNot) {
  Conversation half(loop, serve());
  half.say("set=1\nfwmark=1\n");
  Conversation idle(loop, serve());
  const auto until = EventLoop::Clock::now() + std::chrono::milliseconds{600};
  while (EventLoop::Clock::now() < until) loop.run_once(std::chrono::milliseconds{20});
  EXPECT_TRUE(half.ended());
  EXPECT_EQ(wg0().fwmark, 0U);  // a set that was never finished is not applied
  EXPECT_EQ(idle.ask("get=1\n\n"), kOk);
}

TEST_F(ImpatientWgSocketTest, AByteNowAndThenIsNotPatienceForever) {
  const std::string request = "set=1\nfwmark=1\n" + std::string(200, '0');
  Conversation idle(loop, serve());
  Conversation dragging(loop, serve());
  std::size_t said = 0;
  for (; said < request.size() && !dragging.ended(); ++said) {
    dragging.say(request.substr(said, 1));
    const auto until = EventLoop::Clock::now() + std::chrono::milliseconds{20};
    while (EventLoop::Clock::now() < until) loop.run_once(std::chrono::milliseconds{5});
  }
  EXPECT_GT(said, 10U);
  EXPECT_LT(said, request.size()) << "200 ms without a byte, 600 ms in all";
  EXPECT_EQ(gateway.sets, 0);
  EXPECT_EQ(idle.ask("get=1\n\n"), kOk);
}

TEST_F(WgSocketTest, WhenFullTheLongestIdleMakesRoom /* four clients at most */) {
  Conversation busy(loop, serve());
  busy.ask("set=1\nfwmark=1\n");
  std::vector<std::unique_ptr<Conversation>> idle;
  for (int i = 0; i < 50; ++i) idle.push_back(std::make_unique<Conversation>(loop, serve()));
  EXPECT_LE(socket->clients(), 4U);
  EXPECT_EQ(get(), kOk);
  EXPECT_EQ(busy.ask("\n"), kOk);  // it was within a request, so it is never the one to be closed
  EXPECT_EQ(wg0().fwmark, 1U);
}

TEST_F(WgSocketTest, WhenAllAreInARequestTheNewcomerIsRefused) {
  std::vector<std::unique_ptr<Conversation>> busy;
  for (int i = 0; i < 4; ++i) {
    busy.push_back(std::make_unique<Conversation>(loop, serve()));
    busy.back()->ask("set=1\n");
  }
  Conversation newcomer(loop, serve());
  EXPECT_TRUE(newcomer.ended());
  for (auto& client : busy) EXPECT_EQ(client->ask("\n"), kOk);
}

TEST_F(WgSocketTest, ManyPeersAreDumpedFast) {
  gateway.add_peers("wg0", kManyPeers);
  Conversation client(loop, serve());
  const auto begin = cpu_time();
  const auto state = client.ask("get=1\n\n");
  const std::chrono::duration<double, std::milli> took = cpu_time() - begin;
  EXPECT_GT(state.size(), kManyPeers * 200);
  RecordProperty("milliseconds", static_cast<int>(took.count()));
#ifdef NDEBUG
  EXPECT_LT(took.count(), 300);
#endif
}

// ---------------------------------------------------------------- the file

TEST_F(WgSocketTest, FileIsForRootAloneAndGoesAway) {
  struct stat file {};
  ASSERT_EQ(stat(socket->path().c_str(), &file), 0);
  EXPECT_TRUE(S_ISSOCK(file.st_mode));
  EXPECT_EQ(file.st_mode & 0777, 0700U);
  const auto path = socket->path();
  socket.reset();
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST_F(WgSocketTest, StaleFileIsReplacedLiveOneIsRespected) {
  EXPECT_THROW(WgSocket(loop, gateway, gateway, "wg0", directory), std::system_error);
  const auto path = socket->path();
  const auto aside = directory + "/aside";
  std::filesystem::rename(path, aside);
  socket.reset();  // the file is not where it was: nothing to remove
  std::filesystem::rename(aside, path);
  WgSocket again(loop, gateway, gateway, "wg0", directory);
  const Expected<int> fd = connect_unix(path);
  ASSERT_TRUE(fd) << fd.error().text;
  close(*fd);
}

TEST_F(WgSocketTest, AnotherKindOfFileIsLeftAlone) {
  const auto path = directory + "/wg1.sock";
  ASSERT_NE(fopen(path.c_str(), "w"), nullptr);
  EXPECT_THROW(WgSocket(loop, gateway, gateway, "wg1", directory), std::system_error);
  EXPECT_TRUE(std::filesystem::is_regular_file(path));
}

}  // namespace
}  // namespace wg::control::test::wg_socket_test
