// genkey, pubkey, genpsk: the same commands as in wg(8).
#include <sodium.h>

#include <istream>
#include <ostream>

#include "config/key.h"
#include "control/api/wg_protocol.h"
#include "control/cli/cli.h"

namespace wg::control::cli {
namespace {

config::SecretKey random_key() {
  if (sodium_init() < 0) throw CommandFailed(kFailed, "the random number generator cannot be initialised");
  std::array<std::uint8_t, config::kKeyBytes> bytes;
  randombytes_buf(bytes.data(), bytes.size());
  config::SecretKey key{bytes};
  sodium_memzero(bytes.data(), bytes.size());
  return key;
}

void print_secret(std::ostream& out, const config::SecretKey& key) {
  auto text = config::reveal(key);
  out << text << "\n";
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

void add_keys(CLI::App& app, Invocation& invocation) {
  Terminal& terminal = invocation.terminal;
  app.add_subcommand("genkey", "Print a new private key")->callback([&terminal] {
    print_secret(terminal.out, clamped(random_key()));
  });
  app.add_subcommand("pubkey", "Read a private key from stdin, print its public key")->callback([&terminal] {
    pubkey(terminal);
  });
  app.add_subcommand("genpsk", "Print a new preshared key")->callback([&terminal] {
    print_secret(terminal.out, random_key());
  });
}

}  // namespace wg::control::cli
