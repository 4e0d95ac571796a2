#!/usr/bin/env bash
# install.sh ENVIRONMENT PROFILE: builds the wheel with a profile of Cargo.toml and installs it into the environment.
# Its dependencies are there already, from the lock.
set -euo pipefail
cd "$(dirname "$0")/.."

environment=$1 profile=$2
wheels=build/wheels/$profile
rm -rf "$wheels"

# No audit: this wheel stays on this machine, and the audit needs patchelf on some.
"$environment/bin/maturin" build --profile "$profile" --out "$wheels" --interpreter "$environment/bin/python" \
    --auditwheel skip

if command -v uv >/dev/null; then
    uv pip install --quiet --python "$environment/bin/python" --no-deps --reinstall-package gatewright "$wheels"/*.whl
else
    "$environment/bin/python" -m pip install --quiet --disable-pip-version-check --no-index --no-deps \
        --force-reinstall "$wheels"/*.whl
fi
