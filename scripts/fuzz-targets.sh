#!/usr/bin/env bash
# The fuzz targets of fuzz/, one after the other; behind `make fuzz`.
#   scripts/fuzz-targets.sh [TARGET…]     headers, verify, settle: all of them unless named
# FUZZ_SECONDS: how long each runs (300). What is found lies in fuzz/artifacts/TARGET; what was tried is kept in fuzz/corpus/TARGET.
# No nightly compiler is needed: there is no unsafe code of ours for a sanitizer to watch, and coverage works on the stable one.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
need_packages cc:build-essential c++:g++
if ! cargo fuzz --version >/dev/null 2>&1; then
  say "building cargo-fuzz (once)"
  cargo install -q --locked cargo-fuzz
fi
export RUSTC_BOOTSTRAP=1
[ $# != 0 ] || set -- headers verify settle
for target; do
  say "$target, ${FUZZ_SECONDS:-300} seconds"
  cargo fuzz run --sanitizer none "$target" -- -max_total_time="${FUZZ_SECONDS:-300}" -max_len=4096 -timeout=10 -print_final_stats=1 -verbosity=0
done
