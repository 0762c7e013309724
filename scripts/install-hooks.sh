#!/usr/bin/env bash
# Installs git hooks into this clone:
#   pre-commit   the format of what is staged, and the layering
#   commit-msg   "area: imperative" of at most 60 characters, an empty line, a body wrapped at 72
# scripts/install-hooks.sh --check-message FILE: what commit-msg runs.
set -euo pipefail
cd "$(git -C "$(dirname "$0")" rev-parse --show-toplevel)"

check_message() {
  # Without comments, and without the diff of `git commit -v`.
  sed '/^# -* >8 -*$/,$d; /^#/d' "$1" | awk '
    function bad(text) { print "commit-msg: " text > "/dev/stderr"; failed = 1 }
    NR == 1 && /^(Merge|Revert|fixup!|squash!) / { machine = 1; exit }
    NR == 1 && length($0) > 60 { bad("the subject has " length($0) " characters, 60 are allowed") }
    NR == 1 && !/^[a-z][a-z0-9_,\/ -]*: [a-z]/ { bad("the subject must be \"area: imperative\", in lower case") }
    NR == 1 && /\.$/ { bad("the subject ends without a full stop") }
    NR == 2 && $0 != "" { bad("the second line must be empty") }
    NR > 2 && length($0) > 72 && !/^[ \t]|:\/\// { bad("line " NR " has " length($0) " characters, 72 are allowed") }
    NR > 2 && $0 != "" { body = 1 }
    END { if (!machine && !body) bad("a body must say why"); exit failed }'
}

if [ "${1:-}" = --check-message ]; then
  check_message "$2"
  exit
fi
hooks=$(git rev-parse --git-path hooks)
mkdir -p "$hooks"
cat >"$hooks/pre-commit" <<'HOOK'
#!/usr/bin/env bash
set -euo pipefail
cd "$(git rev-parse --show-toplevel)"
mapfile -t files < <(git diff --cached --name-only --diff-filter=d -- '*.cpp' '*.h')
[ ${#files[@]} -eq 0 ] || clang-format-14 --dry-run --Werror "${files[@]}" || { echo "pre-commit: scripts/format.sh" >&2; exit 1; }
tests/layering.sh
HOOK
cat >"$hooks/commit-msg" <<'HOOK'
#!/usr/bin/env bash
cd "$(git rev-parse --show-toplevel)" && exec scripts/install-hooks.sh --check-message "$1"
HOOK
chmod +x "$hooks/pre-commit" "$hooks/commit-msg"
echo "installed: $hooks/pre-commit, $hooks/commit-msg"
