#!/usr/bin/env bash
# fuzz.sh SECONDS: mutated input against both parsers, intake's and that of service responses, for SECONDS each
# (crates/dataplane/tests/fuzz.rs; its seeds are in tests/corpus). GATEWRIGHT_FUZZ_SEED repeats a run.
set -euo pipefail
cd "$(dirname "$0")/.."

GATEWRIGHT_FUZZ_SECONDS=$1 cargo test --locked --profile quick -p dataplane --test fuzz -- --ignored --nocapture
