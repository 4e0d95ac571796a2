#!/usr/bin/env bash
# stores.sh DIRECTORY NAME...: fetches or builds stores that take records, for tests against the real ones: kafka and
# opensearch from Maven Central (needs mvn and java), collector and victorialogs from Go modules (needs go).
set -euo pipefail
directory=$1
shift
here=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$directory"

jars() {
    [ -e "$directory/$1/.whole" ] && return
    mvn -q -B -f "$here/tests/stores/maven/$1.xml" \
        org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies \
        -DincludeScope=runtime -DoutputDirectory="$directory/$1" "-DbuildDirectory=$directory/$1"
    touch "$directory/$1/.whole"
}

collector() {
    [ -x "$directory/collector/collector" ] && return
    (cd "$directory" && go run go.opentelemetry.io/collector/cmd/builder@v0.165.0 \
        --config "$here/tests/stores/collector.yaml")
}

victorialogs() {
    [ -x "$directory/victoria-logs" ] && return
    GOBIN=$directory go install github.com/VictoriaMetrics/VictoriaLogs/app/victoria-logs@v1.52.1
}

for name in "$@"; do
    case $name in
    kafka | opensearch) jars "$name" ;;
    collector | victorialogs) "$name" ;;
    *) echo "unknown store: $name" >&2 && exit 2 ;;
    esac
done
