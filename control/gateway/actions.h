// Carrying out one action of a plan: one function per kind.
//
// An action on what has gone meanwhile changes nothing, and what exists already is not made twice, so an
// action may be carried out again (config::diff() names the exception).
#pragma once

#include <cstdint>
#include <string>

#include "config/diff.h"
#include "control/gateway/objects.h"
#include "control/gateway/saved_state.h"
#include "control/gateway/sockets.h"
#include "control/log.h"
#include "control/services.h"

namespace wg::control {

class Actions {
 public:
  Actions(Services& services, Objects& objects, Sockets& sockets, SavedState& saved, Logger log);

  // The MTU of interfaces that leave it to the gateway, for the actions that follow.
  void use_auto_mtu(std::uint16_t mtu) { auto_mtu_ = mtu; }
  Expected<> carry_out(const config::Action& action);
  // Actions that follow are the way back from a plan: they take back only what was done.
  void set_undoing(bool undoing) { undoing_ = undoing; }

 private:
  Expected<> carry_out_kind(const config::NeedsRestart& action);
  Expected<> carry_out_kind(const config::ChangeSettings<config::Dpdk>& action);
  Expected<> carry_out_kind(const config::ChangeSettings<config::Control>& action);
  Expected<> carry_out_kind(const config::ChangeSettings<config::Flows>& action);
  Expected<> carry_out_kind(const config::ChangeSettings<config::Port>& action);
  Expected<> carry_out_kind(const config::ChangeSettings<config::Interface>& action);
  Expected<> carry_out_kind(const config::SetMetrics& action);
  Expected<> carry_out_kind(const config::SetControlSocket& action);
  Expected<> carry_out_kind(const config::AddPort& action);
  Expected<> carry_out_kind(const config::RemovePort& action);
  Expected<> carry_out_kind(const config::AddPortAddress& action);
  Expected<> carry_out_kind(const config::RemovePortAddress& action);
  Expected<> carry_out_kind(const config::SetPortGateways& action);
  Expected<> carry_out_kind(const config::SetPortMtu& action);
  Expected<> carry_out_kind(const config::AddInterface& action);
  Expected<> carry_out_kind(const config::RemoveInterface& action);
  Expected<> carry_out_kind(const config::SetInterfaceEnabled& action);
  Expected<> carry_out_kind(const config::SetInterfaceKey& action);
  Expected<> carry_out_kind(const config::SetListenPort& action);
  Expected<> carry_out_kind(const config::SetFwmark& action);
  Expected<> carry_out_kind(const config::AddInterfaceAddress& action);
  Expected<> carry_out_kind(const config::RemoveInterfaceAddress& action);
  Expected<> carry_out_kind(const config::SetInterfaceMtu& action);
  Expected<> carry_out_kind(const config::SetRoutes& action);
  Expected<> carry_out_kind(const config::KeepPrefix& action);
  Expected<> carry_out_kind(const config::ForgetPrefix& action);
  Expected<> carry_out_kind(const config::AddPeer& action);
  Expected<> carry_out_kind(const config::RemovePeer& action);
  Expected<> carry_out_kind(const config::SetPeerName& action);
  Expected<> carry_out_kind(const config::SetPeerEndpoint& action);
  Expected<> carry_out_kind(const config::SetPresharedKey& action);
  Expected<> carry_out_kind(const config::SetKeepalive& action);
  Expected<> carry_out_kind(const config::SetPeerMtu& action);
  Expected<> carry_out_kind(const config::AddAllowedIp& action);
  Expected<> carry_out_kind(const config::MoveAllowedIp& action);
  Expected<> carry_out_kind(const config::RemoveAllowedIp& action);
  template <class Use>
  Expected<> with_port(const std::string& name, Use&& use);
  template <class Use>
  Expected<> with_interface(const std::string& name, Use&& use);
  void announce(GatewayEventKind kind, const std::string& interface);

  Services& services_;
  Objects& objects_;
  Sockets& sockets_;
  SavedState& saved_;
  Logger log_;
  std::uint16_t auto_mtu_ = 1420;
  bool undoing_ = false;
};

}  // namespace wg::control
