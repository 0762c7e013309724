#!/usr/bin/env bash
# Builds the documents into a small site, build/site/html: scripts/site.sh. Needs Debian's package mkdocs.
# Links that leave docs/ become plain text, because the site has the documents alone; any other broken link fails.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v mkdocs >/dev/null || { echo "mkdocs is not installed (apt-get install mkdocs)" >&2; exit 1; }
rm -rf build/site
mkdir -p build/site/pages
cp -r docs/. build/site/pages
python3 - <<'PY'
import pathlib, re

root, pages = pathlib.Path.cwd(), pathlib.Path("build/site/pages")
link = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")


def within(text, folder):
    def one(found):
        target = found[3].partition("#")[0]
        if "://" in found[3] or not target:
            return found[0]
        path = (root / folder / target).resolve()
        return found[0] if path.is_relative_to(root / "docs") and path.is_file() else found[2]

    return link.sub(one, text)


readme = re.sub(r"\]\(docs/", "](", within((root / "README.md").read_text(), "."))
(pages / "index.md").write_text(readme)
for page in pages.rglob("*.md"):
    if page.name != "index.md":
        page.write_text(within(page.read_text(), pathlib.Path("docs") / page.parent.relative_to(pages)))
PY
mkdocs build --quiet --strict
echo "build/site/html/index.html"
