#!/usr/bin/env bash
# Screenshots of the pages, into ./shots, from a debug build that serves them on a fresh data folder.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
need_packages chromium:chromium curl:curl
cargo build -q -p loopd
trap stop_server EXIT
start_server "$ROOT/target/debug/loopd"
LOOP_BASE_URL=$SERVER_URL CHROMIUM=$(command -v chromium) npm --silent --prefix ui run shots
say "screenshots are in ./shots"
