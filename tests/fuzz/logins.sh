#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Fuzzes the login: sh tests/fuzz/logins.sh SECONDS [DIRECTORY]
#
# Runs all targets of tests/fuzz/logins.py, as many at once as there are processors, for SECONDS together. What is
# found grows in DIRECTORY (a temporary one by default, removed at the end when nothing was found), so that a run of
# hours continues where the last one stopped. A finding is DIRECTORY/<target>-crash-…, -timeout-… or -oom-…;
# python tests/fuzz/logins.py <target> FILE runs it again. Needs atheris (tests/requirements-fuzz.txt).
set -eu
seconds=${1:?usage: sh tests/fuzz/logins.sh SECONDS [DIRECTORY]}
here=$(cd "$(dirname "$0")" && pwd)
if ! python -c 'import atheris' 2>/dev/null; then
    echo "The login is not fuzzed: there is no atheris for this Python (tests/requirements-fuzz.txt)." >&2
    exit 0
fi
directory=${2:-$(mktemp -d)}
mkdir -p "$directory"
directory=$(cd "$directory" && pwd)
targets="token certificate post envelope evidence list response provider"
at_once=$(nproc)
each=$((seconds * at_once / 8))

TMPDIR=$(mktemp -d -p /dev/shm) # where a file costs no writing to a disk
export TMPDIR here directory each
trap 'rm -rf "$TMPDIR"' EXIT
status=0
# shellcheck disable=SC2086,SC2016 # a list of words; the inner shell fills them in
printf '%s\n' $targets | xargs -P "$at_once" -I TARGET sh -c '
    mkdir -p "$directory/corpus/TARGET"
    python "$here/logins.py" TARGET -max_total_time="$each" -artifact_prefix="$directory/TARGET-" \
        "$directory/corpus/TARGET" >"$directory/TARGET.log" 2>&1 </dev/null
' || status=1
for target in $targets; do
    echo "$target: $(grep -o 'cov: [0-9]* ft: [0-9]*' "$directory/$target.log" | tail -1)" \
        "$(grep -o 'number_of_executed_units: *[0-9]*' "$directory/$target.log")"
    [ "$status" -eq 0 ] || tail -40 "$directory/$target.log"
done
[ $status -ne 0 ] || [ -n "${2:-}" ] || rm -rf "$directory"
exit $status
