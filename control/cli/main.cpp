#include <unistd.h>

#include <iostream>

#include "control/cli/cli.h"

int main(int argc, char** argv) {
  using namespace wg::control::cli;
  return run({argv + 1, argv + argc}, {std::cin, std::cout, std::cerr, layout_of_stdout(), STDOUT_FILENO});
}
