// Every row of settings.h: read, refused, written, compared, described and documented, from the row alone.
#include <algorithm>
#include <set>
#include <sstream>

#include "config/diff.h"
#include "config/emit.h"
#include "config/settings.h"
#include "tests/unit/config/support.h"

namespace wg::config {
namespace {

// ---------------------------------------------------------------- where the rows of an owner stand

// A file in which the owner's map holds the lines given, and what a plan and a problem call that map.
template <class Owner>
struct Place;

template <>
struct Place<Dpdk> {
  static constexpr std::string_view kName = "dpdk", kPath = "dpdk", kSection = "## `dpdk`",
                                    kBefore = "dpdk:\n";
  static constexpr std::size_t kIndent = 2;
  static Dpdk& of(Gateway& gateway) { return gateway.dpdk; }
};

template <>
struct Place<Control> {
  static constexpr std::string_view kName = "control", kPath = "control", kSection = "## `control`",
                                    kBefore = "control:\n";
  static constexpr std::size_t kIndent = 2;
  static Control& of(Gateway& gateway) { return gateway.control; }
};

template <>
struct Place<Flows> {
  static constexpr std::string_view kName = "flows", kPath = "flows", kSection = "## `flows`",
                                    kBefore = "flows:\n";
  static constexpr std::size_t kIndent = 2;
  static Flows& of(Gateway& gateway) { return gateway.flows; }
};

template <>
struct Place<Port> {
  static constexpr std::string_view kName = "wan", kPath = "ports.wan", kSection = "## `ports`",
                                    kBefore = "ports:\n  wan:\n    device: tap\n";
  static constexpr std::size_t kIndent = 4;
  static Port& of(Gateway& gateway) { return gateway.ports["wan"]; }
};

template <>
struct Place<Interface> {
  static constexpr std::string_view kName = "wg0", kPath = "interfaces.wg0", kSection = "## `interfaces`",
                                    kBefore = "interfaces:\n  wg0:\n    private_key_file: wg0.key\n";
  static constexpr std::size_t kIndent = 4;
  static Interface& of(Gateway& gateway) { return gateway.interfaces["wg0"]; }
};

template <class Owner>
std::string file_with(const Setting<Owner>& row, std::string_view value) {
  std::string text(Place<Owner>::kBefore);
  std::string indent(Place<Owner>::kIndent, ' ');
  if (!row.map().empty()) {
    text += indent + std::string(row.map()) + ":\n";
    indent += "  ";
  }
  return text + indent + std::string(row.name()) + ": " + std::string(value) + "\n";
}

// Of the last line of a file: that is where file_with() puts the value.
std::string position_of_value(const std::string& text) {
  const auto line = std::count(text.begin(), text.end(), '\n');
  const auto start = text.rfind('\n', text.size() - 2) + 1;
  return "gw.yaml:" + std::to_string(line) + ":" + std::to_string(text.find(": ", start) + 3 - start);
}

ParseOptions without_files() {
  ParseOptions options;
  options.open_files = false;
  return options;
}

template <class Owner>
std::string path_of(const Setting<Owner>& row) {
  return std::string(Place<Owner>::kPath) + "." + std::string(row.key);
}

template <class Owner>
Gateway with_value(const Setting<Owner>& row, std::string_view value) {
  Gateway gateway;
  EXPECT_TRUE(row.set(Place<Owner>::of(gateway), value)) << row.key << ": " << value;
  return gateway;
}

// ---------------------------------------------------------------- the checks of one row

template <class Owner>
void check_reading(const Setting<Owner>& row) {
  for (const auto example : row.examples) {
    const std::string text = file_with(row, example);
    auto result = parse_text(text, "gw.yaml", without_files());
    ASSERT_TRUE(result) << text << to_string(problems_of(result));
    Gateway wanted = with_value(row, example);
    const Owner& read = Place<Owner>::of(*result);
    EXPECT_TRUE(row.same(read, Place<Owner>::of(wanted))) << text;
    EXPECT_EQ(cite(*result, read.where.of(row.key)), position_of_value(text)) << text;
  }
}

template <class Owner>
void check_refusals(const Setting<Owner>& row) {
  const std::pair<std::string_view, std::string> cases[] = {{"zz top!", ": 'zz top!' "},
                                                            {"\"\"", ": is empty; "},
                                                            {"[1]", ": is a list; "},
                                                            {"", ": has no value; "}};
  for (const auto& [value, fault] : cases) {
    if (row.key == "type" && value == "zz top!") continue;  // a type is any words
    const std::string text = file_with(row, value);
    const auto result = parse_text(text, "gw.yaml", without_files());
    ASSERT_EQ(problems_of(result).size(), 1U) << text;
    const std::string problem = to_string(problems_of(result).front());
    EXPECT_NE(problem.find(path_of(row) + fault), std::string::npos) << problem;
    EXPECT_TRUE(problem.ends_with("; allowed: " + row.allowed())) << problem;
  }
}

// What is written reads back as the same value, and different values are written differently.
template <class Owner>
void check_text(const Setting<Owner>& row) {
  std::set<std::string> texts;
  for (const auto example : row.examples) {
    Gateway gateway = with_value(row, example);
    const std::string text = row.text(Place<Owner>::of(gateway));
    Gateway again = with_value(row, text);
    EXPECT_TRUE(row.same(Place<Owner>::of(gateway), Place<Owner>::of(again))) << text;
    texts.insert(text);
    Owner copy;
    row.copy(Place<Owner>::of(gateway), copy);
    EXPECT_TRUE(row.same(copy, Place<Owner>::of(gateway)));
    EXPECT_EQ(row.text(copy), text);
  }
  EXPECT_EQ(texts.size(), row.examples.size());
  EXPECT_GE(texts.size(), 2U);
}

void check_plan_of_restart(const Plan& plan, const std::string& key, const std::string& from,
                           const std::string& to) {
  const auto* notice = std::get_if<NeedsRestart>(&plan.actions.front());
  ASSERT_NE(notice, nullptr) << describe(plan);
  EXPECT_EQ(notice->key, key);
  EXPECT_EQ(notice->from, from);
  EXPECT_EQ(notice->to, to);
}

template <class Owner>
void check_live_plan(const Plan& plan, const Setting<Owner>& row, std::size_t index, const Owner& to) {
  const auto* action = std::get_if<ChangeSettings<Owner>>(&plan.actions.front());
  ASSERT_NE(action, nullptr) << describe(plan);
  EXPECT_EQ(action->name, Place<Owner>::kName);
  SettingSet only;
  only.add(index);
  EXPECT_EQ(action->rows, only);
  EXPECT_TRUE(row.same(action->value, to));
  EXPECT_EQ(describe(plan), std::string(Place<Owner>::kName) + ": " + std::string(row.words) + " " +
                                row.value_words(to) + "\n");
}

template <class Owner>
void check_plans(const Setting<Owner>& row, std::size_t index) {
  for (const auto from : row.examples)
    for (const auto to : row.examples) {
      Gateway running = with_value(row, from), next = with_value(row, to);
      const Plan plan = diff(running, next);
      Owner& old = Place<Owner>::of(running);
      Owner& now = Place<Owner>::of(next);
      if (row.same(old, now)) {
        EXPECT_TRUE(plan.empty());
        continue;
      }
      ASSERT_EQ(plan.actions.size(), 1U) << describe(plan);
      EXPECT_EQ(plan.needs_restart(), row.change == Change::kRestart);
      if (row.change == Change::kRestart)
        check_plan_of_restart(plan, path_of(row), row.text(old), row.text(now));
      else
        check_live_plan(plan, row, index, now);
      keep_until_restart(running, next);
      EXPECT_EQ(row.same(old, now), row.change == Change::kRestart);
    }
}

// Only interfaces are written back; defaults are left out.
template <class Owner>
void check_emitted(const Setting<Owner>& row) {
  if constexpr (std::is_same_v<Owner, Interface>) {
    for (const auto example : row.examples) {
      Gateway gateway = with_value(row, example);
      const Interface& interface = Place<Interface>::of(gateway);
      const auto entries = entries_of(interface);
      if (row.same(interface, Interface{})) {
        EXPECT_TRUE(entries.empty()) << row.key;
        continue;
      }
      ASSERT_EQ(entries.size(), 1U) << row.key;
      EXPECT_EQ(entries.front(), (Entry{row.key, row.text(interface)}));
    }
  }
}

// What docs/configuration.md says of a key: its row, and below the table its own line if there is one.
struct Documented {
  std::string row, below;
};

Documented documented(std::string_view section, std::string_view key) {
  std::istringstream lines(slurp(std::string(LINEGATE_SOURCE_DIR) + "/docs/configuration.md"));
  const std::string name = "`" + std::string(key) + "`";
  Documented found;
  bool inside = false;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("#")) inside = line == section;
    if (inside && line.starts_with("| " + name + " |")) found.row = line;
    if (inside && line.starts_with("- " + name + ": the default is ")) found.below = line;
  }
  return found;
}

template <class Owner>
void check_documented(const Setting<Owner>& row) {
  const auto [line, below] = documented(Place<Owner>::kSection, row.key);
  ASSERT_NE(line, "") << path_of(row);
  if (const std::string by_default = row.text(Owner{}); !by_default.empty()) {
    const bool in_row = line.find(" | `" + by_default + "` |") != std::string::npos;
    const bool in_line = below.ends_with("the default is `" + by_default + "`.");
    EXPECT_TRUE(in_row || in_line) << line << " without " << by_default;
  }
  const bool restarts = line.ends_with("| restart |");
  EXPECT_EQ(restarts, row.change == Change::kRestart) << line;
  if (line.find("| as `") != std::string::npos) return;  // what is allowed stands at another key
  const bool is_choice = row.allowed().starts_with(std::string(row.examples.front()) + ",");
  for (const auto example : row.examples)
    if (is_choice && row.allowed().find(example) != std::string::npos) {
      EXPECT_NE(line.find("`" + std::string(example) + "`"), std::string::npos) << line;
    }
}

template <class Owner>
void check_row(std::size_t index) {
  const auto& row = settings_of<Owner>()[index];
  check_reading(row);
  check_refusals(row);
  check_text(row);
  check_plans(row, index);
  check_emitted(row);
  check_documented(row);
}

// ---------------------------------------------------------------- all rows

struct RowCase {
  std::string name;
  void (*check)(std::size_t index);
  std::size_t index;

  friend void PrintTo(const RowCase& row, std::ostream* out) { *out << row.name; }
};

template <class Owner>
void add_rows(std::vector<RowCase>& cases) {
  const auto rows = settings_of<Owner>();
  for (std::size_t i = 0; i < rows.size(); ++i) cases.push_back({path_of(rows[i]), check_row<Owner>, i});
}

std::vector<RowCase> all_rows() {
  std::vector<RowCase> cases;
  add_rows<Dpdk>(cases);
  add_rows<Control>(cases);
  add_rows<Flows>(cases);
  add_rows<Port>(cases);
  add_rows<Interface>(cases);
  return cases;
}

class EverySetting : public testing::TestWithParam<RowCase> {};

TEST_P(EverySetting, IsComplete) {
  GetParam().check(GetParam().index);
}

std::string name_of_row(const testing::TestParamInfo<RowCase>& info) {
  std::string name = info.param.name;
  const auto other = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; };
  std::replace_if(name.begin(), name.end(), other, '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Settings, EverySetting, testing::ValuesIn(all_rows()), name_of_row);

TEST(Settings, SeveralOfOneOwnerAreOneAction) {
  Gateway running, next;
  running.interfaces["wg0"];
  Interface& interface = next.interfaces["wg0"];
  interface.hairpin = false;
  interface.dscp = Dscp::kCopy;
  interface.log_level = LogLevel::kDebug;
  const Plan plan = diff(running, next);
  EXPECT_EQ(describe(plan), "wg0: hairpin off, dscp copy, log level debug\n");
  EXPECT_EQ(plan.actions.size(), 1U);
  EXPECT_EQ(describe(diff(next, running)), "wg0: hairpin on, dscp zero, log level as control.log.level\n");
}

TEST(Settings, AnActionHoldsNoKeyAndNoPeer) {
  Interface interface;
  interface.private_key = secret_key(7);
  interface.peers.resize(3);
  interface.hairpin = false;
  Interface wanted;
  wanted.hairpin = false;
  EXPECT_EQ(live_settings(interface), wanted);
}

}  // namespace
}  // namespace wg::config
