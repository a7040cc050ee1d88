#!/usr/bin/env bash
# Builds ui/dist, which the binary embeds, when an input is newer than it. Third-party files come from npm, by the lock file.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

# the last file that the build writes
stamp=ui/dist/manifest.json
installed=ui/node_modules/.package-lock.json
newer() { [ ! -e "$1" ] || [ -n "$(find ui -path ui/node_modules -prune -o -path ui/dist -prune -o -type f -newer "$1" -print -quit)" ]; }
newer $stamp || exit 0
command -v npm >/dev/null || die "Node.js 20 or newer with npm is needed to build the pages' assets (Debian: apt-get install nodejs npm)"
if [ ! -e $installed ] || [ ui/package-lock.json -nt $installed ]; then
  say "fetching the pages' assets from npm"
  npm --silent --prefix ui ci --ignore-scripts --no-audit --no-fund
fi
say "building ui/dist"
npm --silent --prefix ui run build
touch $stamp
