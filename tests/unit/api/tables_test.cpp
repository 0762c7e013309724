// Every table of `linegate show`: the members its columns read, its width, its text, its place in the
// documents.
#include "control/api/tables.h"

#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <sstream>

#include "control/cli/cells.h"
#include "control/cli/render.h"
#include "tests/unit/api/fake_gateway.h"

namespace wg::control::test::tables_test {
namespace {

const WallTime kNow{std::chrono::seconds{1'700'000'000}};

Json answer_of(const RpcMethod& method, const StatusSource& source) {
  Json answer, params = Json::object();
  const auto read_all = [&](const Stream::Source& source_of_text) {
    std::string text;
    while (source_of_text(text, 1 << 16)) {
    }
    answer = Json::parse(text);
  };
  const RpcAnswer take{[&](Json result) { answer = std::move(result); }, {}, read_all};
  std::get<ReadMethod>(method.call)(source, params, take);
  return answer;
}

FakeGateway gateway_with_peers() {
  FakeGateway gateway;
  gateway.add_peers("wg0", 2);
  gateway.handshakes["peer1"] = kNow - std::chrono::seconds{89};
  gateway.drop_times.last = kNow - std::chrono::seconds{100};
  return gateway;
}

Json peers_of(const StatusSource& source) {
  Json rows = Json::array();
  PeerCursor at;
  source.visit_peers(at, {}, SliceEnd::max(), [&](PeerStatus&& peer) { rows.push_back(to_json(peer)); });
  return {{"total", rows.size()}, {"peers", std::move(rows)}};
}

// A table with the answer that a model of the gateway gives.
struct Shown {
  std::string name;
  std::span<const TableSection> sections;
  Json answer;
};

std::vector<Shown> all_tables() {
  const FakeGateway gateway = gateway_with_peers();
  std::vector<Shown> shown;
  for (const ShowTable& table : show_tables())
    shown.push_back({std::string(table.name()), table.sections, answer_of(table.method, gateway)});
  shown.push_back({"peers", {&peers_section(), 1}, peers_of(gateway)});
  return shown;
}

std::string text_of(const Shown& table, const cli::Layout& layout) {
  std::ostringstream out;
  for (const TableSection& section : table.sections)
    cli::render_section(section, table.answer, {kNow, layout}, out);
  return out.str();
}

// The same value, but not equal to it.
Json changed(const Json& value) {
  if (value.is_boolean()) return !value.get<bool>();
  if (value.is_number()) return value.get<double>() + 7;
  if (value.is_object()) {
    Json other = {{"seven", 7}};
    for (const auto& [name, member] : value.items()) other[name] = changed(member);
    return other;
  }
  if (value.is_array()) return Json::array({"seven"});
  return "seven";
}

// A column whose cell reads a member that no row has would print "-" or 0 for ever.
TEST(Tables, EveryColumnShowsAMemberOfItsRow) {
  for (const Shown& table : all_tables())
    for (const TableSection& section : table.sections) {
      Json rows = section.rows(table.answer);
      ASSERT_FALSE(rows.empty()) << table.name;
      for (const TableColumn& column : section.columns) {
        Json row = rows[rows.size() - 1];
        if (column.needs != nullptr) row[column.needs] = 5.0;
        const std::string before = column.cell(row, kNow).text;
        std::size_t read = 0;
        for (const auto& [name, value] : row.items()) {
          Json other = row;
          other[name] = changed(value);
          read += column.cell(other, kNow).text != before ? 1 : 0;
        }
        EXPECT_NE(read, 0U) << table.name << ": " << column.title;
      }
    }
}

std::size_t cells_of(const std::string& line) {
  return static_cast<std::size_t>(
      std::count_if(line.begin(), line.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

// The longest values that a gateway can have: IPv6, an interface of 15 characters, large counters.
void make_long(Json& value, const std::string& name) {
  if (value.is_object()) {
    for (auto& [member, inner] : value.items()) make_long(inner, member);
  } else if (value.is_array() && name != "per_worker") {
    for (Json& inner : value) make_long(inner, name);
    if (!value.empty() && value[0].is_string()) value = Json(std::vector<std::string>(9, value[0]));
  } else if (value.is_number_unsigned()) {
    const bool small = name == "listen_port" || name == "mtu" || name == "index" || name == "lcore";
    const bool many = name == "peers" || name == "peers_active" || name == "depth" || name == "capacity";
    value = small ? 65'535 : many ? 100'000 : std::uint64_t{1} << 62;
    if (name == "count") value = 999'999'999;
  } else if (value.is_string()) {
    value = name == "name" ? "a-name-of-15-ch" : "[2001:db8:1111:2222:3333:4444:5555:6666]:51820";
  } else if (value.is_boolean()) {
    value = true;
  }
}

TEST(Tables, FitEightyColumnsOfATerminal) {
  for (Shown& table : all_tables())
    for (const bool rates : {false, true}) {
      for (auto& [name, rows] : table.answer.items())
        if (rows.is_array())
          for (Json& row : rows) {
            make_long(row, name);
            for (const char* rate : {"rx_bytes_rate", "tx_bytes_rate", "count_rate"})
              if (rates) row[rate] = 1.25e10;
          }
      const std::string text = text_of(table, {true, false, 80});
      std::istringstream lines(text);
      for (std::string line; std::getline(lines, line);) EXPECT_LE(cells_of(line), 80U) << text;
    }
}

TEST(Tables, ReadAsFollows) {
  const std::map<std::string, std::string> expected{
      {"interfaces",
       "INTERFACE  STATE  PORT  PEERS  ACTIVE        RX   TX  MTU  ADDRESSES  PUBLIC KEY\n"
       "wg0        up        0      2       0  1.50 KiB  0 B    0  -          -\n"},
      {"ports",
       "PORT  LINK  MTU  QUEUES  RX PKTS   RX  TX PKTS   TX  MISSED  ERRORS  DEVICE\n"
       "wan0  up      0     0/0        0  0 B        0  0 B       9       0  -\n"},
      {"workers",
       "WORKER  LCORE    BUSY  ASLEEP  PACKETS  PER BURST  P50 US  P99 US\n"
       "     0      1  25.0 %   0.0 %        0        0.0     1.0     3.0\n"
       "WORKER  STAGE     CLOCKS PER PACKET    SHARE\n"
       "     0  classify               20.5  100.0 %\n"
       "WORKER  QUEUE      DEPTH  CAPACITY\n"
       "     0  handshake      3      4096\n"},
      {"drops",
       "REASON   COUNT   LAST  PER WORKER  MEANING\n"
       "bad_tag      5  1m40s  2 3         tag does not verify\n"},
      {"flows",
       "FLOWS  CARRIED  AT MOST  WITH LINUX  TRACKED\n"
       "on           1     1024           1        7\n"
       "PROTO  SOURCE           DESTINATION       CARRIED BY   PACKETS     BYTES  IDLE\n"
       "tcp    10.10.0.2:40000  198.51.100.7:443  workers           30  2.93 KiB   3 s\n"
       "udp    10.10.0.3:5353   192.168.1.5:53    not_assured        3     100 B   0 s\n"
       "WITH LINUX, BECAUSE  CONNECTIONS\n"
       "not_assured                    1\n"},
      {"peers",
       "PEER   INTERFACE  ENDPOINT         HANDSHAKE     RX   TX  DROPS  ALLOWED IPS\n"
       "peer0  wg0        192.0.2.1:51820      never    0 B  7 B      0  10.0.0.0/32\n"
       "peer1  wg0        192.0.2.1:51820      1m29s  100 B  7 B      4  10.0.0.1/32\n"}};
  for (const Shown& table : all_tables()) {
    ASSERT_TRUE(expected.contains(table.name)) << table.name;
    EXPECT_EQ(text_of(table, {}), expected.at(table.name));
  }
}

TEST(Tables, TellAProgramAtAnInterface) {
  FakeGateway gateway = gateway_with_peers();
  EXPECT_EQ(to_json(gateway.interfaces().front())["program"], Json(nullptr));
  ProgramStatus& program = gateway.program.emplace();
  program.pid = 42;
  program.queues = 2;
  program.slots = 1024;
  const auto shown = [&](const char* state) {
    for (const ShowTable& table : show_tables())
      if (table.name() == "interfaces") {
        const Json answer = answer_of(table.method, gateway);
        EXPECT_NE(text_of({"interfaces", table.sections, answer}, {}).find(state), std::string::npos)
            << state;
        return answer["interfaces"][0]["program"];
      }
    return Json();
  };
  EXPECT_EQ(shown("  up, program  "), Json({{"pid", 42},
                                            {"queues", 2},
                                            {"slots", 1024},
                                            {"routed", false},
                                            {"offloads", false},
                                            {"join_udp", false}}));
  program.routed = program.offloads = program.join_udp = true;
  EXPECT_EQ(shown("  up, routed  "), Json({{"pid", 42},
                                           {"queues", 2},
                                           {"slots", 1024},
                                           {"routed", true},
                                           {"offloads", true},
                                           {"join_udp", true}}));
}

TEST(Tables, ColourTheStatesThatMatter) {
  const cli::Layout colours{true, true, 80};
  const std::map<std::string, std::string> expected{
      {"interfaces", "\033[32mup\033[0m"}, {"ports", "\033[33m9\033[0m"}, {"peers", "\033[33mnever\033[0m"}};
  for (const Shown& table : all_tables()) {
    const std::string text = text_of(table, colours);
    const auto state = expected.find(table.name);
    if (state != expected.end()) {
      EXPECT_NE(text.find(state->second), std::string::npos) << text;
    }
    EXPECT_EQ(text_of(table, {true, false, 80}).find('\033'), std::string::npos) << table.name;
  }
}

TEST(Tables, AreDocumented) {
  const auto text_of_file = [](const char* name) {
    std::ifstream file(std::string(LINEGATE_SOURCE_DIR) + "/docs/" + name);
    return std::string(std::istreambuf_iterator<char>(file), {});
  };
  const std::string methods = text_of_file("control-socket.md"), commands = text_of_file("cli.md");
  for (const ShowTable& table : show_tables()) {
    EXPECT_NE(methods.find("| `" + std::string(table.method.name) + "` |"), std::string::npos);
    EXPECT_NE(commands.find("`show " + std::string(table.name()) + "`"), std::string::npos);
  }
}

TEST(TableText, AlignsAndTames) {
  cli::Table table({{"NAME"}, {"N", cli::Table::Align::kRight}});
  table.row({{"j\xc3\xb8rgen"}, {"1"}});
  table.row({{"a\x1b[31m"}, {"1000"}});
  std::ostringstream out;
  table.print(out, {});
  EXPECT_EQ(out.str(), "NAME       N\nj\xc3\xb8rgen     1\na?[31m  1000\n");
}

TEST(TableText, ShortensOnATerminalAndLeavesOutWhatHasNoRoom) {
  cli::Table table({{"NAME", cli::Table::Align::kLeft, 0, 6}, {"FIRST", {}, 1}, {"SECOND", {}, 2}});
  table.row({{"a-rather-long-n\xc3\xa4me"}, {"1"}, {"2"}});
  const auto printed = [&](const cli::Layout& layout) {
    std::ostringstream out;
    table.print(out, layout);
    return out.str();
  };
  EXPECT_EQ(printed({true, false, 40}),
            "NAME                FIRST  SECOND\na-rather-long-n\xc3\xa4me  1      2\n");
  EXPECT_EQ(printed({true, false, 23}), "NAME      FIRST  SECOND\na-rathe…  1      2\n");
  EXPECT_EQ(printed({true, false, 20}), "NAME           FIRST\na-rather-lon…  1\n");
  EXPECT_EQ(printed({true, false, 10}), "NAME\na-rather-…\n");
  EXPECT_EQ(printed({false, false, 10}), "NAME\na-rather-long-n\xc3\xa4me\n") << "a pipe gets the whole name";
}

// A Chinese, a Korean and a combined name, an emoji, and a byte that is no character.
TEST(TableText, CountsCellsOfTheTerminalNotCharacters) {
  cli::Table table({{"NAME", cli::Table::Align::kLeft, 0, 4}, {"N"}});
  table.row({{"\u5317\u4eac"}, {"1"}});
  table.row({{"\ud55c\uad6d-1"}, {"2"}});
  table.row({{"re\u0301sume\u0301"}, {"3"}});
  table.row({{"\U0001f600"}, {"4"}});
  table.row({{"a\xffz"}, {"5"}});
  const auto printed = [&](const cli::Layout& layout) {
    std::ostringstream out;
    table.print(out, layout);
    return out.str();
  };
  EXPECT_EQ(printed({true, false, 40}),
            "NAME    N\n\u5317\u4eac    1\n\ud55c\uad6d-1  2\nre\u0301sume\u0301  3\n\U0001f600      "
            "4\na\xffz     5\n");
  EXPECT_EQ(printed({true, false, 7}),
            "NAME  N\n\u5317\u4eac  1\n\ud55c…   2\nre\u0301s…  3\n\U0001f600    4\na\xffz   5\n");
  EXPECT_EQ(cli::cells_of("\u5317e\u0301"), 3U);
  EXPECT_EQ(cli::first_cells("\u5317e\u0301x", 3), "\u5317e\u0301");
  EXPECT_EQ(cli::first_cells("\u5317\u4eac", 3), "\u5317");
}

TEST(TableText, WrapsSentencesOnATerminal) {
  EXPECT_EQ(cli::wrapped("one two three", 2, {true, false, 8}), "one two\n  three");
  EXPECT_EQ(cli::wrapped("one two three", 2, {false, false, 8}), "one two three");
  EXPECT_EQ(cli::wrapped("longer-than-the-line is", 2, {true, false, 8}), "longer-than-the-line\n  is");
}

}  // namespace
}  // namespace wg::control::test::tables_test
