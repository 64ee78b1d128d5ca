#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes a package of each release of Debian, from what is committed, in a minimal system of that release:
#     sh packaging/debian.sh DIRECTORY debian12 debian13
# DIRECTORY gets the packages and their debug symbols. The same commit gives the same bytes, with the same compilers.
# The Python parts lie in the package, with the versions of constraints.txt, in an environment of their own.
# packaging/systems.sh says how the systems are made. Only root may run it.
set -eu
cd "$(dirname "$0")/.."
. ./setup.sh
. packaging/systems.sh

[ $# -ge 2 ] || fail "usage: sh packaging/debian.sh DIRECTORY debian12|debian13..."
mkdir -p "$1"
dist=$(cd "$1" && pwd)
shift
prepare_systems "$@"

make_package() {
    enter_copy "$1"
    say "Making the package for $1"
    inside "$root" sh packaging/debian/make.sh "+deb${1#debian}" >"$cache/$1.log" 2>&1 || fail "$(tail -n 40 "$cache/$1.log")"
    cp "$root"/home/xca/*.deb "$dist/"
}

in_each make_package "$@"
rm -f "$dist/SHA256SUMS"
sums=$(cd "$dist" && sha256sum ./*)
printf '%s\n' "$sums" >"$dist/SHA256SUMS"
