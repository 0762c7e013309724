#!/usr/bin/env bash
# The folders' dependency rule, by their includes: control -> dataplane, control -> config, and no other arrow;
# and the parts that must run without DPDK or threads include neither.
set -euo pipefail
cd "$(dirname "$0")/.."
bad=0
forbid() { # FOLDERS PATTERN WHY
  local hits
  hits=$(git ls-files $1 | grep -E '\.(cpp|h)$' | xargs -r grep -nE "$2" || true)
  [ -z "$hits" ] || { echo "$3:"; echo "$hits"; bad=1; }
}
forbid 'dataplane' '#include "(control|config)/' 'dataplane may not know control or config'
forbid 'config' '#include "(control|dataplane)/' 'config may not know control or dataplane'
free='dataplane/crypto dataplane/lpm dataplane/packet dataplane/session dataplane/thread control/noise config'
forbid "$free" '#include <(rte_|dpdk)' 'these folders must do without DPDK'
forbid 'dataplane/crypto dataplane/lpm dataplane/packet control/noise' '#include <(thread|pthread\.h|mutex)>' 'these folders must do without threads'
exit $bad
