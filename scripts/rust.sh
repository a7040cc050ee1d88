#!/usr/bin/env bash
# Says what is missing before cargo says it less clearly: a Rust toolchain, a C compiler for the bundled SQLite.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
command -v cargo >/dev/null || die "Rust is needed: https://rustup.rs, or your system's package"
wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$ROOT/Cargo.toml")
have=$(cargo --version | awk '{ print $2 }')
[ "$(printf '%s\n%s\n' "$wanted" "$have" | sort -V | head -n 1)" = "$wanted" ] ||
  die "Rust $wanted or newer is needed, this is $have: rustup update"
need_packages cc:build-essential
