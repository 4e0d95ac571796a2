#!/usr/bin/env bash
# fuzz.sh SECONDS: generated input against the parsers, for a bounded time each. Coverage-guided (cargo-fuzz, nightly)
# where both are installed; otherwise the generated tests of the crates, with many more cases than `make test` runs.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=$1
if [ -d fuzz/fuzz_targets ] && cargo +nightly fuzz --version >/dev/null 2>&1; then
    for target in fuzz/fuzz_targets/*.rs; do
        name=$(basename "$target" .rs)
        echo "fuzz: $name for $seconds s"
        cargo +nightly fuzz run "$name" -- -max_total_time="$seconds" -rss_limit_mb=2048
    done
    exit 0
fi

echo "fuzz: cargo-fuzz or nightly is missing (rustup toolchain install nightly; cargo install cargo-fuzz);"
echo "fuzz: running the generated tests for $seconds s instead"
cargo test --locked --profile quick -p dataplane -p document --no-run
mkdir -p build
deadline=$((SECONDS + seconds))
rounds=0
# A new seed each round. A round is short, so that the time is kept; a failure ends all with its smallest input.
while [ $SECONDS -lt "$deadline" ]; do
    PROPTEST_CASES=2000 cargo test --quiet --locked --profile quick -p dataplane -p document >build/fuzz.log 2>&1 || {
        cat build/fuzz.log
        exit 1
    }
    rounds=$((rounds + 1))
done
echo "fuzz: $rounds rounds of 2,000 cases for each property, none failed"
