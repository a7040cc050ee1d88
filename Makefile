# The commands of this project. `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help run test web bench fuzz lint check fmt ui shots

help: ## lists these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ui ## builds the server and runs it on embedded defaults: http://127.0.0.1:8000, data in ./data
	@scripts/rust.sh
	cargo build --release -p loopd
	./target/release/loopd serve

test: ## all tests: both databases, a browser, the API against its own description, other people's clients
	@scripts/rust.sh
	scripts/test.sh

web: ## the engine for linked WhatsApp devices, which no other command compiles: clippy, tests on both databases, a server with it
	@scripts/rust.sh
	scripts/web.sh

bench: ## measures the server beside its peers and prints a table (bench/README.md)
	@scripts/rust.sh
	scripts/bench.sh

fuzz: ## bodies and headers that nobody would send, five minutes a target (FUZZ_SECONDS)
	@scripts/rust.sh
	scripts/fuzz-targets.sh

lint: ## formatting, clippy without a warning, licences and sources of dependencies
	@scripts/rust.sh
	scripts/lint.sh

check: ui ## compiles everything, tests included, and runs nothing
	cargo check --workspace --all-targets

fmt: ## formats the code
	cargo fmt --all

ui: ## builds the pages' assets into ui/dist, when they are older than their sources
	@scripts/ui.sh

shots: ui ## takes screenshots of the pages into ./shots
	@scripts/rust.sh
	scripts/shots.sh
