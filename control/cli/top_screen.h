// The screen of `linegate top` and its keys. Pure functions; top.cpp has the terminal and the gateway.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "control/api/json.h"
#include "control/cli/render.h"

namespace wg::control::cli {

// The gateway's answers at one moment.
struct TopReading {
  Json rates, workers, drops, ports;
};

// Figures per second, from two readings: the document that `--json` prints.
Json top_figures(const TopReading& before, const TopReading& now, double seconds);

struct TopState {
  std::string sort = "transfer";
  std::string filter;
  std::string typed;  // while the filter is being typed
  bool typing = false;
  bool paused = false;
  bool explaining = false;   // an explanation is shown in place of the peers
  std::size_t selected = 0;  // row
};

enum class TopAction {
  kNothing,
  kDraw,     // the same figures again
  kAsk,      // the question has changed
  kExplain,  // the selected peer
  kQuit,
};

// The keys in bytes of a terminal: one character each, or "up", "down", "enter", "escape", "backspace". Other
// sequences are left out.
std::vector<std::string> keys_of(std::string_view bytes);
// `rows`: of the peers on the screen.
TopAction take_key(TopState& state, const std::string& key, std::size_t rows);

// The summary and the peers. `lines`: of the terminal; 0: no limit. Without a state no keys are named.
std::string render_top(const Json& figures, const TopState* state, const View& view, std::size_t lines);
// How many peers such a screen has room for.
std::size_t rows_of_screen(std::size_t lines);

}  // namespace wg::control::cli
