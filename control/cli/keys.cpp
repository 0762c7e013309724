// genkey, pubkey, genpsk: the same commands as in wg(8).
#include <sodium.h>
#include <sys/stat.h>

#include <istream>
#include <ostream>

#include "config/key.h"
#include "control/api/wg_protocol.h"
#include "control/cli/cli.h"
#include "control/cli/new_key.h"

namespace wg::control::cli {
namespace {

void print_secret(Terminal& terminal, const config::SecretKey& key) {
  guard_secret_output(terminal);
  auto text = config::reveal(key);
  terminal.out << text << "\n";
  config::wipe(text);
}

void pubkey(Terminal& terminal) {
  std::string text;
  terminal.in >> text;
  const auto key = config::parse_secret_key(text);
  config::wipe(text);
  if (!key) throw CommandFailed(kBadUsage, "stdin does not contain a key (32 bytes in base64 or hex)");
  terminal.out << config::to_string(config::public_key_of(*key)) << "\n";
}

}  // namespace

config::SecretKey new_random_key() {
  if (sodium_init() < 0) throw CommandFailed(kFailed, "the random number generator cannot be initialised");
  std::array<std::uint8_t, config::kKeyBytes> bytes;
  randombytes_buf(bytes.data(), bytes.size());
  config::SecretKey key{bytes};
  sodium_memzero(bytes.data(), bytes.size());
  return key;
}

config::SecretKey new_private_key() {
  return clamped(new_random_key());
}

void guard_secret_output(Terminal& terminal) {
  struct stat file {};
  if (terminal.out_file < 0 || fstat(terminal.out_file, &file) != 0) return;
  if (!S_ISREG(file.st_mode) || (file.st_mode & 077) == 0) return;
  if (file.st_size == 0 && fchmod(terminal.out_file, 0600) == 0) return;
  terminal.err << "warning: keys are written to a file that others can read; give it mode 0600\n";
}

void add_keys(CLI::App& app, Invocation& invocation) {
  Terminal& terminal = invocation.terminal;
  app.add_subcommand("genkey", "Print a new private key")->callback([&terminal] {
    print_secret(terminal, new_private_key());
  });
  app.add_subcommand("pubkey", "Read a private key from stdin, print its public key")->callback([&terminal] {
    pubkey(terminal);
  });
  app.add_subcommand("genpsk", "Print a new preshared key")->callback([&terminal] {
    print_secret(terminal, new_random_key());
  });
}

}  // namespace wg::control::cli
