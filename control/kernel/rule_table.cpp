#include "control/kernel/rule_table.h"

#include <linux/fib_rules.h>

#include <algorithm>

namespace wg::control {
namespace {

bool has_no_selector(const RoutingRule& rule) {
  RoutingRule bare;  // with what is no selector
  bare.v6 = rule.v6;
  bare.priority = rule.priority;
  bare.action = rule.action;
  bare.table = rule.table;
  bare.l3mdev = rule.l3mdev;
  bare.destination.address.v6 = bare.source.address.v6 = rule.v6;
  return rule.action == FR_ACT_TO_TBL && rule == bare;
}

bool is_kernel_default(const RoutingRule& rule) {
  if (!has_no_selector(rule)) return false;
  return (rule.priority == 0 && rule.table == RT_TABLE_LOCAL) ||
         (rule.priority == 32766 && rule.table == RT_TABLE_MAIN) ||
         (rule.priority == 32767 && rule.table == RT_TABLE_DEFAULT);
}

// Without one of them packets go elsewhere.
bool have_local_and_main(const std::vector<RoutingRule>& rules) {
  const auto leads_to = [](std::uint32_t table) {
    return [table](const RoutingRule& rule) { return is_kernel_default(rule) && rule.table == table; };
  };
  return std::any_of(rules.begin(), rules.end(), leads_to(RT_TABLE_LOCAL)) &&
         std::any_of(rules.begin(), rules.end(), leads_to(RT_TABLE_MAIN));
}

bool precedes(const RoutingRule& a, const RoutingRule& b) {
  return a.priority < b.priority;
}

}  // namespace

bool RuleTable::are_default(bool v6) const {
  return are_default_for_forwarded(v6, [](const IpAddress&) { return false; }) &&
         std::none_of(of(v6).begin(), of(v6).end(),
                      [](const RoutingRule& rule) { return !rule.oif.empty() || !rule.iif.empty(); });
}

bool RuleTable::are_default_for_forwarded(bool v6,
                                          const std::function<bool(const IpAddress&)>& is_local) const {
  const auto& list = of(v6);
  const auto is_for_senders_here = [&](const RoutingRule& rule) {
    if (rule.invert) return false;
    const bool own_source =
        rule.source.length == address_bits(rule.source.address) && is_local(rule.source.address);
    return own_source || !rule.oif.empty() || rule.iif == "lo";
  };
  return have_local_and_main(list) && std::all_of(list.begin(), list.end(), [&](const RoutingRule& rule) {
           return is_kernel_default(rule) || (rule.l3mdev && has_no_selector(rule)) ||
                  is_for_senders_here(rule);
         });
}

bool RuleTable::put(const RoutingRule& rule) {
  auto& list = rules_[rule.v6 ? 1 : 0];
  if (std::find(list.begin(), list.end(), rule) != list.end()) return false;
  list.insert(std::upper_bound(list.begin(), list.end(), rule, precedes), rule);
  return true;
}

bool RuleTable::remove(const RoutingRule& rule) {
  auto& list = rules_[rule.v6 ? 1 : 0];
  const auto at = std::find(list.begin(), list.end(), rule);
  if (at == list.end()) return false;
  list.erase(at);
  return true;
}

}  // namespace wg::control
