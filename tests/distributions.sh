#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The README's two commands in minimal systems, each from a fresh clone of what is committed, with an empty home:
#     sh tests/distributions.sh [--fast] debian12 debian13
# --fast: of the tests only the lane "fast". packaging/systems.sh says how the systems are made.
set -eu
cd "$(dirname "$0")/.."
. ./setup.sh
. packaging/systems.sh

lane=
[ "${1:-}" != --fast ] || { lane=fast && shift; }
[ $# -gt 0 ] || fail "usage: sh tests/distributions.sh [--fast] debian12|debian13..."
prepare_systems "$@"

# A run in one system: try NAME
try() {
    enter_copy "$1"
    start=$(date +%s)
    inside "$root" sh softhsm/demo.sh
    say "$1: the demo took $(($(date +%s) - start)) s"
    # shellcheck disable=SC2086 # no lane, no argument
    inside "$root" sh tests/run.sh $lane
    say "$1: all of it took $(($(date +%s) - start)) s"
}

in_each try "$@"
