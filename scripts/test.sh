#!/usr/bin/env bash
# Everything behind `make test`: Rust tests on both databases, pages in a browser, the API against its own description, and other
# people's clients against the API.
#   scripts/test.sh                 all four
#   scripts/test.sh rust [FILTER…]  only one of rust, pages, api, clients; what follows `rust` goes to the test runner
# Installs what it needs (apt-get, PyPI, npm), starts its own servers on free ports and removes them.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

STAGES=${1:-rust pages api clients}
[ $# = 0 ] || shift
case $STAGES in *rust*)
  if [ -z "${LOOPD_TEST_POSTGRES:-}" ] || [ -z "${LOOPD_TEST_REDIS:-}" ]; then exec scripts/with-services.sh "$0" "$STAGES" "$@"; fi ;;
esac

LOGS=$(mktemp -d "${TMPDIR:-/tmp}/loopd-test.XXXXXX")
trap 'stop_server; rm -rf "$LOGS"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
PASSED=0 FAILED=0 SKIPPED=0

# number PATTERN FILE: the number that a perl pattern captures in the last line that has it, 0 without one.
number() { sed 's/\x1b\[[0-9;]*m//g' "$2" | perl -ne "\$n = \$1 if /$1/; END { print \$n // 0 }"; }

# count STAGE STATUS PASSED FAILED [SKIPPED]: a stage that failed without saying how many counts as one.
count() {
  local failed=$4
  [ "$2" = 0 ] || [ "$failed" != 0 ] || failed=1
  PASSED=$((PASSED + $3)) FAILED=$((FAILED + failed)) SKIPPED=$((SKIPPED + ${5:-0}))
  say "$1: $3 passed, $failed failed"
}

run_rust() {
  local log=$LOGS/rust status=0 profile=default
  [ -z "${CI:-}" ] || profile=ci
  need_packages cc:build-essential curl:curl
  say "Rust tests"
  if cargo nextest --version >/dev/null 2>&1; then
    cargo nextest run --workspace --profile $profile "$@" 2>&1 | tee "$log" || status=$?
    count rust $status "$(number 'tests? run: (\d+) passed' "$log")" "$(number 'tests? run: .*?(\d+) (?:failed|timed out)' "$log")" "$(number 'tests? run: .*?(\d+) skipped' "$log")"
  else
    cargo test --workspace --no-fail-fast "$@" 2>&1 | tee "$log" || status=$?
    count rust $status "$(grep -c '^test .* ok$' "$log" || true)" "$(grep -c '^test .* FAILED$' "$log" || true)" "$(grep -c '^test .* ignored' "$log" || true)"
  fi
}

# The server under test is the debug build that the Rust tests made, or a new one.
server_program() {
  cargo build -q -p loopd
  PROGRAM=$ROOT/target/debug/loopd
}

run_pages() {
  local log=$LOGS/pages status=0
  need_packages chromium:chromium
  say "pages in a browser"
  # An operator, and providers of identity on this machine, as ui/providers.test.mjs needs them.
  ROOT_PASSWORD=strongpass123 start_server "$PROGRAM" LOOP_EGRESS_ALLOW=127.0.0.1
  LOOP_BASE_URL=$SERVER_URL CHROMIUM=$(command -v chromium) npm --silent --prefix ui test 2>&1 | tee "$log" || status=$?
  stop_server
  count pages $status "$(number '^\S+ pass (\d+)' "$log")" "$(number '^\S+ fail (\d+)' "$log")" "$(number '^\S+ skipped (\d+)' "$log")"
}

run_api() {
  local status=0
  say "the API against its own description"
  start_server "$PROGRAM"
  scripts/fuzz.sh "$SERVER_URL" || status=$?
  stop_server
  count api $status $((status == 0)) 0
}

run_clients() {
  local part log status
  for part in node python limits rust; do
    say "other people's clients: $part"
    log=$LOGS/$part status=0
    scripts/clients.sh $part "$PROGRAM" 2>&1 | tee "$log" || status=$?
    count "clients, $part" $status "$(number '(?|^\S+ pass (\d+)|(\d+) passed;)' "$log")" "$(number '(?|^\S+ fail (\d+)|(\d+) failed;)' "$log")" "$(number '^\S+ skipped (\d+)' "$log")"
  done
  say "other people's clients: mcp"
  status=0
  start_server "$PROGRAM"
  scripts/mcp.sh "$SERVER_URL" || status=$?
  stop_server
  count "clients, mcp" $status $((status == 0)) 0
}

scripts/ui.sh
for stage in $STAGES; do
  case $stage in
    rust) run_rust "$@" ;;
    pages | api | clients)
      server_program
      "run_$stage" ;;
    *) die "unknown stage $stage: rust, pages, api or clients" ;;
  esac
done
printf '%d passed, %d failed, %d skipped\n' "$PASSED" "$FAILED" "$SKIPPED"
[ "$FAILED" = 0 ]
