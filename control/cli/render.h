// Renders the answers of the control socket as text. Pure functions.
#pragma once

#include <iosfwd>

#include "control/api/json.h"
#include "control/cli/table.h"

namespace wg::control::cli {

// The inputs of rendering besides the answer.
struct View {
  WallTime now;
  Layout layout;
};

void render_gateway(const Json& gateway, const View& view, std::ostream& out);
void render_section(const TableSection& section, const Json& result, const View& view, std::ostream& out);
// The sections that have rows, a blank line between them; the first section in any case.
void render_table(const ShowTable& table, const Json& result, const View& view, std::ostream& out);
void render_peers(const Json& result, const View& view, std::ostream& out);
void render_peer(const Json& peer, const View& view, std::ostream& out);
void render_plan(const Json& plan, std::ostream& out, std::ostream& err);
void render_event(const Json& event, std::ostream& out);

}  // namespace wg::control::cli
