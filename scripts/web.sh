#!/usr/bin/env bash
# The feature `whatsapp-web`: its crate is looked at and tested on both databases, and the server is compiled with it. Behind `make web`.
# What it stands on is the largest group of crates in the tree, so it is no part of `make test` and `make lint`.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
scripts/ui.sh
cargo clippy -q -p loopd-whatsapp-web --features client --all-targets -- -D warnings
scripts/with-services.sh cargo nextest run -p loopd-whatsapp-web --features client
cargo clippy -q -p loopd --features whatsapp-web -- -D warnings
