// The peers of an interface: how they come, change and go, each of the steps in all the places that hold a
// part of a peer (book, engine, routes, endpoints, paths).
//
// Control thread only.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "control/interface/allowed_routes.h"
#include "control/interface/core.h"
#include "control/interface/peer_endpoints.h"
#include "control/interface/peer_notes.h"
#include "control/interface/peer_paths.h"

namespace wg::control {

class InterfacePeers {
 public:
  struct Parts {
    AllowedRoutes& routes;
    PeerPaths& paths;
    PeerEndpoints& endpoints;
    PeerNotes& notes;
  };
  InterfacePeers(InterfaceCore& core, const Parts& parts) : core_(core), parts_(parts) {}

  // nullptr: the table is full, or our own key. Of very many allowed IPs it gets the first ones, the others
  // by give_some().
  PeerRecord* add(const config::Peer& value);
  // False: each has got all of them.
  bool give_some();
  void remove(const config::Key& key);
  // Before, of a peer that has very many allowed IPs. False: it has few left, or is not there.
  bool take_some(const config::Key& key);
  void remove_all();
  // For an interface that goes, in steps: some of them. False: there is none.
  bool remove_some();

  // ---- one per action of a plan. A peer that has gone meanwhile is left out.
  void set_name(const config::Key& key, const std::string& name);
  void set_endpoint(const config::Key& key, const std::optional<config::Endpoint>& endpoint, bool forced);
  void set_preshared_key(const config::Key& key, const std::optional<config::SecretKey>& psk);
  void set_keepalive(const config::Key& key, std::chrono::seconds interval);
  void set_mtu(const config::Key& key, std::optional<std::uint16_t> mtu);
  // Moves the prefix from the peer that holds it, in one step.
  void add_allowed_ip(const config::Key& key, const config::Prefix& prefix);
  void remove_allowed_ip(const config::Key& key, const config::Prefix& prefix);

 private:
  void apply(PeerRecord& record, const config::Peer& value);
  void give(PeerRecord& record, const config::Peer& value);

  InterfaceCore& core_;
  Parts parts_;
  // Allowed IPs that a peer shall have and has not yet; the next one is the last of the list.
  struct Rest {
    config::Key key;
    std::vector<config::Prefix> allowed_ips;
  } rest_;
};

}  // namespace wg::control
