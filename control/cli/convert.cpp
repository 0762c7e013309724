// import, export: from and to the file formats of wg(8) and wg-quick(8).
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <ostream>

#include "config/import_wg_quick.h"
#include "control/cli/call.h"

namespace wg::control::cli {
namespace {

std::string read_all(const std::string& path, std::istream& standard_input) {
  if (path == "-") return {std::istreambuf_iterator<char>(standard_input), {}};
  std::ifstream file(path, std::ios::binary);
  if (!file) throw CommandFailed(kFailed, "cannot read " + path);
  return {std::istreambuf_iterator<char>(file), {}};
}

struct ImportOptions {
  std::string file, name, key_file;
};

// As in wg-quick, wg0.conf describes the interface wg0.
std::string interface_name(const ImportOptions& options) {
  const auto name = options.name.empty() ? std::filesystem::path(options.file).stem().string() : options.name;
  const bool nameless = options.name.empty() && options.file == "-";
  if (!nameless && config::is_interface_name(name)) return name;
  throw CommandFailed(kBadUsage, "the file name is not an interface name: use --name");
}

// A key that is there may be in use, and may be the only copy.
void write_new_key(const std::string& path, const config::SecretKey& key) {
  std::error_code unknown;
  if (std::filesystem::exists(std::filesystem::symlink_status(path, unknown)))
    throw CommandFailed(kBadUsage, path + ": exists already: name another --key-file, or move it away");
  if (const auto written = config::write_key_file(path, key); !written)
    throw CommandFailed(kFailed, written.error().about(path).text);
}

void import_file(const ImportOptions& options, Terminal& terminal) {
  const auto name = interface_name(options);
  auto text = read_all(options.file, terminal.in);
  const auto imported = config::import_wg_quick(text, options.file, {options.key_file});
  config::wipe(text);
  terminal.err << config::to_string(imported ? imported->notes : imported.error());
  if (!imported) throw CommandFailed(kBadUsage, options.file + ": nothing was imported");
  if (!options.key_file.empty() && imported->interface.private_key)
    write_new_key(options.key_file, *imported->interface.private_key);
  guard_secret_output(terminal);
  auto yaml = config::to_yaml(name, imported->interface);
  terminal.out << yaml;
  config::wipe(yaml);
}

void export_interface(const std::string& name, bool wg_quick, Invocation& invocation) {
  RpcClient gateway(invocation.socket, Access::kAdmin);
  auto result =
      gateway.call("interface.export", {{"name", name}, {"format", wg_quick ? "wg-quick" : "setconf"}});
  auto& text = result["text"].get_ref<std::string&>();
  if (text.empty()) throw CommandFailed(kFailed, "interface " + name + " has gone meanwhile");
  guard_secret_output(invocation.terminal);
  invocation.terminal.out << text;
  config::wipe(text);
}

}  // namespace

void add_convert(CLI::App& app, Invocation& invocation) {
  const auto options = std::make_shared<ImportOptions>();
  auto* from = app.add_subcommand("import", "Convert a wg-quick or wg file to YAML on stdout");
  from->add_option("file", options->file, "The file, or - for stdin")->required()->type_name("FILE");
  from->add_option("--name", options->name, "Interface name (default: the file name without its extension)")
      ->type_name("NAME");
  from->add_option("--key-file", options->key_file,
                   "Write the private key to this file (mode 0600) and not into the YAML")
      ->type_name("FILE");
  from->callback([options, &invocation] { import_file(*options, invocation.terminal); });

  const auto name = std::make_shared<std::string>();
  const auto wg_quick = std::make_shared<bool>(false);
  auto* to = app.add_subcommand("export", "Print a running interface in `wg setconf` format, keys included");
  to->add_option("interface", *name, "The interface")->required()->type_name("INTERFACE");
  to->add_flag("--wg-quick", *wg_quick, "Print wg-quick format, with addresses and MTU");
  to->callback([=, &invocation] { export_interface(*name, *wg_quick, invocation); });
}

}  // namespace wg::control::cli
