#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Fuzzes the module: sh tests/fuzz/run.sh SECONDS [DIRECTORY]
#
# Builds config, store_row and calls with libFuzzer, AddressSanitizer and UndefinedBehaviorSanitizer and runs all
# three at once, each for SECONDS, from tests/fuzz/corpus. What is found grows in DIRECTORY (a temporary one by
# default, removed at the end when nothing crashed), so that a run of hours continues where the last one stopped:
#     sh tests/fuzz/run.sh 36000 ~/fuzz
# A finding is DIRECTORY/<fuzzer>-crash-…; DIRECTORY/<fuzzer> FILE runs it again. Needs clang and its libclang-rt.
set -eu
seconds=${1:?usage: sh tests/fuzz/run.sh SECONDS [DIRECTORY]}
here=$(cd "$(dirname "$0")" && pwd)
shim=$here/../../pkcs11_shim
directory=${2:-$(mktemp -d)}
mkdir -p "$directory"
directory=$(cd "$directory" && pwd)

flags="-std=c17 -D_GNU_SOURCE -g -O1 -fno-omit-frame-pointer
    -I$shim -I$shim/src $(pkg-config --cflags inih zlib)"
sanitize="-fsanitize=address,undefined -fno-sanitize-recover=all"
libraries="$(pkg-config --libs inih zlib) -lcrypt -ldl -lpthread"
minimal=$directory/minimal.so
# shellcheck disable=SC2086 # lists of words
{
    clang $flags $sanitize -fPIC -shared -fvisibility=hidden -o "$minimal" \
        "$here/../module/inner/minimal.c"
    mkdir -p "$directory/objects"
    (cd "$directory/objects" && clang $flags $sanitize -fsanitize=fuzzer-no-link -c "$shim"/src/*.c)
    for fuzzer in config store_row calls; do
        [ $fuzzer = config ] && card= || card=$here/card.c
        clang $flags $sanitize -fsanitize=fuzzer -DMINIMAL="\"$minimal\"" \
            -o "$directory/$fuzzer" "$here/$fuzzer.c" $card "$directory"/objects/*.o $libraries
    done
}

TMPDIR=$(mktemp -d -p /dev/shm) # where a store costs no writing to a disk
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT
status=0
pids=
for fuzzer in config store_row calls; do
    mkdir -p "$directory/corpus/$fuzzer"
    "$directory/$fuzzer" -max_total_time="$seconds" -timeout=30 -print_final_stats=1 \
        -artifact_prefix="$directory/$fuzzer-" "$directory/corpus/$fuzzer" "$here/corpus/$fuzzer" \
        >"$directory/$fuzzer.log" 2>&1 </dev/null &
    pids="$pids $!"
done
for pid in $pids; do
    wait "$pid" || status=1
done
for fuzzer in config store_row calls; do
    echo "$fuzzer: $(grep -o 'cov: [0-9]* ft: [0-9]*' "$directory/$fuzzer.log" | tail -1)" \
        "$(grep -o 'number_of_executed_units: *[0-9]*' "$directory/$fuzzer.log")"
    [ "$status" -eq 0 ] || tail -40 "$directory/$fuzzer.log"
done
[ $status -ne 0 ] || [ -n "${2:-}" ] || rm -rf "$directory"
exit $status
