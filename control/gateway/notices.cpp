#include "control/gateway/notices.h"

#include <algorithm>
#include <utility>

#include "control/kernel/firewall.h"
#include "control/publish/short_cut_rules.h"

namespace wg::control {
namespace {

bool contains(const std::vector<std::string>& list, const std::string& text) {
  return std::find(list.begin(), list.end(), text) != list.end();
}

}  // namespace

Notices::Notices(const Services& services, const Objects& objects, Logger log)
    : services_(services), objects_(objects), log_(std::move(log)) {}

void Notices::refresh() {
  std::vector<std::string> now = gather();
  for (const std::string& text : now) {
    if (!contains(current_, text)) log_->write(log_event::notice, {}, "{}", text);
  }
  for (const std::string& text : current_) {
    if (!contains(now, text)) log_->write(log_event::notice_gone, {}, "no longer: {}", text);
  }
  current_ = std::move(now);
}

bool Notices::short_cut_is_used() const {
  const auto& interfaces = objects_.interfaces();
  return port_to_port_is_used() || std::any_of(interfaces.begin(), interfaces.end(), [](const auto& entry) {
           return entry.second->takes_short_cut();
         });
}

bool Notices::port_to_port_is_used() const {
  const auto& ports = objects_.ports();
  return std::any_of(ports.begin(), ports.end(),
                     [](const auto& entry) { return entry.second->value().port_to_port; });
}

std::vector<std::string> Notices::gather() const {
  std::vector<std::string> out;
  if (services_.key_captures_allowed)
    out.emplace_back("captures may record private keys (run --allow-key-captures): for laboratories alone");
  for (const auto& [name, port] : objects_.ports()) {
    for (std::string& text : port->warnings()) out.push_back(std::move(text));
    if (port->value().forwarding == config::Forwarding::kShortCut)
      add_hindrances("port " + name, port->ifindex(), out);
  }
  for (const auto& [name, interface] : objects_.interfaces()) {
    if (interface->takes_short_cut()) add_hindrances("interface " + name, interface->ifindex(), out);
  }
  if (!short_cut_is_used()) return out;
  add_rules(out);
  if (services_.ipsec.any())
    out.emplace_back("no packet takes the short cut: Linux has IPsec policies (ip xfrm policy)");
  const auto ours = [this](const std::string& link) {
    return objects_.ports().contains(link) || objects_.interfaces().contains(link);
  };
  if (std::string text = firewall_warning(chains_beside_short_cut(ours), port_to_port_is_used());
      !text.empty())
    out.push_back(std::move(text));
  return out;
}

void Notices::add_hindrances(const std::string& what, std::uint32_t ifindex,
                             std::vector<std::string>& out) const {
  const Link* link = services_.mirror.link(ifindex);
  if (link == nullptr || !link->up) return;
  const ShortCutRules rules(services_.mirror);
  for (const bool v6 : {false, true}) {
    const std::string family = v6 ? "IPv6" : "IPv4";
    if (const auto off = rules.forwarding_is_off(*link, v6))
      out.push_back(what + ": Linux forwards no " + family + " packets from it (" + *off + ")");
    if (const auto checked = rules.source_is_checked(*link, v6))
      out.push_back(what + ": " + family + " packets from it do not take the short cut, Linux checks their " +
                    "sources (" + *checked + ")");
  }
}

void Notices::add_rules(std::vector<std::string>& out) const {
  const ShortCutRules rules(services_.mirror);
  for (const bool v6 : {false, true}) {
    if (rules.destination_decides(v6)) continue;
    out.push_back(std::string(v6 ? "IPv6" : "IPv4") +
                  " packets do not take the short cut: Linux has routing rules that select more than what " +
                  "this machine sends (ip rule)");
  }
}

}  // namespace wg::control
