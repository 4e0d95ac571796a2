#!/usr/bin/env bash
# Prints the newest Python of this machine that Gatewright runs on; prints nothing and fails where there is none.
set -euo pipefail

for name in ${PYTHON:-} python3.14 python3.13 python3.12 python3.11 python3 python; do
    path=$(command -v "$name" 2>/dev/null) || continue
    if "$path" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        echo "$path"
        exit 0
    fi
done
exit 1
