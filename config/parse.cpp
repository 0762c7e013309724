#include "config/parse.h"

#include "config/read_file.h"
#include "config/reader.h"
#include "config/validate.h"

namespace wg::config {
namespace {

ParsedGateway finish(Gateway&& gateway, Problems&& problems) {
  for (auto& problem : validate(gateway)) problems.push_back(std::move(problem));
  sort_by_position(problems);
  if (!problems.empty()) return problems;
  return std::move(gateway);
}

}  // namespace

ParsedGateway parse_text(std::string_view text, const std::string& filename, const ParseOptions& options) {
  Gateway gateway;
  gateway.sources.files.push_back(filename);
  Problems problems;
  if (text.size() > kMaxFileBytes) {
    problems.push_back(
        {filename, {}, {}, "is too large; allowed are at most " + std::to_string(kMaxFileBytes) + " bytes"});
    return finish(std::move(gateway), std::move(problems));
  }
  const YamlTree tree = YamlTree::read(text, 0, filename, problems);
  if (!tree.empty()) {
    ReadContext context{gateway, problems, options};
    const Source source{context, tree, 0};
    read_gateway(Value(source, tree.root(), {}), gateway);
  } else if (problems.empty()) {
    problems.push_back(
        {filename, {}, {}, "is empty; allowed: a map with dpdk, ports, interfaces, flows, control"});
  }
  return finish(std::move(gateway), std::move(problems));
}

ParsedGateway parse_file(const std::string& path, const ParseOptions& options) {
  ReadLimits limits;
  limits.settle = options.settle;
  Expected<FileText> file = options.read(path, limits);
  if (!file) return Problems{{path, {}, {}, file.error().text}};
  auto result = parse_text(file->text, path, options);
  wipe(file->text);
  return result;
}

std::string to_string(const Problems& problems) {
  std::string text;
  for (const auto& problem : problems) text += to_string(problem) + "\n";
  return text;
}

}  // namespace wg::config
