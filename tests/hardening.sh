#!/usr/bin/env bash
# The built program is hardened as docs/security.md says: hardening.sh PROGRAM reads its ELF headers and symbols, and the
# compile commands beside it (checked functions leave no trace where the compiler can prove the bounds).
set -euo pipefail
program=${1:?usage: hardening.sh PROGRAM}
bad=0
# want WHAT PATTERN, refuse WHAT PATTERN: over what readelf says.
facts=$(readelf --wide --file-header --program-headers --dynamic --dyn-syms "$program")
want() { if grep -qE "$2" <<<"$facts"; then echo "ok $1"; else echo "MISSING: $1"; bad=1; fi; }
refuse() { if grep -qE "$2" <<<"$facts"; then echo "WRONG: $1"; bad=1; else echo "ok $1"; fi; }
want "position independent executable" '^ *Type: +DYN'
want "position independent executable, marked" 'FLAGS_1.*PIE'
want "read-only relocations" 'GNU_RELRO'
want "no lazy binding" '(BIND_NOW|FLAGS_1.*NOW)'
want "the stack is not executable" 'GNU_STACK +.* RW +0x'
refuse "no segment is writable and executable" 'LOAD .* RWE '
refuse "no relocations in the text" 'TEXTREL'
want "stack canaries" '__stack_chk_fail'
unchecked=$(grep '"command"' "$(dirname "$program")/compile_commands.json" |
  grep -E -- '-c [^ ]*/(config|control/noise)/[a-z0-9_]+\.cpp' | grep -vE '/tests/' | grep -vc -- '-D_FORTIFY_SOURCE=[23] ' || true)
if [ "$unchecked" = 0 ]; then echo "ok checked memory and string functions"; else
  echo "MISSING: checked memory and string functions in $unchecked sources"; bad=1; fi
exit $bad
