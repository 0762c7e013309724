// The answers of the control socket as people read them; pure.
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
/// Reasons that never happened are left out.
void render_drops(const Json& result, std::ostream& out);
void render_plan(const Json& plan, std::ostream& out, std::ostream& err);
void render_event(const Json& event, std::ostream& out);

}  // namespace wg::control::cli
