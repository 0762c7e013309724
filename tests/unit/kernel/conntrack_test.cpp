// ctnetlink with the kernel's own connection tracking: a connection over the loopback interface, rules of
// nftables that track and mark it, and what the gateway asks of its entry.
#include "control/kernel/conntrack.h"

#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "tests/unit/kernel/namespace_test.h"
#include "tests/unit/kernel/tracked_connections.h"

namespace wg::control {
namespace {

constexpr std::uint32_t kMark = 0x40000000;

struct Note {
  enum class Kind { kUpdated, kAnswer, kDestroyed, kDumped, kDumpEnded, kRules, kLost } kind;
  ConntrackEntry entry = {};
};

class Recorder final : public ConntrackSink {
 public:
  void updated(const ConntrackEntry& entry, bool ours) override {
    notes.push_back({ours ? Note::Kind::kAnswer : Note::Kind::kUpdated, entry});
  }
  void destroyed(const ConntrackEntry& entry) override { notes.push_back({Note::Kind::kDestroyed, entry}); }
  void dumped(const ConntrackEntry& entry) override { notes.push_back({Note::Kind::kDumped, entry}); }
  void dump_ended() override { notes.push_back({Note::Kind::kDumpEnded}); }
  void rules_changed() override { notes.push_back({Note::Kind::kRules}); }
  void lost() override { notes.push_back({Note::Kind::kLost}); }
  std::deque<Note> notes;
};

class Tracking : public NamespaceTest {
 protected:
  void SetUp() override {
    NamespaceTest::SetUp();
    if (IsSkipped()) return;
    if (!shell_works("nft list ruleset")) GTEST_SKIP() << "needs nft, and a kernel with nf_tables";
    shell("ip link set lo up");
    shell("ip addr add 2001:db8::1/128 dev lo nodad");
    conntrack = std::make_unique<Conntrack>();
    // On the reply alone the mark is the operator's; 7 is another program's.
    shell(
        "nft 'table inet t { chain o { type filter hook output priority 0; ct mark set ct mark or 7; "
        "ct state established ct mark set ct mark or 0x40000000; }; }'");
    wait(Note::Kind::kRules);
  }

  // Until there is one that passes.
  std::optional<ConntrackEntry> wait(Note::Kind kind,
                                     const std::function<bool(const ConntrackEntry&)>& passes = {}) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(5);
    while (std::chrono::steady_clock::now() < until) {
      if (recorder.notes.empty()) receive();
      while (!recorder.notes.empty()) {
        const Note note = recorder.notes.front();
        recorder.notes.pop_front();
        if (note.kind == kind && (!passes || passes(note.entry))) return note.entry;
      }
    }
    ADD_FAILURE() << "nothing of kind " << static_cast<int>(kind) << " came";
    return std::nullopt;
  }
  void receive() {
    std::vector<pollfd> fds;
    for (const int fd : conntrack->descriptors()) fds.push_back({fd, POLLIN, 0});
    poll(fds.data(), fds.size(), 50);
    conntrack->receive(recorder);
  }
  void ask(const ConntrackUpdate& update) {
    conntrack->update(update);
    conntrack->flush();
  }

  std::unique_ptr<Conntrack> conntrack;
  Recorder recorder;
};

// A TCP connection to ourselves.
class Connection {
 public:
  explicit Connection(bool v6) {
    sockaddr_storage address = loopback(v6);
    socklen_t size = sizeof address;
    listener_ = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM, 0);
    EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(listener_, 1), 0);
    EXPECT_EQ(getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    client_ = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM, 0);
    EXPECT_EQ(connect(client_, reinterpret_cast<sockaddr*>(&address), size), 0);
    server_ = accept(listener_, nullptr, nullptr);
    say();
  }
  ~Connection() {
    for (const int fd : {client_, server_, listener_}) close(fd);
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  void say() {
    char byte = 1;
    EXPECT_EQ(write(client_, &byte, 1), 1);
    EXPECT_EQ(read(server_, &byte, 1), 1);
  }
  void close_client() { shutdown(client_, SHUT_WR); }

 private:
  static sockaddr_storage loopback(bool v6) {
    sockaddr_storage out{};
    if (v6) {
      auto& address = reinterpret_cast<sockaddr_in6&>(out);
      address.sin6_family = AF_INET6;
      const IpAddress own = ip("2001:db8::1");
      std::copy(own.bytes.begin(), own.bytes.end(), address.sin6_addr.s6_addr);
    } else {
      auto& address = reinterpret_cast<sockaddr_in&>(out);
      address.sin_family = AF_INET;
      address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    }
    return out;
  }
  int listener_, client_, server_;
};

bool is_marked(const ConntrackEntry& entry) {
  return (entry.mark & kMark) != 0;
}

class TrackingOf : public Tracking, public ::testing::WithParamInterface<bool> {};

TEST_P(TrackingOf, AConnectionsLife) {
  Connection connection(GetParam());
  const auto established = wait(Note::Kind::kUpdated, [](const ConntrackEntry& entry) {
    return is_marked(entry) && (entry.status & IPS_ASSURED) != 0;
  });
  ASSERT_TRUE(established);
  EXPECT_EQ(established->mark, kMark | 7);
  EXPECT_EQ(established->original.source, ip(GetParam() ? "2001:db8::1" : "127.0.0.1"));
  EXPECT_EQ(established->reply, established->original.turned_round());
  EXPECT_EQ(established->tcp_state, TCP_CONNTRACK_ESTABLISHED);
  EXPECT_FALSE(established->liberal || established->has_helper || established->adjusts_sequence);
  EXPECT_EQ(established->zone, 0);

  ask({established->original, true, {}, 0});
  const auto answer = wait(Note::Kind::kAnswer);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->id, established->id);
  EXPECT_TRUE(answer->liberal);
  EXPECT_EQ(answer->tcp_state, TCP_CONNTRACK_ESTABLISHED);
  EXPECT_EQ(answer->mark, kMark | 7) << "what is not named stays";
  EXPECT_EQ(answer->timeout, established->timeout);

  ask({established->original, false, WholeSeconds(1234), 0});
  const auto refreshed = wait(Note::Kind::kAnswer);
  ASSERT_TRUE(refreshed);
  EXPECT_NEAR(refreshed->timeout.count(), 1234, 1);
  EXPECT_TRUE(refreshed->liberal);

  conntrack->start_dump(kMark);
  const auto dumped = wait(Note::Kind::kDumped);
  ASSERT_TRUE(dumped);
  EXPECT_EQ(dumped->id, established->id);
  EXPECT_EQ(dumped->tcp_state, TCP_CONNTRACK_ESTABLISHED);
  wait(Note::Kind::kDumpEnded);

  ask({established->original, false, {}, kMark});
  const auto cleared = wait(Note::Kind::kAnswer);
  ASSERT_TRUE(cleared);
  EXPECT_EQ(cleared->mark, 7u) << "the bits of others stay";
  connection.say();
  EXPECT_TRUE(wait(Note::Kind::kUpdated, is_marked)) << "the rule marks the next packet's connection";

  connection.close_client();
  EXPECT_TRUE(wait(Note::Kind::kUpdated, [](const ConntrackEntry& entry) {
    return entry.tcp_state && *entry.tcp_state > TCP_CONNTRACK_ESTABLISHED;
  }));
  shell("conntrack -D -p tcp 2>/dev/null");
  const auto gone = wait(Note::Kind::kDestroyed);
  ASSERT_TRUE(gone);
  EXPECT_EQ(gone->id, established->id);
}
INSTANTIATE_TEST_SUITE_P(Families, TrackingOf, ::testing::Bool());

TEST_P(TrackingOf, AnEntryIsFoundByAPacketOfEitherDirection) {
  Connection connection(GetParam());
  const auto entry = wait(Note::Kind::kUpdated, is_marked);
  ASSERT_TRUE(entry);
  for (const FlowTuple& tuple : {entry->original, entry->original.turned_round()}) {
    const auto found = find_conntrack(tuple);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->id, entry->id);
    EXPECT_EQ(found->mark, kMark | 7);
    EXPECT_EQ(found->original, entry->original);
  }
  FlowTuple other = entry->original;
  ++other.source_port;
  EXPECT_FALSE(find_conntrack(other));
}

TEST_F(Tracking, ADumpOfNothingEnds) {
  Connection connection(false);
  conntrack->start_dump(0x10000000);
  EXPECT_TRUE(wait(Note::Kind::kDumpEnded));
}

TEST_F(Tracking, AnEntryThatHasGoneIsNoTrouble) {
  FlowTuple unknown{ip("192.0.2.1"), ip("192.0.2.2"), 1, 2, IPPROTO_TCP};
  ask({unknown, true, WholeSeconds(5), kMark});
  Connection connection(false);
  EXPECT_TRUE(wait(Note::Kind::kUpdated, is_marked));
}

TEST_F(Tracking, EachChangeOfRulesIsAnnounced) {
  shell("nft add table inet another");
  EXPECT_TRUE(wait(Note::Kind::kRules));
  shell("nft flush ruleset");
  EXPECT_TRUE(wait(Note::Kind::kRules));
}

TEST_F(Tracking, ManyUpdatesGoInFewMessages) {
  Connection connection(false);
  const auto entry = wait(Note::Kind::kUpdated, is_marked);
  ASSERT_TRUE(entry);
  for (std::uint32_t i = 0; i < 2000; ++i)
    conntrack->update({entry->original, false, WholeSeconds(5000 + i), 0});
  conntrack->flush();
  EXPECT_TRUE(
      wait(Note::Kind::kAnswer, [](const ConntrackEntry& e) { return e.timeout >= WholeSeconds(6998); }));
}

// More connections than the event buffer holds, each of which the reader of a dump asks for, as the follower
// does.
class TrackingOfMany : public Tracking {
 protected:
  static constexpr std::uint32_t kMany = 80'000;

  struct Asking final : ConntrackSink {
    explicit Asking(Conntrack& tracking) : conntrack(tracking) {}
    void updated(const ConntrackEntry&, bool ours) override { answers += ours ? 1 : 0; }
    void destroyed(const ConntrackEntry&) override {}
    void dumped(const ConntrackEntry& entry) override {
      ++dumped_entries;
      adjusting += entry.adjusts_sequence ? 1 : 0;
      conntrack.update({entry.original, true, {}, 0});
    }
    void dump_ended() override { ended = true; }
    void rules_changed() override {}
    void lost() override { ++losses; }
    Conntrack& conntrack;
    std::uint32_t answers = 0, dumped_entries = 0, adjusting = 0, losses = 0;
    bool ended = false;
  };

  // Reads and sends, as the control thread does, until `done` or there is nothing to read for a while.
  template <class Done>
  void read(Asking& sink, Done done) {
    std::vector<pollfd> fds;
    for (const int fd : conntrack->descriptors()) fds.push_back({fd, POLLIN, 0});
    while (!done() && poll(fds.data(), fds.size(), 2000) > 0) {
      conntrack->receive(sink);
      conntrack->flush();
    }
  }
};

TEST_F(TrackingOfMany, ADumpWaitsForTheEventsThatItCauses) {
  test::make_tracked_connections(kMany, kMark);
  Asking sink(*conntrack);
  conntrack->start_dump(kMark);
  read(sink, [&] { return sink.losses != 0 || (sink.ended && sink.answers >= kMany); });
  EXPECT_EQ(sink.losses, 0u) << "a follower would begin again, and lose events again, for ever";
  EXPECT_TRUE(sink.ended);
  EXPECT_EQ(sink.dumped_entries, kMany);
  EXPECT_EQ(sink.adjusting, 0u) << "such an entry can be carried, although a program has made it";
  EXPECT_EQ(sink.answers, kMany);
}

// Without this the test above would prove nothing.
TEST_F(TrackingOfMany, TheirEventsDoNotFitIntoTheBuffer) {
  test::make_tracked_connections(kMany, kMark);
  Asking sink(*conntrack);
  for (std::uint32_t i = 0; i < kMany; ++i) conntrack->update({test::tracked_connection(i), true, {}, 0});
  conntrack->flush();
  read(sink, [&] { return sink.losses != 0; });
  EXPECT_NE(sink.losses, 0u);
}

TEST_F(Tracking, TimeoutsAreTheNamespaces) {
  shell("echo 77 >/proc/sys/net/netfilter/nf_conntrack_udp_timeout_stream");
  EXPECT_EQ(conntrack_timeouts().udp, WholeSeconds(77));
  EXPECT_EQ(conntrack_timeouts().tcp, WholeSeconds(432'000));
  Connection connection(false);
  EXPECT_GE(conntrack_count(), 1u);
}

}  // namespace
}  // namespace wg::control
