#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The README's two commands in minimal systems, each from a fresh clone of what is committed, with an empty home:
#     sh tests/distributions.sh [--fast] debian12 debian13
# --fast: of the tests only the lane "fast". packaging/systems.sh says how the systems are made.
# Or the packages of a release, which packaging/debian.sh put into a folder: installed, used, upgraded, removed, purged:
#     sh tests/distributions.sh --packages DIRECTORY debian12 debian13
set -eu
cd "$(dirname "$0")/.."
. ./setup.sh
. packaging/systems.sh

lane=
packages=
case ${1:-} in
--fast) lane=fast && shift ;;
--packages) packages=$(cd "$2" && pwd) && shift 2 ;;
esac
[ $# -gt 0 ] || fail "usage: sh tests/distributions.sh [--fast | --packages DIRECTORY] debian12|debian13..."
prepare_systems "$@"

# A run in one system: try NAME
try() {
    enter_copy "$1"
    start=$(date +%s)
    if [ -n "$packages" ]; then
        cp "$packages/xca-plugin_"*"+deb${1#debian}_amd64.deb" "$root/home/xca/package.deb"
        inside "$root" sh tests/installed_package.sh /home/xca/package.deb
        say "$1: the package took $(($(date +%s) - start)) s"
        return
    fi
    inside "$root" sh softhsm/demo.sh
    say "$1: the demo took $(($(date +%s) - start)) s"
    # shellcheck disable=SC2086 # no lane, no argument
    inside "$root" sh tests/run.sh $lane
    say "$1: all of it took $(($(date +%s) - start)) s"
}

in_each try "$@"
