#!/usr/bin/env bash
# Everything behind `make bench`; options go to bench/run.py.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
need_packages node:nodejs npm:npm wrk:wrk taskset:util-linux ps:procps python3:python3
python3 -c 'import ensurepip' 2>/dev/null || need_packages /no/such/file:python3-venv
scripts/ui.sh
cargo build --release -p loopd
python3 bench/run.py "$@"
python3 bench/events.py
python3 bench/inbox.py
python3 bench/inbound.py
python3 bench/x402.py
scripts/with-services.sh cargo bench -p loopd-pay --bench settle
cargo bench -p loopd --bench create
cargo bench -p loopd --bench redeem
cargo bench -p loopd --bench inbound
