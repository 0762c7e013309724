// Complaints about the file as a whole, its YAML, `dpdk` and `control`. Each case: a text and all it is
// answered with.
#include "tests/unit/config/support.h"

namespace wg::config::errors_file_test {
namespace {

const std::vector<ErrorCase> kCases = {
    {"nothing at all", "",
     "gw.yaml: is empty; allowed: a map with dpdk, ports, interfaces, flows, control\n"},
    {"a comment alone", "# nothing\n",
     "gw.yaml: is empty; allowed: a map with dpdk, ports, interfaces, flows, control\n"},
    {"a list at the root", "- 1\n",
     "gw.yaml:1:1: is a list; allowed: a map with dpdk, ports, interfaces, flows, control\n"},
    {"a scalar at the root", "linegate\n",
     "gw.yaml:1:1: is a single value; allowed: a map with dpdk, ports, interfaces, flows, control\n"},
    {"an unknown section", "interface: {}\n",
     "gw.yaml:1:1: interface: unknown key; did you mean 'interfaces'?\n"},
    {"an unknown section far from all", "firewall: {}\n",
     "gw.yaml:1:1: firewall: unknown key; allowed: dpdk, ports, interfaces, flows, control\n"},
    {"a section given twice",
     "ports: {}\n"
     "ports: {}\n",
     "gw.yaml:2:1: ports: is given twice, first on line 1; allowed: once\n"},
    {"a key that is no name", "[a, b]: 1\n",
     "gw.yaml:1:1: the key is not a plain name; allowed: dpdk, ports, interfaces, flows, control\n"},
    {"a section of the wrong shape", "ports: [wan0]\n",
     "gw.yaml:1:8: ports: is a list; allowed: a map from port name to its keys\n"},
    {"an open bracket",
     "ports: {\n"
     "  wan0: [1\n",
     "gw.yaml:3:1: YAML: end of sequence flow not found\n"},
    {"a tab as indentation",
     "ports:\n"
     "\twan0: {}\n",
     "gw.yaml:2:6: YAML: illegal map value; a tab indents this line, allowed are spaces\n"},
    {"a colon too many", "ports: a: b\n", "gw.yaml:1:9: YAML: illegal map value\n"},
    {"an alias without an anchor", "ports: *wan\n",
     "gw.yaml:1:8: YAML: the referenced anchor is not defined\n"},
    {"an alias inside itself", "ports: &a [*a]\n",
     "gw.yaml:1:12: YAML: an alias inside the value it stands for\n"},
    {"a second document",
     "ports: {}\n"
     "---\n"
     "ports: {}\n",
     "gw.yaml:2:1: YAML: a second document; allowed is one per file\n"},
    {"not UTF-8",
     "ports:\n"
     "  wan\377: {}\n",
     "gw.yaml:2:6: is not UTF-8 from here on\n"},
    {"an overlong UTF-8 slash", "ports: \300\257\n", "gw.yaml:1:8: is not UTF-8 from here on\n"},
    {"a control character",
     "ports: {} \004\n"
     "interfaces: nonsense\n",
     "gw.yaml:1:11: a control character (4); allowed is printable text\n"},
    {"no workers", "dpdk: { workers: 0 }\n",
     "gw.yaml:1:18: dpdk.workers: '0' is out of range; allowed: a number of workers (1 to 127) or a list of "
     "lcores such as [1, 2]\n"},
    {"workers in words", "dpdk: { workers: two }\n",
     "gw.yaml:1:18: dpdk.workers: 'two' is not a whole number; allowed: a number of workers (1 to 127) or a "
     "list of lcores such as [1, 2]\n"},
    {"an empty list of lcores", "dpdk: { workers: [] }\n",
     "gw.yaml:1:18: dpdk.workers: is an empty list; allowed: a number of workers (1 to 127) or a list of "
     "lcores such as [1, 2]\n"},
    {"an lcore twice, another too high", "dpdk: { workers: [1, 1, 128] }\n",
     "gw.yaml:1:22: dpdk.workers[1]: lcore 1 is named twice; allowed: once\n"
     "gw.yaml:1:25: dpdk.workers[2]: '128' is out of range; allowed: an lcore from 0 to 127\n"},
    {"memory without a unit", "dpdk: { memory: 1024 }\n",
     "gw.yaml:1:17: dpdk.memory: '1024' has no unit; allowed: 64M to 1024G with a unit K, M or G, such as "
     "1024M\n"},
    {"memory too small", "dpdk: { memory: 1M }\n",
     "gw.yaml:1:17: dpdk.memory: '1M' is out of range; allowed: 64M to 1024G with a unit K, M or G, such as "
     "1024M\n"},
    {"memory that is none", "dpdk: { memory: lots }\n",
     "gw.yaml:1:17: dpdk.memory: 'lots' is not a size; allowed: 64M to 1024G with a unit K, M or G, such as "
     "1024M\n"},
    {"hugepages unknown", "dpdk: { hugepages: maybe }\n",
     "gw.yaml:1:20: dpdk.hugepages: 'maybe' is not known here; allowed: auto, require, off\n"},
    {"an EAL argument that a key sets", "dpdk: { eal: [\"--lcores=1\", \"-m\", \"--log-level=8\"] }\n",
     "gw.yaml:1:14: dpdk.eal: '--lcores=1' is set from dpdk.workers; allowed: other EAL arguments\n"
     "gw.yaml:1:14: dpdk.eal: '-m' is set from dpdk.memory; allowed: other EAL arguments\n"},
    {"an EAL argument that a key sets with its value",
     "dpdk: { eal: [\"-l 0\", \"-c3\", \"--socket-mem 64\"] }\n",
     "gw.yaml:1:14: dpdk.eal: '-l 0' is set from dpdk.workers; allowed: other EAL arguments\n"
     "gw.yaml:1:14: dpdk.eal: '-c3' is set from dpdk.workers; allowed: other EAL arguments\n"
     "gw.yaml:1:14: dpdk.eal: '--socket-mem 64' is set from dpdk.memory; allowed: other EAL arguments\n"},
    {"an EAL argument that a key sets cut short",
     "dpdk: { eal: [\"--lcor=3\", \"--main-l 1\", \"--log\"] }\n",
     "gw.yaml:1:14: dpdk.eal: '--lcor=3' is set from dpdk.workers; allowed: other EAL arguments\n"
     "gw.yaml:1:14: dpdk.eal: '--main-l 1' is set from dpdk.workers; allowed: other EAL arguments\n"},
    {"EAL arguments as one string", "dpdk: { eal: --log-level=8 }\n",
     "gw.yaml:1:14: dpdk.eal: is a single value; allowed: a list of EAL arguments such as "
     "[\"--log-level=lib.eal:debug\"]\n"},
    {"idle mode unknown", "dpdk: { idle: { mode: lazy } }\n",
     "gw.yaml:1:23: dpdk.idle.mode: 'lazy' is not known here; allowed: adaptive, spin\n"},
    {"sleep without a unit", "dpdk: { idle: { max_sleep: 500 } }\n",
     "gw.yaml:1:28: dpdk.idle.max_sleep: '500' has no unit; allowed: 0us to 100ms with a unit us, ms or s, "
     "such as 500us\n"},
    {"sleep too long", "dpdk: { idle: { max_sleep: 1s } }\n",
     "gw.yaml:1:28: dpdk.idle.max_sleep: '1s' is out of range; allowed: 0us to 100ms with a unit us, ms or "
     "s, such as 500us\n"},
    {"sleep in fractions", "dpdk: { idle: { max_sleep: 0.5ms } }\n",
     "gw.yaml:1:28: dpdk.idle.max_sleep: '0.5ms' is not a duration; allowed: 0us to 100ms with a unit us, ms "
     "or s, such as 500us\n"},
    {"a flow map for idle mistaken", "dpdk: { idle: spin }\n",
     "gw.yaml:1:15: dpdk.idle: is a single value; allowed: a map with mode and max_sleep\n"},
    {"a relative socket", "control: { socket: control.sock }\n",
     "gw.yaml:1:20: control.socket: 'control.sock' is not an absolute path; allowed: an absolute path\n"},
    {"an empty socket", "control: { socket: \"\" }\n",
     "gw.yaml:1:20: control.socket: is empty; allowed: an absolute path\n"},
    {"metrics on a name", "control: { metrics: \"localhost:9586\" }\n",
     "gw.yaml:1:21: control.metrics: 'localhost:9586' is not an address and port; allowed: off, or "
     "address:port such as 127.0.0.1:9586 or [::1]:9586\n"},
    {"metrics without a port", "control: { metrics: 127.0.0.1 }\n",
     "gw.yaml:1:21: control.metrics: '127.0.0.1' has no port; allowed: off, or address:port such as "
     "127.0.0.1:9586 or [::1]:9586\n"},
    {"metrics per peer in digits", "control: { metrics_per_peer: 1 }\n",
     "gw.yaml:1:30: control.metrics_per_peer: '1' is not known here; allowed: true, false\n"},
    {"a group that cannot be", "control: { admin_group: \"a b\" }\n",
     "gw.yaml:1:25: control.admin_group: 'a b' is not a valid name; allowed: the name of a group\n"},
    {"a log format unknown", "control: { log: { format: xml, level: loud } }\n",
     "gw.yaml:1:27: control.log.format: 'xml' is not known here; allowed: text, json\n"
     "gw.yaml:1:39: control.log.level: 'loud' is not known here; allowed: off, error, warn, info, debug, "
     "trace\n"},
    {"a control key unknown", "control: { port: 80 }\n",
     "gw.yaml:1:12: control.port: unknown key; allowed: socket, admin_group, read_group, metrics, "
     "metrics_per_peer, log, state_directory, user, reload_on_change, sandbox\n"},
    {"everything at once",
     "dpdk: { memory: 1 }\n"
     "ports: { a: {} }\n"
     "interfaces: { b: {} }\n"
     "control: { x: 1 }\n",
     "gw.yaml:1:17: dpdk.memory: '1' has no unit; allowed: 64M to 1024G with a unit K, M or G, such as "
     "1024M\n"
     "gw.yaml:2:13: ports.a: the required key 'device' is missing\n"
     "gw.yaml:3:18: interfaces.b: the required key 'private_key_file' (or 'private_key') is missing\n"
     "gw.yaml:4:12: control.x: unknown key; allowed: socket, admin_group, read_group, metrics, "
     "metrics_per_peer, log, state_directory, user, reload_on_change, sandbox\n"},
};

class FileErrors : public testing::TestWithParam<ErrorCase> {};

TEST_P(FileErrors, AreReportedExactly) {
  expect_errors(GetParam());
}

INSTANTIATE_TEST_SUITE_P(Config, FileErrors, testing::ValuesIn(kCases), name_of_case);

}  // namespace
}  // namespace wg::config::errors_file_test
