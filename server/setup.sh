# shellcheck shell=bash disable=SC2034,SC2154
# Shared by server/run and tests/run: install Debian packages that are missing, and run a step without a word unless it
# fails. Sourced, never run; the caller has `set -euo pipefail` on and $top is the top of the tree.

# quietly WHAT COMMAND...: the output of a step matters only when it fails, and then all of it does.
quietly() {
    local what=$1 log
    shift
    log=$(mktemp)
    if ! "$@" >"$log" 2>&1 </dev/null; then
        cat "$log" >&2
        rm -f "$log"
        echo "${0##*/}: $what failed: $*" >&2
        return 1
    fi
    rm -f "$log"
}

# A package that brings a daemon starts it while it is installed, unless a policy says no: a Redis that nobody asked for
# would sit on our port, now and after the next boot. Where the machine has a policy of its own, that one stands. In a
# subshell, so that ours goes again however this ends.
apt_install() (
    local policy=/usr/sbin/policy-rc.d
    local -a root=()
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || { echo "${0##*/}: as root, please install: $*" >&2; return 1; }
        root=(sudo)
    fi
    if [ ! -e "$policy" ]; then
        trap '"${root[@]}" rm -f "$policy"' EXIT
        printf '#!/bin/sh\nexit 101\n' | "${root[@]}" tee "$policy" >/dev/null
        "${root[@]}" chmod 755 "$policy"
    fi
    local -a apt=("${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=300)
    # The package lists a machine was made with are often good enough; ask for new ones when they are not.
    if ! "${apt[@]}" --no-install-recommends install "$@" >/dev/null 2>&1 </dev/null; then
        quietly "reading the package lists" "${apt[@]}" update
        quietly "installing packages" "${apt[@]}" --no-install-recommends install "$@"
    fi
    local -a units=()
    mapfile -t units < <(dpkg -L "$@" | sed -n 's|^/lib/systemd/system/\([^@]*\.service\)$|\1|p')
    if [ ${#units[@]} -gt 0 ] && command -v systemctl >/dev/null; then
        "${root[@]}" systemctl disable "${units[@]}" >/dev/null 2>&1 || true
    fi
)

need_packages() {
    local p status
    local -a missing=()
    command -v apt-get >/dev/null || return 0 # not Debian: the build will say what it lacks
    for p in "$@"; do
        status=$(dpkg-query -W -f='${db:Status-Status}' "$p" 2>/dev/null) || status=none
        [ "$status" = installed ] || missing+=("$p")
    done
    [ ${#missing[@]} -eq 0 ] || apt_install "${missing[@]}"
}

# configure FOLDER OPTION...: compilations are cached where a cache is installed; nothing depends on it.
configure() {
    local folder=$1
    shift
    local -a launcher=()
    ! command -v ccache >/dev/null || launcher=(-DCMAKE_C_COMPILER_LAUNCHER=ccache)
    quietly "configuring $folder" cmake -S "$top" -B "$folder" -G Ninja "${launcher[@]}" "$@"
}

# One build at a time in a folder: two of these scripts may be started together.
build() {
    local folder=$1
    shift
    quietly "building $folder" flock "$folder" ninja -C "$folder" "$@"
}

build_packages=(gcc libc6-dev cmake ninja-build pkg-config libuv1-dev libssl-dev librocksdb-dev libjemalloc-dev libxxhash-dev
    liblua5.1-0-dev lua-cjson-dev lua-bitop-dev)
