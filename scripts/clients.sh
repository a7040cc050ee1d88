#!/usr/bin/env bash
# Other people's clients, unmodified, against a server: buyers and facilitator clients of npm, Loomal's SDKs and x402 of PyPI, the MCP SDK
# of Rust.
#   scripts/clients.sh node|python|limits|rust PROGRAM [FILE…]
# `limits` is the part of python that needs a server with rate limits. Everything stays on loopback.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

part=${1:?usage: scripts/clients.sh node|python|limits|rust PROGRAM [FILE…]} program=${2:?the built server}
shift 2
folder=tests/clients
trap 'stop_server' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

need_packages curl:curl
if [ "$part" != rust ]; then
  mapfile -t packages < <(grep -v '^#' $folder/requirements.txt)
  need_venv clients "${packages[@]}"
  export CLIENTS_PYTHON=$VENV/bin/python PYTHONDONTWRITEBYTECODE=1
fi

limits=off
[ "$part" != limits ] || limits=on
start_server "$program" LOOP_LOG=warn LOOP_EGRESS_ALLOW=127.0.0.1 LOOP_FACILITATOR_ACCESS=projects LOOP_RATE_LIMITS=$limits
answer=$(curl -fsS -X POST "$SERVER_URL/api/v1/auth/register/" -H 'Content-Type: application/json' \
  -d '{"email":"ada@example.com","username":"ada","password":"strongpass123","company_name":"Ada"}')
company=$(python3 scripts/pick.py company.code <<<"$answer")
answer=$(LOOP_DATA_DIR=$SERVER_DIR/data LOOP_LOG=warn "$program" key create --kind platform --company "$company" --json)
CLIENTS_PLATFORM_KEY=$(python3 scripts/pick.py key <<<"$answer")
export CLIENTS_PLATFORM_KEY LOOP_BASE_URL=$SERVER_URL

case $part in
  node)
    if [ ! -e $folder/node_modules/.package-lock.json ] || [ $folder/package-lock.json -nt $folder/node_modules/.package-lock.json ]; then
      say "installing the clients of npm"
      npm --silent --prefix $folder ci --ignore-scripts --no-audit --no-fund
    fi
    cd $folder
    [ $# != 0 ] || set -- *.test.mjs
    node --test --test-concurrency=1 "$@" ;;
  python)
    cd $folder
    [ $# != 0 ] || set -- test_*.py
    "$VENV/bin/python" run.py "$@" ;;
  limits)
    cd $folder
    "$VENV/bin/python" run.py limits.py ;;
  rust)
    # Not of the workspace: its features would have every crate of the server built a second time.
    cargo test --quiet --locked --lib --manifest-path $folder/rmcp/Cargo.toml --target-dir "$CACHE/rmcp" "$@" ;;
  *) die "unknown part $part: node, python, limits or rust" ;;
esac
