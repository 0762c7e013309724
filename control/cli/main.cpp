#include <unistd.h>

#include <cstdio>
#include <exception>
#include <iostream>

#include "control/cli/cli.h"

int main(int argc, char** argv) {
  using namespace wg::control::cli;
  try {
    return run({argv + 1, argv + argc}, {std::cin, std::cout, std::cerr, layout_of_stdout(), STDOUT_FILENO});
  } catch (const std::exception& error) {  // out of memory, no thread to be had
    std::fprintf(stderr, "linegate: %s\n", error.what());
    return kFailed;
  }
}
