// Completion of command lines in bash, zsh and fish.
#pragma once

#include <string>
#include <vector>

#include "control/cli/command_tree.h"

namespace wg::control::cli {

inline constexpr const char* kFiles = ":files";  // stands for the names of files, which the shell completes

struct Candidate {
  std::string word;
  std::string help;
};

// The completions of the last of `words`, which may be empty. Asks the running gateway for names of
// interfaces and peers.
std::vector<Candidate> complete_words(const CommandFacts& root, const std::vector<std::string>& words);
// For "bash", "zsh" or "fish".
std::string completion_script(const std::string& shell);

}  // namespace wg::control::cli
