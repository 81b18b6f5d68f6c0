.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -euo pipefail -c

# Without its compiled modules a server starts in five seconds, not in one and a half.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= python3
BIN := .venv/bin
RUST := $(shell find rust proto -name '*.rs' -o -name '*.proto' -o -name Cargo.toml) Cargo.toml Cargo.lock
PROTOS := $(shell find proto -name '*.proto')

.PHONY: help
help:  ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

.PHONY: setup
setup: .venv/.extension  ## Everything a fresh machine needs; leaves the command at .venv/bin/becas-ft

.venv/.dependencies: requirements.lock
	@echo "► Python packages"
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m uv --version >/dev/null 2>&1 || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/python -m uv pip sync --require-hashes requirements.lock
	touch $@

.venv/.protos: .venv/.dependencies $(PROTOS) scripts/gen_protos.py python/becas_ft/service_config.json
	@echo "► Python code from the protos"
	$(BIN)/python scripts/gen_protos.py
	touch $@

.venv/.extension: .venv/.protos $(RUST) pyproject.toml clients/python/pyproject.toml
	@echo "► Rust extension (release)"
	VIRTUAL_ENV=$(CURDIR)/.venv PATH="$(CURDIR)/.venv/bin:$$PATH" $(BIN)/maturin develop --release --skip-install --locked
	VIRTUAL_ENV=$(CURDIR)/.venv $(BIN)/python -m uv pip install --quiet --no-deps --no-build-isolation --editable . --editable clients/python
	touch $@

.PHONY: demo
demo: setup  ## The main job on real messages, to a promoted and rolled-back model; DASHBOARD=127.0.0.1:8080 leaves both to you
	$(BIN)/becas-ft demo $(if $(DASHBOARD),--dashboard $(DASHBOARD))

.PHONY: browser
browser: setup  ## A Chromium for the dashboard's tests where there is none on PATH
	$(BIN)/python scripts/get_browser.py

.PHONY: screenshots
screenshots: browser  ## The pictures of the dashboard in docs/, made anew
	PYTHONPATH=tests $(BIN)/python scripts/screenshots.py

.PHONY: test
test: setup grpcurl browser  ## Every test but the long ones
	cargo test --workspace --locked --features becas-core/failpoints
	$(BIN)/pytest -m "not long" -n 2 --dist loadfile --durations=30 --durations-min=5

.PHONY: test-long
test-long: setup grpcurl browser  ## The tests that take minutes to hours
	BECAS_STORE_CRASH_CYCLES=$${BECAS_STORE_CRASH_CYCLES:-2000} BECAS_STORE_FAILPOINT_KILLS=$${BECAS_STORE_FAILPOINT_KILLS:-1000} \
	BECAS_STORE_GROWTH_CALLS=$${BECAS_STORE_GROWTH_CALLS:-2500} \
	cargo test --workspace --locked --release --features becas-core/failpoints -- --include-ignored
	BECAS_DISK_FILLS=$${BECAS_DISK_FILLS:-200} BECAS_DISK_ERRORS=$${BECAS_DISK_ERRORS:-500} $(BIN)/pytest

MINUTES ?= 10

.PHONY: crash
crash: setup  ## Kill the store and then a server under load, for MINUTES each
	BECAS_STORE_CRASH_MINUTES=$(MINUTES) cargo test -p becas-core --locked --release -- --exact --nocapture store::tests::crash::a_killed_process_loses_nothing_acknowledged
	BECAS_KILL_MINUTES=$(MINUTES) $(BIN)/pytest -s -m long tests/faults/test_kill.py

.PHONY: power-cuts
power-cuts: setup  ## Cut the power of a recorded server, on paper, for MINUTES
	BECAS_POWER_CUT_MINUTES=$(MINUTES) $(BIN)/pytest -s -m long tests/faults/test_power_cuts.py

# Coverage as libFuzzer reads it, without a sanitizer: every compiler that builds becas-ft builds the targets.
COVERAGE := -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-trace-compares \
  -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table -Ccodegen-units=1
HOST = $(shell rustc -vV | sed -n 's/^host: //p')
FUZZ_BUILD ?= build/fuzz
FUZZ_RUNS ?= 10000000
FUZZ_REQUESTS ?= 200000
FUZZ_TARGETS ?= redact decode json
FUZZ_JOBS ?= $(shell nproc)

.PHONY: fuzz
fuzz: setup  ## 10 million inputs of each Rust target, 200,000 requests for a real server: hours on two cores
	for target in $(FUZZ_TARGETS); do \
	  mkdir -p $(FUZZ_BUILD)/$$target; \
	  RUSTFLAGS="--cfg fuzzing $(COVERAGE)" cargo run --manifest-path rust/fuzz/Cargo.toml --locked --release --target $(HOST) \
	    --target-dir $(FUZZ_BUILD)/target --bin $$target -- -runs=$(FUZZ_RUNS) -max_len=4096 -timeout=10 \
	    -fork=$(FUZZ_JOBS) -ignore_timeouts=0 -ignore_ooms=0 \
	    -artifact_prefix=$(FUZZ_BUILD)/ $(FUZZ_BUILD)/$$target rust/fuzz/corpus/$$target; \
	done
	BECAS_FUZZ_REQUESTS=$(FUZZ_REQUESTS) $(BIN)/pytest tests/fuzz

.PHONY: without-protection
without-protection: setup grpcurl  ## Each protection taken away by itself: its test must fail; hours (WORDS="metadata test_tls.py" for some)
	$(BIN)/python scripts/without_protection.py $(WORDS)

.PHONY: audit
audit: setup  ## Licences, sources and bans of what is locked; known vulnerabilities where their databases are in reach
	command -v cargo-deny >/dev/null || test -x build/tools/bin/cargo-deny || cargo install cargo-deny --locked --root build/tools
	PATH="$$PATH:$(CURDIR)/build/tools/bin" $(BIN)/python scripts/audit.py

.PHONY: sbom
sbom: setup  ## Bills of materials (CycloneDX) of the Rust crates and the Python packages, in build/sbom
	$(BIN)/python scripts/sbom.py build/sbom

.PHONY: lint
lint: setup  ## ruff, rustfmt, clippy, layers, protos, licences of the crates
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	cargo fmt --check
	cargo clippy --workspace --all-targets --features becas-core/failpoints --locked -- -D warnings
	cargo metadata --manifest-path rust/fuzz/Cargo.toml --locked --format-version 1 >/dev/null
	$(BIN)/lint-imports
	$(BIN)/python scripts/lint_protos.py
	$(BIN)/python scripts/audit.py --offline

.PHONY: types
types: setup  ## mypy --strict, and the stub of the extension against the extension
	$(BIN)/mypy
	$(BIN)/stubtest becas_ft._core

.PHONY: format
format: setup  ## Bring the sources into the form that lint wants
	$(BIN)/ruff check --fix --quiet .
	$(BIN)/ruff format --quiet .
	cargo fmt

.venv/.peers: .venv/.dependencies requirements-bench.lock
	@echo "► Packages that benchmarks compare with"
	$(BIN)/python -m uv pip install --require-hashes --requirements requirements-bench.lock
	touch $@

.PHONY: soak
soak: setup  ## Ten minutes at 70 % of what the server can do (BECAS_SOAK_SECONDS): nothing grows
	$(BIN)/pytest tests/overload/test_soak.py -s

.PHONY: bench
bench: setup .venv/.peers  ## Everything measured beside its peers; PARTS="ingest export" for some of it
	$(BIN)/python benches/run.py $(PARTS)

.PHONY: bench-quick
bench-quick: .venv/.dependencies  ## Instructions of the core's stages against the committed counts
	$(BIN)/python benches/instructions.py

.PHONY: docs
docs: setup  ## The documentation, into site; a broken link or a warning is an error
	$(BIN)/python scripts/gen_docs.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

.PHONY: ollama
ollama: setup  ## A real Ollama where there is none on PATH
	$(BIN)/python scripts/build_ollama.py

.PHONY: grpcurl
grpcurl: .venv/.dependencies  ## A real grpcurl for the tests, where Go is there to build it
	$(BIN)/python scripts/build_grpcurl.py

.PHONY: clients
clients: setup  ## The client packages: Go's and TypeScript's code generated, what can be packed in dist/clients
	cd clients/typescript && npm ci
	$(BIN)/python scripts/gen_clients.py
	cd clients/go && go build ./...
	mkdir -p dist/clients
	cd clients/typescript && npm run build && npm pack --ignore-scripts --pack-destination ../../dist/clients
	$(BIN)/python -m uv build --wheel --out-dir dist/clients clients/python

.PHONY: wheel
wheel: setup  ## A wheel for this platform and every Python from 3.11 on, into dist
	VIRTUAL_ENV=$(CURDIR)/.venv PATH="$(CURDIR)/.venv/bin:$$PATH" $(BIN)/maturin build --release --locked --out dist

.PHONY: lock
lock:  ## Lock the Python packages again, with hashes; those of the benchmarks beside them
	$(BIN)/python -m uv pip compile pyproject.toml --all-extras --group dev --generate-hashes --no-emit-index-url --quiet --python-version 3.11 --override requirements.overrides --custom-compile-command 'make lock' --output-file requirements.lock
	$(BIN)/python -m uv pip compile pyproject.toml --group bench --constraints requirements.lock --generate-hashes --no-emit-index-url --quiet --python-version 3.11 --override requirements.overrides --custom-compile-command 'make lock' --output-file requirements-bench.lock
