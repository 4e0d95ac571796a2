#!/usr/bin/env bash
# servers.sh [--bench]: installs from Debian what the tests (or the benchmarks) run beside Gatewright: programs only,
# never as services of this machine. Where this user may not install, it names what is missing; tests that need it are
# skipped aloud, or fail when CI=true.
set -euo pipefail

# program=package
needed=(
    nginx=nginx-light
    redis-server=redis-server
    promtool=prometheus
    prometheus=prometheus
    h2load=nghttp2-client
    curl=curl
    haproxy=haproxy
    ip=iproute2
    postgres=postgresql
)
if [ "${1:-}" = --bench ]; then
    needed=(nginx=nginx-light haproxy=haproxy caddy=caddy wrk=wrk h2load=nghttp2-client valgrind=valgrind taskset=util-linux)
fi
# Debian keeps servers where an ordinary user's path does not look.
PATH=$PATH:/usr/sbin:/sbin
for directory in /usr/lib/postgresql/*/bin; do PATH=$PATH:$directory; done

packages=() programs=()
find_missing() {
    local pair
    packages=() programs=()
    for pair in "${needed[@]}"; do
        if ! command -v "${pair%%=*}" >/dev/null; then
            programs+=("${pair%%=*}")
            packages+=("${pair##*=}")
        fi
    done
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -n "$@"; fi
}

may_install() {
    command -v apt-get >/dev/null || return 1
    [ "$(id -u)" -eq 0 ] || { command -v sudo >/dev/null && sudo -n true 2>/dev/null; }
}

# Debian starts a server once it is installed, unless this file says no (its own documented switch).
policy=/usr/sbin/policy-rc.d
install_missing() {
    local ours=no package
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
        as_root chmod 755 "$policy"
        ours=yes
    fi
    { as_root apt-get update -qq &&
        as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
            apt-get install -y -qq --no-install-recommends "${packages[@]}"; } >&2 || true
    if [ "$ours" = yes ]; then as_root rm -f "$policy"; fi
    # Nor at the next start of the machine: it was asked for a program, not for a service.
    if [ -d /run/systemd/system ]; then
        for package in nginx redis-server prometheus haproxy caddy postgresql; do
            case " ${packages[*]} " in
            *" $package"*) as_root systemctl disable --quiet "$package" 2>/dev/null || true ;;
            esac
        done
    fi
}

find_missing
if [ ${#programs[@]} -gt 0 ] && may_install; then
    echo "installing from Debian: ${packages[*]}"
    install_missing
    find_missing
fi
if [ ${#programs[@]} -eq 0 ]; then exit 0; fi

echo "missing: ${programs[*]}; get them: apt-get install ${packages[*]}" >&2
if [ "${CI:-}" = true ]; then
    echo "CI=true: every server must be there" >&2
    exit 1
fi
echo "what needs them is skipped" >&2
