// Every line of the log belongs to an event: a name that programs may rely on, and how grave it is. A row
// here and the line that is written are all an event costs. What happens to a peer has a row in
// control/noise/peer_event_kinds.h instead.
#pragma once

#include <cstdint>

namespace wg::control {

// The gravest first, as the levels of the configuration are.
enum class Severity : std::uint8_t { critical, error, warn, info, debug, trace };

struct LogEvent {
  const char* name;
  Severity severity;
};

// X(name, severity, when it is written)
#define WG_LOG_EVENTS(X)                                                                        \
  X(started, info, "the gateway runs")                                                          \
  X(stopping, info, "a signal stops the gateway")                                               \
  X(stopped, info, "the gateway has stopped")                                                   \
  X(start_failed, critical, "the gateway cannot start")                                         \
  X(no_sandbox, warn, "the kernel does not confine the gateway")                                \
  X(no_priority, info, "the gateway may not go before other programs on the CPUs it shares")    \
  X(user_changed, info, "the gateway runs as another user from now on")                         \
  X(dataplane_warning, warn, "DPDK runs below its best speed")                                  \
  X(task_failed, error, "the control thread abandoned a task")                                  \
  X(worker_stalled, error, "a worker makes no progress")                                        \
  X(worker_stuck, critical, "a worker makes no progress for so long that the gateway aborts")   \
  X(lines_lost, warn, "lines of the log were lost")                                             \
  X(request_ignored, debug, "a request that may fail has failed")                               \
  X(state_unreadable, warn, "a file of the state directory is not valid")                       \
  X(state_unwritten, warn, "a file of the state directory cannot be written")                   \
  X(state_written, info, "a file of the state directory can be written again")                  \
  X(history_unwritten, warn, "a configuration is not in the history")                           \
  X(crash_found, warn, "the previous run did not restore what it changed")                      \
  X(machine_not_put_back, warn, "a setting of the machine could not be restored")               \
  X(notice, warn, "a warning of `show` began")                                                  \
  X(notice_gone, info, "a warning of `show` ended")                                             \
  X(drift_found, warn, "Linux differs from the configuration")                                  \
  X(drift_gone, info, "Linux agrees with the configuration again")                              \
  X(put_back, warn, "what Linux had lost was restored")                                         \
  X(put_back_failed, warn, "what Linux has lost cannot be restored")                            \
  X(put_back_rests, warn, "repairs of what Linux loses repeatedly are paused")                  \
  X(port_added, info, "a port runs")                                                            \
  X(port_lost, error, "the wire or the Linux interface of a port is gone")                      \
  X(port_restarting, warn, "a port is being restarted")                                         \
  X(port_restarted, info, "a port was restarted")                                               \
  X(port_failed, error, "a port cannot be started")                                             \
  X(port_recreated, warn, "a card that did not restart is closed and opened again")             \
  X(carrier_lost, warn, "the link of a port is down")                                           \
  X(carrier_back, info, "the link of a port is up again")                                       \
  X(port_mtu_failed, error, "a port cannot follow the MTU of its wire")                         \
  X(announcement_failed, debug, "an address could not be announced to the neighbours")          \
  X(interface_up, info, "an interface is up")                                                   \
  X(interface_down, info, "an interface is down")                                               \
  X(interface_failed, error, "an interface cannot go up or be removed")                         \
  X(interface_gone, warn, "another program has deleted the Linux interface")                    \
  X(bound_interfaces_failed, error, "the interfaces of a program that ended cannot be removed") \
  X(routes_failed, warn, "routes of allowed IPs could not be set")                              \
  X(peer_table_full, error, "the peer table is full")                                           \
  X(name_table_full, error, "the table of endpoint names is full")                              \
  X(name_unresolved, warn, "an endpoint's name has no address")                                 \
  X(next_address, info, "a peer does not answer: the next address of its name is tried")        \
  X(handshake_unsent, debug, "Linux did not send a handshake message")                          \
  X(handshake_refused, debug, "a handshake message of an unknown peer was refused")             \
  X(reload_applied, info, "the configuration was applied")                                      \
  X(reload_refused, error, "the configuration was refused")                                     \
  X(reload_waits, warn, "a reload is undone unless it is confirmed")                            \
  X(reload_unconfirmed, warn, "a reload was not confirmed and is undone")                       \
  X(reload_confirmed, info, "a reload was confirmed")                                           \
  X(files_unwatched, error, "`reload_on_change` does not work")                                 \
  X(keys_recorded, warn, "a capture records private keys")                                      \
  X(changed_by, info, "who changes something, or reads secrets or packets")                     \
  X(asked_by, trace, "who reads something")                                                     \
  X(wg_set, info, "who sets an interface by wg(8)")                                             \
  X(wg_set_refused, error, "what wg(8) asked for was refused")                                  \
  X(ring_joined, info, "a program is the inner side of an interface")                           \
  X(ring_left, info, "the program has closed its ring: Linux is the inner side again")          \
  X(ring_ended, warn, "the gateway has stopped the ring of a program")                          \
  X(flows_on, info, "workers carry connections")                                                \
  X(flows_off, error, "connections stay with Linux")                                            \
  X(flows_unseen, warn, "connection tracking reports no events")                                \
  X(flows_full, warn, "workers carry as many connections as they may")                          \
  X(flows_room, info, "workers may carry more connections again")                               \
  X(flows_lost, warn, "events of connection tracking were lost")                                \
  X(flows_relearnt, info, "connection tracking was read again")                                 \
  X(flows_rules_changed, info, "the rules of nftables have changed")

namespace log_event {
#define X(name, severity, when) inline constexpr LogEvent name{#name, Severity::severity};
WG_LOG_EVENTS(X)
#undef X
}  // namespace log_event

}  // namespace wg::control
