#!/usr/bin/env bash
# Everything behind `make lint`: formatting, clippy without a warning, and the rules of deny.toml for dependencies.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

# Built without optimisation: it runs for a second, and takes two minutes of one core to build instead of many more.
DENY_VERSION=0.20.2
deny() {
  if command -v cargo-deny >/dev/null; then cargo-deny "$@"; return; fi
  local root=$CACHE/cargo-deny-$DENY_VERSION
  if [ ! -x "$root/bin/cargo-deny" ]; then
    say "building cargo-deny $DENY_VERSION (once)"
    CARGO_TARGET_DIR=$root/target cargo install -q --debug --locked --root "$root" --version $DENY_VERSION cargo-deny
    rm -rf "$root/target"
  fi
  "$root/bin/cargo-deny" "$@"
}

need_packages cc:build-essential
say "formatting"
cargo fmt --all --check
scripts/ui.sh
say "clippy"
cargo clippy -q --workspace --all-targets -- -D warnings
# Nothing else builds the fuzz targets, so nobody would see that their lock file is behind.
cargo metadata -q --locked --format-version 1 --manifest-path fuzz/Cargo.toml >/dev/null
say "licences, bans and sources"
# Not `advisories`: their database comes by git from another host, and a check must not depend on the network of the day.
deny --log-level warn check bans licenses sources
say "no findings"
