// The quick reader against yaml-cpp: what it accepts must give the same tree, and configurations as people
// write them must be accepted.
#include <algorithm>
#include <random>

#include "config/yaml_tree.h"
#include "tests/unit/config/support.h"

namespace wg::config::yaml_quick_test {
namespace {

void describe(const YamlTree& tree, const Node& node, std::string& out) {
  out += std::to_string(static_cast<int>(node.kind)) + (node.flow ? "f" : "") + (node.plain ? "p" : "") +
         "@" + std::to_string(node.line) + ":" + std::to_string(node.column) + "'" + std::string(node.text) +
         "'" + std::to_string(node.children) + "(";
  for (const Node* child = tree.first_child(node); child != nullptr; child = tree.next_sibling(*child))
    describe(tree, *child, out);
  out += ")\n";
}

std::string described(const YamlTree& tree) {
  std::string out;
  if (!tree.empty()) describe(tree, tree.root(), out);
  return out;
}

std::string by_library(const std::string& text) {
  Problems problems;
  const YamlTree tree = YamlTree::read_by_library(text, 0, "x.yaml", problems);
  return problems.empty() ? described(tree) : to_string(problems);
}

constexpr const char* kPlain[] = {
    "a: 1\n",
    "a: 1",
    "a:\n  b: 2\n  c:\n    - x\n    - y z\nd: e\n",
    "a:\n- x\n- y\nb: 1\n",
    "- a\n- b\n",
    "- a: 1\n  b:\n  - x\n  c: 2\n- a: 2\n",
    "-\n  a: 1\n",
    "a:\nb:\n  c:\n",
    "a:\n  - b:\n    c: 1\n  - d:\n",
    "a: { b: 1, c: [x, y,z], d: {} , e: [] }\nf: []\n",
    "a: [\n  \"x\", # one\n  'y'\n]\n",
    "# top\n\na: 1 # one\n  # between\nb: \"# no\" # yes\n",
    "a: b-c.d/e+f=g@h%i(j)\nk: 10.0.0.2/32\nl: fd00::2/128\nm: a:b\n",
    "a: \"0000:03:00.0\"\nb: 'x: y, [z]'\nc: \"\"\n",
    "  a: 1\n  b: 2\n",
    "a: true   \nb: x   # y\n",
    "a: [0.0.0.0/0, ::/0]\nb: ::1\n",
};

constexpr const char* kNotPlain[] = {
    "",
    "# nothing\n",
    "a: \t1\n",
    "a: 1\r\n",
    "a: null\n",
    "a: ~\n",
    "null: 1\n",
    "a: &x 1\nb: *x\n",
    "a: !t 1\n",
    "a: |\n  text\n",
    "a: >\n  text\n",
    "a: one\n  two\n",
    "a: \"one\n  two\"\n",
    "a: \"\\x41\"\n",
    "a: 'it''s'\n",
    "? a\n: b\n",
    "--- \na: 1\n",
    "a: 1\n...\n",
    "a: 1\n---\nb: 2\n",
    "%YAML 1.2\n---\na: 1\n",
    "a: [b: c]\n",
    "a: {b: c}}\n",
    "a: [x\n",
    "a: [x\n  y]\n",
    "a:\n   b: 1\n  c: 2\n",
    "a: 1\n- b\n",
    "a: b: c\n",
    "\"a\": 1\n",
    "a: -\n",
    "a: @b\n",
    "a: {b: [c, d], e\n  f}\n",
};

TEST(QuickYaml, ReadsWhatPeopleWrite) {
  for (const std::string text : kPlain) {
    EXPECT_EQ(described(YamlTree::read_quickly(text)), by_library(text)) << text;
    EXPECT_FALSE(YamlTree::read_quickly(text).empty()) << text;
  }
}

TEST(QuickYaml, DeclinesWhatIsNotPlain) {
  for (const std::string text : kNotPlain) EXPECT_TRUE(YamlTree::read_quickly(text).empty()) << text;
}

TEST(QuickYaml, ReadsTheExamples) {
  std::size_t seen = 0;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(LINEGATE_SOURCE_DIR "/config/examples")) {
    if (!entry.is_regular_file() || entry.path().extension() == ".md") continue;
    std::ifstream file(entry.path());
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    const YamlTree quick = YamlTree::read_quickly(text);
    if (quick.empty()) continue;
    EXPECT_EQ(described(quick), by_library(text)) << entry.path();
    ++seen;
  }
  EXPECT_GE(seen, 1u);
}

TEST(QuickYaml, ThousandsOfPeersAreReadQuickly) {
  std::string text = "interfaces:\n  wg0:\n    peers:\n";
  for (int i = 0; i < 2000; ++i) {
    text += "      - { name: peer" + std::to_string(i) + ", public_key: \"" + to_string(public_key(7)) +
            "\", allowed_ips: [10.0.0.1/32, fd00::1/128], endpoint: \"a.b:5\", persistent_keepalive: 25 }\n";
    text += "      - name: other" + std::to_string(i) + "\n        public_key: " + to_string(public_key(9)) +
            "\n        allowed_ips:\n        - 10.0.0.0/8\n";
  }
  const YamlTree quick = YamlTree::read_quickly(text);
  ASSERT_FALSE(quick.empty());
  EXPECT_EQ(described(quick), by_library(text));
}

// ---------------------------------------------------------------- random texts

using Random = std::mt19937;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int kRounds = 5'000;
#else
constexpr int kRounds = 60'000;
#endif

std::size_t below(Random& random, std::size_t n) {
  return std::uniform_int_distribution<std::size_t>(0, n - 1)(random);
}

std::string piece(Random& random) {
  static constexpr const char* kPieces[] = {
      "a",  "b: ",  "c:",    "\n",  "\n  ", "\n    ", "- ",     "-\n", "[",   "]",
      "{",  "}",    ", ",    ",",   ": ",   ":",      " ",      "  ",  "#",   " # x",
      "\"", "'",    "\"q\"", "'s'", "null", "~",      "...",    "---", "?",   "&x ",
      "*x", "|",    "10/8",  "a b", "\\",   "\t",     "k: v\n", "!",   "[a]", "{a: b}",
      "é",  "k:\n", "-",     "@",   "% ",   "=",      "<<",     "0x1", "::",  "::/0"};
  return kPieces[below(random, std::size(kPieces))];
}

// An entry in `indent`, mostly valid.
std::string grown(Random& random, std::size_t indent, unsigned depth) {
  const std::string space(indent, ' ');
  std::string out;
  const bool sequence = below(random, 3) == 0;
  for (std::size_t i = 0, n = 1 + below(random, 3); i < n; ++i) {
    out += space + (sequence ? "-" : "k" + std::to_string(i) + ":");
    switch (below(random, depth > 3 ? 4 : 7)) {
      case 0:
        out += " v" + std::to_string(below(random, 100)) + "\n";
        break;
      case 1:
        out += " \"q: " + std::to_string(below(random, 9)) + "\"\n";
        break;
      case 2:
        out += " [a, {b: c, d: [ 1,2 ]}, 'x' ] # why\n";
        break;
      case 3:
        out += "\n";
        break;
      case 4:
        out += " k: v\n" + space + "  l: w\n";
        break;
      default:
        out += "\n" + grown(random, indent + below(random, 3), depth + 1);
    }
    if (below(random, 6) == 0) out += "\n" + std::string(below(random, 4), ' ') + "# note\n";
  }
  return out;
}

std::string damaged(Random& random, std::string text) {
  for (std::size_t i = 0, n = below(random, 4); i < n; ++i) {
    const std::size_t at = below(random, text.size() + 1);
    if (below(random, 2) == 0) {
      text.insert(at, piece(random));
    } else {
      text.erase(at, 1 + below(random, 3));
    }
  }
  return text;
}

void expect_same_when_accepted(const std::string& text, std::size_t& accepted) {
  if (!is_yaml_text(text)) return;
  const YamlTree quick = YamlTree::read_quickly(text);
  if (quick.empty()) return;
  ++accepted;
  ASSERT_EQ(described(quick), by_library(text)) << "--- text\n" << text << "\n---";
}

TEST(QuickYaml, NeverDisagreesWithTheLibrary) {
  Random random(20261120);
  std::size_t accepted = 0;
  for (int i = 0; i < kRounds && !HasFatalFailure(); ++i) {
    std::string soup;
    for (std::size_t k = 0, n = 1 + below(random, 12); k < n; ++k) soup += piece(random);
    expect_same_when_accepted(soup, accepted);
    expect_same_when_accepted(damaged(random, grown(random, below(random, 3), 0)), accepted);
    expect_same_when_accepted(damaged(random, kPlain[below(random, std::size(kPlain))]), accepted);
  }
  EXPECT_GT(accepted, static_cast<std::size_t>(kRounds) / 3);
}

}  // namespace
}  // namespace wg::config::yaml_quick_test
