#!/usr/bin/env bash
# h2spec.sh: prints where h2spec is, the conformance tests of HTTP/2; builds it from its source if it is not there yet.
set -euo pipefail

version=v2.2.1+incompatible
directory=${GATEWRIGHT_TOOLS:-$HOME/.cache/gatewright/tools}/h2spec-$version

if [ ! -x "$directory/h2spec" ]; then
    go=$(PATH=$PATH:/usr/local/go/bin command -v go) || {
        echo "h2spec is built from its source: go is missing; get it: apt-get install golang-go" >&2
        exit 1
    }
    GOBIN=$directory GOFLAGS=-mod=mod "$go" install "github.com/summerwind/h2spec/cmd/h2spec@$version" >&2
fi
echo "$directory/h2spec"
