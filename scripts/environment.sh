#!/usr/bin/env bash
# environment.sh DIRECTORY [PACKAGE==VERSION...]: a virtual environment with exactly the packages of
# requirements-dev.lock, or with exactly those named. Does nothing when the named ones are there already.
set -euo pipefail
cd "$(dirname "$0")/.."

directory=$1
shift
wanted=("$@")
if [ ${#wanted[@]} -eq 0 ]; then
    wanted=(-r requirements-dev.lock)
elif [ "$(cat "$directory/.packages" 2>/dev/null)" = "$*" ]; then
    exit 0
fi

python=$(scripts/python.sh)
echo "$directory: Python environment from $python"
if command -v uv >/dev/null; then
    # `--clear`: one that was left half made is made again.
    uv venv --quiet --clear --python "$python" "$directory"
    uv pip install --quiet --python "$directory/bin/python" "${wanted[@]}"
else
    "$python" -m venv --clear "$directory"
    "$directory/bin/python" -m pip install --quiet --disable-pip-version-check "${wanted[@]}"
fi
echo "$*" >"$directory/.packages"
