// Readers of YAML side by side: the configuration's own (YamlTree::read_quickly), yaml-cpp's events
// (YamlTree::read_by_library), and the events of libyaml and libfyaml when they were found at the build. Each
// makes the same tree: every node with its line and column, every scalar copied. `parse_text` is the whole
// way from the text to the validated value, by the configuration's own reader.
//
// All readers run by turns, so that a change of the machine's speed meets all of them; the medians are
// printed. `other marks`: nodes whose line or column differs from yaml-cpp's tree.
//   yaml [--peers=N] [--rounds=N]      times, for files of N peers in braces and in blocks
//   yaml --errors                      what each reader says about doubtful texts
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <functional>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "config/parse.h"
#include "config/yaml_tree.h"

#ifdef LINEGATE_HAVE_LIBYAML
#include <yaml.h>
#endif
#ifdef LINEGATE_HAVE_LIBFYAML
#include <libfyaml.h>
#endif

namespace {

using namespace wg::config;

// ---- The texts

std::string key_text(std::size_t i) {
  static constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string key(43, 'A');
  std::size_t state = i * 0x9e3779b97f4a7c15ull + 1;
  for (char& c : key) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    c = kDigits[state & 63];
  }
  key.back() = 'A';  // 256 bits end within the last digit
  return key + "=";
}

std::string address(std::size_t i) {
  return "10." + std::to_string(128 + (i >> 16)) + "." + std::to_string(i >> 8 & 255) + "." +
         std::to_string(i & 255) + "/32";
}

std::string configuration(std::size_t peers, bool braces) {
  std::string text =
      "dpdk: { workers: 1, memory: 256M }\nports:\n  wan: { device: \"0000:03:00.0\" }\n"
      "interfaces:\n  wg0:\n    private_key: \"" +
      key_text(peers) + "\"\n    listen_port: 51820\n    peers:\n";
  for (std::size_t i = 0; i < peers; ++i) {
    const std::string name = "peer" + std::to_string(i);
    if (braces) {
      text += "      - { name: " + name + ", public_key: \"" + key_text(i) + "\", allowed_ips: [" +
              address(i) + "] }\n";
    } else {
      text += "      - name: " + name + "\n        public_key: " + key_text(i) +
              "\n        allowed_ips:\n          - " + address(i) + "\n";
    }
  }
  return text;
}

// ---- The tree that events become, as YamlTree's: nodes in one vector, text in large pieces

class Tree {
 public:
  void add(NodeKind kind, std::size_t line, std::size_t column, std::string_view text = {}) {
    const auto index = static_cast<std::uint32_t>(nodes_.size());
    Node& node = nodes_.emplace_back();
    node.kind = kind;
    node.line = static_cast<std::uint32_t>(line + 1);
    node.column = static_cast<std::uint32_t>(column + 1);
    node.text = keep(text);
    if (!open_.empty()) link(index);
  }
  void open(NodeKind kind, std::size_t line, std::size_t column) {
    add(kind, line, column);
    open_.push_back({static_cast<std::uint32_t>(nodes_.size() - 1), Node::kNone});
  }
  void close() { open_.pop_back(); }
  const std::vector<Node>& nodes() const { return nodes_; }

 private:
  struct Open {
    std::uint32_t node, last_child;
  };

  void link(std::uint32_t index) {
    Open& parent = open_.back();
    (parent.last_child == Node::kNone ? nodes_[parent.node].first : nodes_[parent.last_child].next) = index;
    parent.last_child = index;
    ++nodes_[parent.node].children;
  }

  std::string_view keep(std::string_view text) {
    if (text.empty()) return {};
    if (left_ < text.size()) {
      left_ = std::max(std::size_t{256} << 10, text.size());
      pieces_.push_back(std::make_unique_for_overwrite<char[]>(left_));
      at_ = pieces_.back().get();
    }
    std::memcpy(at_, text.data(), text.size());
    const std::string_view kept(at_, text.size());
    at_ += text.size();
    left_ -= text.size();
    return kept;
  }

  std::vector<Node> nodes_;
  std::vector<Open> open_;
  std::vector<std::unique_ptr<char[]>> pieces_;
  char* at_ = nullptr;
  std::size_t left_ = 0;
};

struct Mark {
  std::uint32_t line, column;
};
using Marks = std::vector<Mark>;  // of every node, in the order of the text

struct Reader {
  const char* name;
  // Fills `marks` unless it is null. Returns a complaint, or nothing.
  std::function<std::string(const std::string& text, Marks* marks)> read;
};

void list_marks(const YamlTree& tree, const Node& node, Marks& marks) {
  marks.push_back({node.line, node.column});
  for (const Node* child = tree.first_child(node); child != nullptr; child = tree.next_sibling(*child))
    list_marks(tree, *child, marks);
}

std::string read_own(const std::string& text, Marks* marks) {
  const YamlTree tree = YamlTree::read_quickly(text);
  if (tree.empty()) return "declined: left to yaml-cpp";
  if (marks != nullptr) list_marks(tree, tree.root(), *marks);
  return {};
}

std::string read_yaml_cpp(const std::string& text, Marks* marks) {
  Problems problems;
  const YamlTree tree = YamlTree::read_by_library(text, 0, {}, problems);
  if (!problems.empty()) return to_string(problems.front());
  if (marks != nullptr && !tree.empty()) list_marks(tree, tree.root(), *marks);
  return {};
}

std::string read_whole(const std::string& text, Marks*) {
  const auto result = parse_text(text, "bench.yaml");
  return result ? std::string() : to_string(result.error().front());
}

[[maybe_unused]] void list_marks(const Tree& tree, Marks* marks) {
  if (marks == nullptr) return;
  for (const Node& node : tree.nodes()) marks->push_back({node.line, node.column});
}

[[maybe_unused]] std::string complaint(std::size_t line, std::size_t column, const std::string& message) {
  return ":" + std::to_string(line + 1) + ":" + std::to_string(column + 1) + ": " + message;
}

#ifdef LINEGATE_HAVE_LIBYAML

void add_event(Tree& tree, const yaml_event_t& event) {
  const auto& at = event.start_mark;
  switch (event.type) {
    case YAML_SCALAR_EVENT:
      return tree.add(NodeKind::kScalar, at.line, at.column,
                      {reinterpret_cast<const char*>(event.data.scalar.value), event.data.scalar.length});
    case YAML_ALIAS_EVENT:
      return tree.add(NodeKind::kAlias, at.line, at.column);
    case YAML_SEQUENCE_START_EVENT:
      return tree.open(NodeKind::kSequence, at.line, at.column);
    case YAML_MAPPING_START_EVENT:
      return tree.open(NodeKind::kMap, at.line, at.column);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
      return tree.close();
    default:
      return;
  }
}

std::string read_libyaml(const std::string& text, Marks* marks) {
  yaml_parser_t parser;
  yaml_parser_initialize(&parser);
  yaml_parser_set_input_string(&parser, reinterpret_cast<const unsigned char*>(text.data()), text.size());
  Tree tree;
  std::string answer;
  for (bool done = false; !done;) {
    yaml_event_t event;
    if (yaml_parser_parse(&parser, &event) == 0) {
      answer = complaint(parser.problem_mark.line, parser.problem_mark.column, parser.problem);
      break;
    }
    done = event.type == YAML_STREAM_END_EVENT;
    add_event(tree, event);
    yaml_event_delete(&event);
  }
  yaml_parser_delete(&parser);
  list_marks(tree, marks);
  return answer;
}

#endif
#ifdef LINEGATE_HAVE_LIBFYAML

void add_event(Tree& tree, fy_event* event) {
  const fy_mark* mark = fy_event_start_mark(event);  // an absent value has none
  const auto line = static_cast<std::size_t>(mark == nullptr ? 0 : mark->line);
  const auto column = static_cast<std::size_t>(mark == nullptr ? 0 : mark->column);
  std::size_t size = 0;
  switch (event->type) {
    case FYET_SCALAR: {
      const char* bytes = fy_token_get_text(event->scalar.value, &size);
      return tree.add(NodeKind::kScalar, line, column, {bytes, bytes == nullptr ? 0 : size});
    }
    case FYET_ALIAS:
      return tree.add(NodeKind::kAlias, line, column);
    case FYET_SEQUENCE_START:
      return tree.open(NodeKind::kSequence, line, column);
    case FYET_MAPPING_START:
      return tree.open(NodeKind::kMap, line, column);
    case FYET_SEQUENCE_END:
    case FYET_MAPPING_END:
      return tree.close();
    default:
      return;
  }
}

std::string read_libfyaml(const std::string& text, Marks* marks) {
  fy_diag_cfg diagnostics;
  fy_diag_cfg_default(&diagnostics);
  diagnostics.fp = nullptr;
  fy_diag* diag = fy_diag_create(&diagnostics);
  fy_diag_set_collect_errors(diag, true);
  fy_parse_cfg options{};
  options.flags = static_cast<fy_parse_cfg_flags>(FYPCF_QUIET | FYPCF_COLLECT_DIAG);
  options.diag = diag;
  fy_parser* parser = fy_parser_create(&options);
  fy_parser_set_string(parser, text.data(), text.size());
  Tree tree;
  while (fy_event* event = fy_parser_parse(parser)) {
    add_event(tree, event);
    fy_parser_event_free(parser, event);
  }
  std::string answer;
  void* next = nullptr;
  if (const fy_diag_error* error = fy_diag_errors_iterate(diag, &next))
    answer = complaint(static_cast<std::size_t>(error->line) - 1, static_cast<std::size_t>(error->column) - 1,
                       error->msg);
  else if (fy_parser_get_stream_error(parser))
    answer = "an error without a message";
  fy_parser_destroy(parser);
  fy_diag_destroy(diag);
  list_marks(tree, marks);
  return answer;
}

#endif

std::vector<Reader> readers() {
  return {
      {"own", read_own},           {"yaml-cpp", read_yaml_cpp}, {"parse_text", read_whole},
#ifdef LINEGATE_HAVE_LIBYAML
      {"libyaml", read_libyaml},
#endif
#ifdef LINEGATE_HAVE_LIBFYAML
      {"libfyaml", read_libfyaml},
#endif
  };
}

// ---- Times

// Time on a core: what else runs on the machine is not in it.
double thread_ms() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_nsec) / 1e6;
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

std::size_t other_marks(const Marks& marks, const Marks& wanted) {
  std::size_t count = std::max(marks.size(), wanted.size()) - std::min(marks.size(), wanted.size());
  for (std::size_t i = 0; i < std::min(marks.size(), wanted.size()); ++i)
    count += marks[i].line != wanted[i].line || marks[i].column != wanted[i].column;
  return count;
}

void time_readers(const char* style, const std::string& text, int rounds) {
  const auto all = readers();
  std::vector<std::vector<double>> times(all.size());
  for (int round = 0; round < rounds; ++round) {
    for (std::size_t i = 0; i < all.size(); ++i) {
      const double start = thread_ms();
      all[i].read(text, nullptr);
      times[i].push_back(thread_ms() - start);
    }
  }
  Marks wanted;
  read_yaml_cpp(text, &wanted);
  for (std::size_t i = 0; i < all.size(); ++i) {
    Marks marks;
    const std::string complaint = all[i].read(text, &marks);
    std::printf(
        "yaml style=%s bytes=%zu reader=%s median_ms=%.1f best_ms=%.1f ratio=%.2f nodes=%zu other_marks=%zu "
        "%s\n",
        style, text.size(), all[i].name, median(times[i]),
        *std::min_element(times[i].begin(), times[i].end()), median(times[i]) / median(times[0]),
        marks.size(), other_marks(marks, wanted), complaint.c_str());
  }
}

// ---- Errors

// What the operator is told: the check of the characters, then the two readers.
std::string read_linegate(const std::string& text, Marks*) {
  Problems problems;
  std::ignore = YamlTree::read(text, 0, {}, problems);
  return problems.empty() ? std::string() : to_string(problems.front());
}

constexpr struct {
  const char* what;
  const char* text;
} kTexts[] = {
    {"valid: IPv6 default route in a list", "allowed_ips: [0.0.0.0/0, ::/0]\n"},
    {"a key given twice", "ports: {}\nports: {}\n"},
    {"a tab as indentation", "ports:\n\twan0: {}\n"},
    {"a tab in a deeper level", "ports:\n  wan0:\n\tdevice: x\n"},
    {"indentation between two levels", "a:\n    b: 1\n  c: 2\n"},
    {"an anchor and an alias", "a: &x [1]\nb: *x\n"},
    {"an alias without an anchor", "ports: *wan\n"},
    {"an alias inside itself", "ports: &a [*a]\n"},
    {"a quote without its end", "ports:\n  wan0: { device: \"x }\nlan: 1\n"},
    {"a bracket without its end", "ports: {\n  wan0: [1\n"},
    {"a colon too many", "ports: a: b\n"},
    {"a second document", "ports: {}\n---\nports: {}\n"},
    {"not UTF-8", "ports:\n  wan\377: {}\n"},
    {"an overlong UTF-8 slash", "ports: \300\257\n"},
    {"a control character", "ports: {} \004\ninterfaces: nonsense\n"},
    {"UTF-8 before a mark", "ports: { \"\303\251\303\251\": 1, b: c: d }\n"},
};

void print_errors() {
  auto all = readers();
  all.erase(all.begin(), all.begin() + 3);
  all.insert(all.begin(), {"linegate", read_linegate});
  for (const auto& [what, text] : kTexts) {
    std::printf("%s\n", what);
    for (const Reader& reader : all) {
      std::string answer = reader.read(text, nullptr);
      std::replace(answer.begin(), answer.end(), '\n', ' ');
      std::printf("  %-9s %s\n", reader.name, answer.empty() ? "accepted" : answer.c_str());
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  std::size_t peers = 100'000;
  int rounds = 15;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--errors") {
      print_errors();
      return 0;
    }
    if (argument.starts_with("--peers=")) {
      peers = static_cast<std::size_t>(std::atol(argv[i] + 8));
    } else if (argument.starts_with("--rounds=")) {
      rounds = std::max(1, std::atoi(argv[i] + 9));
    } else {
      return std::fprintf(stderr, "usage: yaml [--peers=N] [--rounds=N] | --errors\n"), 2;
    }
  }
  time_readers("braces", configuration(peers, true), rounds);
  time_readers("blocks", configuration(peers, false), rounds);
}
