// Renders the answers of the control socket as text. Pure functions.
#pragma once

#include <iosfwd>

#include "control/api/json.h"

namespace wg::control::cli {

void render_gateway(const Json& gateway, WallTime now, std::ostream& out);
void render_interfaces(const Json& result, std::ostream& out);
void render_peers(const Json& result, WallTime now, std::ostream& out);
void render_peer(const Json& peer, WallTime now, std::ostream& out);
void render_ports(const Json& result, std::ostream& out);
void render_workers(const Json& result, std::ostream& out);
// Omits reasons whose count is zero.
void render_drops(const Json& result, std::ostream& out);
void render_plan(const Json& plan, std::ostream& out, std::ostream& err);
void render_event(const Json& event, std::ostream& out);

}  // namespace wg::control::cli
