// The documents name what the program shows, and nothing else: drop reasons with their sentences, metrics
// with type, unit and text. No name that the program shows is an enumerator of the code.
#include <gtest/gtest.h>
#include <prometheus/metric_family.h>

#include <cctype>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "control/api/drop_advice.h"
#include "control/api/json.h"
#include "control/api/metrics.h"
#include "control/log_events.h"
#include "control/log_fields.h"
#include "control/noise/outcome.h"
#include "dataplane/drop_reason.h"

namespace wg::control {
namespace {

using Row = std::vector<std::string>;  // cells, without spaces around them

// The rows of all tables of a document whose first cell is a metric, by that name.
std::map<std::string, Row> metric_rows() {
  std::ifstream lines(std::string(LINEGATE_SOURCE_DIR) + "/docs/metrics.md");
  EXPECT_TRUE(lines);
  std::map<std::string, Row> rows;
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("| `linegate_")) continue;
    Row row;
    std::istringstream cells(line.substr(1));
    for (std::string cell; std::getline(cells, cell, '|');) {
      const auto begin = cell.find_first_not_of(' '), end = cell.find_last_not_of(' ');
      row.push_back(begin == std::string::npos ? "" : cell.substr(begin, end - begin + 1));
    }
    row.resize(4);
    EXPECT_TRUE(rows.emplace(row[0].substr(1, row[0].size() - 2), row).second) << "twice: " << line;
  }
  return rows;
}

// One of everything, so that every family is there.
MetricsSnapshot full_snapshot() {
  MetricsSnapshot snapshot;
  snapshot.interfaces.resize(1);
  snapshot.peers.resize(1);
  snapshot.ports.resize(1);
  snapshot.workers.resize(1);
  return snapshot;
}

bool is_plain_name(const std::string& name) {
  for (const char c : name)
    if (std::islower(static_cast<unsigned char>(c)) == 0 &&
        std::isdigit(static_cast<unsigned char>(c)) == 0 && c != '_')
      return false;
  return !name.empty();
}

TEST(Documentation, MetricsListsEveryMetricAndNoOther) {
  const auto rows = metric_rows();
  std::map<std::string, const char*> families;
  for (const auto& family : metric_families(full_snapshot())) {
    const auto* type = family.type == prometheus::MetricType::Counter ? "counter" : "gauge";
    families[family.name] = type;
    const auto row = rows.find(family.name);
    ASSERT_TRUE(row != rows.end()) << "docs/metrics.md does not name " << family.name;
    EXPECT_EQ(row->second[1], type) << family.name;
  }
  for (const auto& [name, row] : rows) EXPECT_TRUE(families.contains(name)) << "no such metric: " << name;
}

TEST(Documentation, CountersOfWorkersHaveTheirUnitAndText) {
  const auto rows = metric_rows();
  for (const auto& facts : dataplane::kWorkerCounterFacts) {
    const auto row = rows.find("linegate_worker_" + std::string(facts.name) + "_total");
    ASSERT_TRUE(row != rows.end()) << facts.name;
    EXPECT_EQ(row->second[2], facts.unit) << facts.name;
    EXPECT_EQ(row->second[3], facts.text) << facts.name;
  }
}

TEST(Counters, ReachJsonAndPrometheusEachWithItsOwnValue) {
  MetricsSnapshot snapshot = full_snapshot();
  dataplane::CounterValues& values = snapshot.workers[0].counters;
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = 1000 + i;
  const Json worker = to_json(snapshot.workers[0]);
  std::map<std::string, double> metrics;
  for (const auto& family : metric_families(snapshot))
    for (const auto& metric : family.metric) metrics[family.name] = metric.counter.value;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::string name = dataplane::kWorkerCounterFacts[i].name;
    EXPECT_EQ(worker.at(name), 1000 + i) << name;
    EXPECT_EQ(metrics.at("linegate_worker_" + name + "_total"), 1000.0 + static_cast<double>(i)) << name;
  }
}

// values_of() reads the members in the order of the list.
TEST(Counters, ValuesAreThoseOfTheMembers) {
  dataplane::WorkerCounters counters;
  counters.loops.add(1);
  counters.sleeps.add(29);
  counters.exception.read_packets.add(30);
  counters.exception.write_errors.add(43);
  const dataplane::CounterValues values = values_of(counters);
  std::map<std::string, std::uint64_t> named;
  for (std::size_t i = 0; i < values.size(); ++i)
    if (values[i] != 0) named[dataplane::kWorkerCounterFacts[i].name] = values[i];
  EXPECT_EQ(
      named,
      (std::map<std::string, std::uint64_t>{
          {"loops", 1}, {"sleeps", 29}, {"exception_read_packets", 30}, {"exception_write_errors", 43}}));
}

TEST(Names, ShownNamesAreLowerCaseWords) {
  for (const char* name : dataplane::kDropNames) EXPECT_TRUE(is_plain_name(name)) << name;
  for (const char* name : dataplane::kStageNames) EXPECT_TRUE(is_plain_name(name)) << name;
  for (const auto& facts : dataplane::kWorkerCounterFacts)
    EXPECT_TRUE(is_plain_name(facts.name)) << facts.name;
  for (const auto& facts : kControlCounterFacts) EXPECT_TRUE(is_plain_name(facts.name)) << facts.name;
  for (const auto& words : noise::kOutcomeWords) EXPECT_TRUE(is_plain_name(words.name)) << words.name;
}

// "kBadMac1" is "bad_mac1" in capitals: no row of the list has the name of another.
TEST(Names, OutcomesAreNamedAsTheyWereBefore) {
  for (const auto& words : noise::kOutcomeWords) {
    std::string old = "k";
    bool capital = true;
    for (const char* c = words.name; *c != 0; ++c) {
      if (*c != '_') old += static_cast<char>(capital ? std::toupper(*c) : *c);
      capital = *c == '_';
    }
    EXPECT_EQ(old, words.old_name);
  }
}

// The rows of the table below a heading: first column without its quotes, second column.
std::map<std::string, std::string> table_of(const std::string& document, const std::string& heading) {
  std::ifstream lines(std::string(LINEGATE_SOURCE_DIR) + "/docs/" + document);
  EXPECT_TRUE(lines) << document;
  std::map<std::string, std::string> rows;
  bool inside = false;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("#")) inside = line.substr(line.find_first_not_of("# ")) == heading;
    if (!inside || !line.starts_with("| `")) continue;
    const auto name_end = line.find("` | "), text = name_end + 4;
    if (name_end == std::string::npos) continue;
    const bool fresh =
        rows.emplace(line.substr(3, name_end - 3), line.substr(text, line.find(" |", text) - text)).second;
    EXPECT_TRUE(fresh) << "twice: " << line;
  }
  return rows;
}

TEST(Documentation, TheControlSocketNamesEveryEvent) {
  std::ifstream page(std::string(LINEGATE_SOURCE_DIR) + "/docs/control-socket.md");
  const std::string whole(std::istreambuf_iterator<char>(page), {});
  const auto from = whole.find("Kinds: "), to = whole.find("subscriber that does not keep up", from);
  ASSERT_NE(to, std::string::npos);
  std::set<std::string> named;
  for (auto at = whole.find('`', from); at < to; at = whole.find('`', at + 1)) {
    const auto end = whole.find('`', at + 1);
    named.insert(whole.substr(at + 1, end - at - 1));
    at = end;
  }
  named.erase("detail");
  EXPECT_EQ(named, std::set<std::string>(std::begin(kGatewayEventNames), std::end(kGatewayEventNames)));
}

TEST(Documentation, OperationsListsEveryDropReason) {
  std::map<std::string, std::string> reasons;
  for (std::size_t i = 0; i < dataplane::kDropReasons; ++i)
    reasons[dataplane::kDropNames[i]] = dataplane::kDropTexts[i];
  const auto rows = table_of("operations.md", "Drops");
  std::ifstream page(std::string(LINEGATE_SOURCE_DIR) + "/docs/operations.md");
  const std::string whole(std::istreambuf_iterator<char>(page), {});
  for (const auto& [name, text] : reasons) {
    const auto row = rows.find(name);
    ASSERT_TRUE(row != rows.end()) << "docs/operations.md does not name " << name;
    EXPECT_TRUE(row->second.starts_with(text)) << name << ": " << row->second;
    const std::string advice(drop_advice(name));
    EXPECT_FALSE(advice.empty()) << name << " has no row in control/api/drop_advice.cpp";
    EXPECT_NE(whole.find("| `" + name + "` | " + row->second + " | " + advice + " |\n"), std::string::npos)
        << name << ": docs/operations.md and control/api/drop_advice.cpp differ";
  }
  for (const auto& [name, text] : rows)
    EXPECT_TRUE(reasons.contains(name)) << "no such drop reason: " << name;
}

TEST(Documentation, TheLogsPageListsEveryEvent) {
  std::ifstream page(std::string(LINEGATE_SOURCE_DIR) + "/docs/log.md");
  const std::string whole(std::istreambuf_iterator<char>(page), {});
  std::size_t rows = 0;
  const auto expect_row = [&](const std::string& row) {
    EXPECT_NE(whole.find("\n" + row), std::string::npos) << "docs/log.md lacks: " << row;
    ++rows;
  };
#define X(name, severity, when) expect_row("| `" #name "` | " #severity " | " when " |\n");
  WG_LOG_EVENTS(X)
#undef X
#define X(kind, name, words, detail) expect_row("| `" name "` | ");
  WG_PEER_EVENTS(X)
#undef X
  std::size_t shown = 0;
  for (auto at = whole.find("## Events"); (at = whole.find("\n| `", at)) != std::string::npos; ++at) ++shown;
  EXPECT_EQ(shown, rows) << "docs/log.md has events that are none";
#define X(field) EXPECT_NE(whole.find("`" #field "`"), std::string::npos) << #field;
  WG_LOG_FIELDS(X)
#undef X
}

}  // namespace
}  // namespace wg::control
