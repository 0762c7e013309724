#include <iostream>

#include "control/cli/cli.h"

int main(int argc, char** argv) {
  return wg::control::cli::run({argv + 1, argv + argc}, {std::cin, std::cout, std::cerr});
}
