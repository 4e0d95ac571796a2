#!/usr/bin/env bash
# Names each tool that a build needs and this machine lacks, with the way to get it. Exit 1 when one is missing.
set -uo pipefail
cd "$(dirname "$0")/.."

missing=0
lacks() {
    echo "missing: $*" >&2
    missing=1
}

# `1.95` out of `cargo 1.95.0 (f2d3ce0bd 2026-03-21)`, and the least version out of Cargo.toml.
needed_rust=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
at_least() {
    [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]
}

check_rust() {
    local found
    if ! command -v cargo >/dev/null; then
        lacks "cargo (Rust $needed_rust or later); get it: curl https://sh.rustup.rs -sSf | sh -s -- -y"
        return
    fi
    found=$(cargo --version 2>/dev/null | cut -d ' ' -f 2)
    if [ -z "$found" ]; then
        lacks "a toolchain for cargo; get it: rustup default stable"
    elif ! at_least "$needed_rust" "$found"; then
        lacks "Rust $needed_rust or later (cargo is $found); get it: rustup update stable, or https://rustup.rs"
    fi
}

check_python() {
    local python
    if ! python=$(scripts/python.sh); then
        lacks "Python 3.11 or later ($(python3 --version 2>/dev/null || echo 'no python3')); get it:" \
            "apt-get install python3 python3-venv (Debian 12, Ubuntu 24.04), or https://docs.astral.sh/uv"
    elif ! command -v uv >/dev/null && ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        lacks "the venv module of $python; get it: apt-get install python3-venv, or https://docs.astral.sh/uv"
    fi
}

check_compiler() {
    command -v cc >/dev/null || command -v gcc >/dev/null || command -v clang >/dev/null ||
        lacks "a C compiler (cc); get it: apt-get install build-essential"
}

check_rust
check_python
check_compiler
exit "$missing"
