#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The README's two commands in minimal systems, each from a fresh clone of what is committed, with an empty home:
#     sh tests/distributions.sh [--fast] debian12 debian13
# --fast: of the tests only the lane "fast". packaging/systems.sh says how the systems are made.
# Or the packages of a release, which packaging/debian.sh put into a folder: installed, used, upgraded, removed, purged:
#     sh tests/distributions.sh --packages DIRECTORY debian12 debian13
# Or its wheels and sources, which packaging/build.sh put into a folder: installed and used in each way that is documented:
#     sh tests/distributions.sh --wheels DIRECTORY debian12 debian13
set -eu
cd "$(dirname "$0")/.."
. ./setup.sh
. packaging/systems.sh

lane=
packages=
wheels=
case ${1:-} in
--fast) lane=fast && shift ;;
--packages) packages=$(cd "$2" && pwd) && shift 2 ;;
--wheels) wheels=$(cd "$2" && pwd) && shift 2 ;;
esac
[ $# -gt 0 ] || fail "usage: sh tests/distributions.sh [--fast | --packages DIRECTORY | --wheels DIRECTORY] debian12|debian13..."
prepare_systems "$@"

# A run in one system: try NAME
try() {
    start=$(date +%s)
    if [ -n "$wheels" ]; then
        enter_copy "$1"
        cp -R "$wheels" "$root/home/xca/dist"
        inside "$root" sh tests/installed_wheels.sh /home/xca/dist
        say "$1: the wheels took $(($(date +%s) - start)) s"
        return
    fi
    if [ -n "$packages" ]; then
        for script in package_by_readme installed_package; do
            (
                enter_copy "$1"
                cp "$packages/xca-plugin_"*"+deb${1#debian}_$(dpkg --print-architecture).deb" "$root/home/xca/"
                inside "$root" sh -euc "sh tests/$script.sh /home/xca/*.deb"
            )
        done
        say "$1: the package took $(($(date +%s) - start)) s"
        return
    fi
    enter_copy "$1"
    inside "$root" sh softhsm/demo.sh
    say "$1: the demo took $(($(date +%s) - start)) s"
    # shellcheck disable=SC2086 # no lane, no argument
    inside "$root" sh tests/run.sh $lane
    say "$1: all of it took $(($(date +%s) - start)) s"
}

in_each try "$@"
