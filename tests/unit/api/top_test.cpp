// `linegate top`: figures from two readings, the screen, the keys; and the method `rates`.
#include "control/cli/top_screen.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

#include "control/api/params.h"
#include "tests/unit/api/command_line.h"

namespace wg::control::test {
namespace {

using cli::TopAction;
using cli::TopState;

Json peer(const char* name, double rx, double tx, std::uint64_t received, std::uint64_t lost) {
  return {{"interface", "wg0"},
          {"name", name},
          {"public_key", std::string(44, name[0])},
          {"endpoint", "192.0.2.7:51820"},
          {"active", true},
          {"session_age", 89},
          {"rx_bytes_rate", rx},
          {"tx_bytes_rate", tx},
          {"rx_packets_rate", 10.0},
          {"tx_packets_rate", 5.0},
          {"drops_rate", 0.0},
          {"rx_packets", received},
          {"lost_estimate", lost}};
}

cli::TopReading reading(std::uint64_t packets, std::uint64_t lost, std::uint64_t dropped) {
  cli::TopReading out;
  out.rates = {{"ready", true},
               {"peers_total", 3},
               {"peers_moving", 2},
               {"sessions_made", packets / 100},
               {"complete", true},
               {"rx_bytes_rate", 125e6},
               {"tx_bytes_rate", 1000.0},
               {"rx_packets_rate", 90000.0},
               {"tx_packets_rate", 5.0},
               {"drops_rate", 0.0},
               {"peers", Json::array({peer("alice", 125e6, 1000, packets, lost), peer("bob", 1, 0, 7, 0)})}};
  out.workers = {
      {"workers", Json::array({{{"index", 0}, {"busy_share", 0.255}}, {{"index", 1}, {"busy_share", 1.0}}})}};
  out.drops = {{"drops", Json::array({{{"name", "bad_tag"}, {"count", dropped}},
                                      {{"name", "replayed"}, {"count", 3}}})}};
  out.ports = {
      {"ports",
       Json::array({{{"name", "wan0"}, {"link_up", true}, {"rx_bytes", 1000 * packets}, {"tx_bytes", 0}},
                    {{"name", "lan0"}, {"link_up", false}}})}};
  return out;
}

std::string screen(const Json& figures, const TopState* state, std::size_t columns, std::size_t lines,
                   bool colour = false) {
  cli::Layout layout;
  layout.terminal = state != nullptr;
  layout.columns = columns;
  layout.colour = colour;
  return cli::render_top(figures, state, {WallTime{}, layout}, lines);
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

TEST(Top, FiguresAreWhatGrewBetweenTwoReadings) {
  const Json figures = cli::top_figures(reading(1000, 10, 5), reading(1900, 110, 25), 2);
  EXPECT_DOUBLE_EQ(figures["sessions_per_second"].get<double>(), 4.5);
  ASSERT_EQ(figures["drops"].size(), 1U)
      << "reasons that did not occur are left out: " << figures["drops"].dump();
  EXPECT_EQ(figures["drops"][0]["name"], "bad_tag");
  EXPECT_DOUBLE_EQ(figures["drops"][0]["per_second"].get<double>(), 10);
  EXPECT_DOUBLE_EQ(figures["ports"][0]["rx_bytes_rate"].get<double>(), 450'000);
  EXPECT_DOUBLE_EQ(figures["peers"][0]["loss_share"].get<double>(), 0.1) << "100 lost of 1000 that were sent";
  EXPECT_FALSE(figures["peers"][1].contains("loss_share")) << "nothing came from bob meanwhile";
}

TEST(Top, ANewSessionIsNoLoss) {
  const Json figures = cli::top_figures(reading(1000, 500, 0), reading(1100, 2, 0), 1);
  EXPECT_FALSE(figures["peers"][0].contains("loss_share"));
}

// Of UTF-8, where each takes one column.
std::size_t characters(const std::string& text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

TEST(Top, TheScreenFitsTheTerminal) {
  const Json figures = cli::top_figures(reading(1000, 10, 5), reading(1900, 110, 25), 2);
  TopState state;
  for (const std::size_t columns : {40U, 80U, 132U, 200U})
    for (const std::size_t lines : {10U, 24U, 50U}) {
      const auto shown = lines_of(screen(figures, &state, columns, lines));
      EXPECT_LE(shown.size(), lines);
      if (columns >= 80) {
        for (const auto& line : shown) EXPECT_LE(characters(line), columns) << line;
      }
    }
  EXPECT_EQ(lines_of(screen(figures, &state, 80, 24)).size(), 24U) << "the keys are on the last line";
}

TEST(Top, TheScreenSaysWhatMatters) {
  Json figures = cli::top_figures(reading(1000, 10, 5), reading(1900, 110, 25), 2);
  figures["sort"] = "rx";
  TopState state;
  state.selected = 1;
  state.filter = "li";
  state.paused = true;
  const auto text = screen(figures, &state, 132, 24);
  for (const char* part :
       {"PAUSED", "25.5 %, 100.0 %", "3 peers, 2 with traffic", "in  1G bit/s, 90k packets/s",
        "drops 10/s: bad_tag 10", "lan0 down", "RX BIT/S*", "alice", "1m29s", "10.0 %", "[li]"})
    expect_in(part, text);
  EXPECT_EQ(text.find("TX BIT/S*"), std::string::npos);
  expect_in("\n>  bob", text);
  EXPECT_EQ(text.find('\033'), std::string::npos) << "without colours there is no escape sequence";
  expect_in("\033[", screen(figures, &state, 132, 24, true));
}

TEST(Top, MorePeersThanLinesAreLeftOut) {
  cli::TopReading now = reading(1000, 0, 0);
  for (int i = 0; i < 100; ++i) now.rates["peers"].push_back(peer("carol", 1, 1, 1, 0));
  const Json figures = cli::top_figures(now, now, 1);
  TopState state;
  EXPECT_EQ(lines_of(screen(figures, &state, 80, 24)).size(), 24U);
  EXPECT_GT(lines_of(screen(figures, nullptr, 80, 0)).size(), 100U)
      << "--once prints all that were asked for";
}

TEST(Top, KeysOfATerminal) {
  using Keys = std::vector<std::string>;
  EXPECT_EQ(cli::keys_of("q"), Keys{"q"});
  EXPECT_EQ(cli::keys_of("\033[A\033[B\033OA"), (Keys{"up", "down", "up"}));
  EXPECT_EQ(cli::keys_of("\033"), Keys{"escape"});
  EXPECT_EQ(cli::keys_of("\r\x7f"), (Keys{"enter", "backspace"}));
  EXPECT_EQ(cli::keys_of("\033[1;5C\033[3~a"), Keys{"a"}) << "other sequences are no keys";
  EXPECT_EQ(cli::keys_of("\033["), Keys{}) << "an unfinished one neither";
}

TEST(Top, KeysChangeOrderFilterAndPause) {
  TopState state;
  EXPECT_EQ(take_key(state, "r", 5), TopAction::kAsk);
  EXPECT_EQ(state.sort, "rx");
  for (const auto& [key, sort] :
       {std::pair{"s", "tx"}, {"p", "packets"}, {"d", "drops"}, {"t", "transfer"}}) {
    take_key(state, key, 5);
    EXPECT_EQ(state.sort, sort);
  }
  EXPECT_EQ(take_key(state, " ", 5), TopAction::kDraw);
  EXPECT_TRUE(state.paused);
  take_key(state, " ", 5);
  EXPECT_FALSE(state.paused);
  EXPECT_EQ(take_key(state, "x", 5), TopAction::kNothing);
  EXPECT_EQ(take_key(state, "q", 5), TopAction::kQuit);
}

TEST(Top, TheFilterIsTypedAndTaken) {
  TopState state;
  take_key(state, "/", 5);
  for (const char* key : {"q", "x", "backspace", "r"}) EXPECT_EQ(take_key(state, key, 5), TopAction::kDraw);
  EXPECT_EQ(state.filter, "") << "not before enter";
  EXPECT_EQ(take_key(state, "enter", 5), TopAction::kAsk);
  EXPECT_EQ(state.filter, "qr");
  take_key(state, "/", 5);
  take_key(state, "z", 5);
  take_key(state, "escape", 5);
  EXPECT_EQ(state.filter, "qr") << "escape leaves it as it was";
  for (int i = 0; i < 100; ++i) take_key(state, i == 0 ? "/" : "a", 5);
  EXPECT_LE(state.typed.size(), 64U);
}

TEST(Top, TheSelectionStaysOnTheScreen) {
  TopState state;
  take_key(state, "up", 2);
  EXPECT_EQ(state.selected, 0U);
  for (int i = 0; i < 5; ++i) take_key(state, "down", 2);
  EXPECT_EQ(state.selected, 1U);
  EXPECT_EQ(take_key(state, "enter", 2), TopAction::kExplain);
  EXPECT_EQ(take_key(state, "enter", 0), TopAction::kNothing) << "there is no peer to explain";
  state.explaining = true;
  EXPECT_EQ(take_key(state, "d", 2), TopAction::kDraw) << "any key leads back";
  EXPECT_EQ(state.sort, "transfer") << "and does nothing else";
}

// ---------------------------------------------------------------- the method and the command

struct FakeRates : RateSource {
  Expected<Rates> rates(const RateQuery& query) override {
    if (query.interface == "nope") return Refusal{ENOENT, "no interface nope"};
    last = query;
    Rates out;
    out.ready = ++asked > 1;
    out.peers = 3;
    if (!out.ready) return out;
    PeerRate& alice = out.busiest.emplace_back();
    alice.peer.interface = "wg0";
    alice.peer.name = "alice";
    alice.rate.rx_bytes = 125'000;
    out.sum = alice.rate;
    return out;
  }
  RateQuery last;
  int asked = 0;
};

struct TopCommand : CliTest {
  TopCommand() {
    server.on_loop([&] {
      RpcTargets targets{gateway, gateway, gateway, {}};
      targets.rates = &rates;
      rpc = std::make_unique<RpcServer>(server.loop, targets,
                                        RpcSockets{socket, directory + "/read.sock", "", ""});
    });
  }
  FakeRates rates;
};

TEST_F(TopCommand, PrintsOnceWithoutATerminal) {
  const auto result = linegate({"top", "--interval", "0.5"});
  EXPECT_EQ(result.code, 0) << result.err;
  expect_in("alice", result.out);
  expect_in("1M", result.out);
  EXPECT_EQ(result.out.find('\033'), std::string::npos);
}

TEST_F(TopCommand, PrintsJsonFromTheReadOnlySocketToo) {
  socket = directory + "/read.sock";
  const auto result =
      linegate({"top", "--json", "--interval", "0.5", "--sort", "rx", "--filter", "ali", "--limit", "7"});
  EXPECT_EQ(result.code, 0) << result.err;
  const Json figures = Json::parse(result.out);
  EXPECT_EQ(figures["peers"][0]["name"], "alice");
  EXPECT_EQ(figures["peers"][0]["rx_bytes_rate"], 125'000);
  EXPECT_EQ(figures["sort"], "rx");
  EXPECT_EQ(rates.last.order, RateOrder::kRx);
  EXPECT_EQ(rates.last.text, "ali");
  EXPECT_EQ(rates.last.limit, 7U);
}

TEST_F(TopCommand, WrongOptionsAreRefused) {
  EXPECT_EQ(linegate({"top", "--once", "--sort", "beauty"}).code, 2);
  EXPECT_EQ(linegate({"top", "--once", "--interval", "0"}).code, 2);
  EXPECT_EQ(linegate({"top", "--once", "--limit", "1001"}).code, 2);
  const auto result = linegate({"top", "--once", "--interface", "nope"});
  EXPECT_EQ(result.code, 1);
  expect_in("no interface nope", result.err);
}

TEST(Rates, WrongParamsAreNamed) {
  EXPECT_FALSE(rate_query_of({{"sort", "beauty"}}));
  for (const Json& limit : {Json(0), Json(1001), Json("many")})
    EXPECT_THROW(static_cast<void>(rate_query_of({{"limit", limit}})), BadParam) << limit;
  EXPECT_TRUE(rate_query_of(Json::object()));
}

}  // namespace
}  // namespace wg::control::test
