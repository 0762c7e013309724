#include "control/kernel/rule_table.h"

#include <linux/fib_rules.h>

#include <algorithm>

namespace wg::control {
namespace {

bool has_no_selector(const RoutingRule& rule) {
  return rule.fwmask == 0 && rule.destination.length == 0 && !rule.invert && !rule.selects_more &&
         rule.suppress_prefix_length < 0 && rule.action == FR_ACT_TO_TBL;
}

bool is_kernel_default(const RoutingRule& rule) {
  if (!has_no_selector(rule)) return false;
  return (rule.priority == 0 && rule.table == RT_TABLE_LOCAL) ||
         (rule.priority == 32766 && rule.table == RT_TABLE_MAIN) ||
         (rule.priority == 32767 && rule.table == RT_TABLE_DEFAULT);
}

bool precedes(const RoutingRule& a, const RoutingRule& b) {
  return a.priority < b.priority;
}

}  // namespace

bool RuleTable::are_default(bool v6) const {
  const auto& list = of(v6);
  return std::all_of(list.begin(), list.end(), [](const RoutingRule& rule) {
    return is_kernel_default(rule) || (rule.l3mdev && has_no_selector(rule));
  });
}

bool RuleTable::are_evaluated(bool v6) const {
  const auto& list = of(v6);
  return std::none_of(list.begin(), list.end(), [](const RoutingRule& rule) { return rule.selects_more; });
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

void RuleTable::clear() {
  for (auto& list : rules_) list.clear();
}

}  // namespace wg::control
