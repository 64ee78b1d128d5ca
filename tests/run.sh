#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Checks and tests, on a fresh machine or a used one: sh tests/run.sh [fast | soak] [pytest arguments]
#     sh tests/run.sh          every check and every test but the soak: what has to pass before a change is taken
#     sh tests/run.sh fast     every check, and the tests that need no more than the build does
#     sh tests/run.sh soak     what takes hours
#     sh tests/run.sh tests/cli/test_cli_tries.py::test_weak_pin_costs_no_try    these tests, and nothing besides
# Arguments are pytest's; with them there are no checks and no fuzzing. What has not changed is not built again.
set -eu
cd "$(dirname "$0")/.."
. ./setup.sh
case ${1:-} in
fast | soak) lane=$1 && shift ;;
*) lane=all ;;
esac
case $lane in
fast) install_packages demo ;;
*) install_packages demo tests ;;
esac
install_project
install_requirements tests/requirements.txt
if [ $lane != fast ]; then
    install_requirements tests/requirements-readers.txt
    install_requirements docs/requirements.txt
    # There are wheels for some Pythons and machines alone. Elsewhere the login is not fuzzed, and the tests say so.
    once fuzz tests/requirements-fuzz.txt -- sh -c '.venv/bin/pip install --quiet --disable-pip-version-check \
        --only-binary :all: -r tests/requirements-fuzz.txt || echo "Without atheris: there is no wheel for this Python."'
    # Status 3: it is not to be had here, and its tests are skipped.
    [ -d .venv/pkcs11-provider ] || sh tests/tools/pkcs11-provider.sh .venv/pkcs11-provider || [ $? -eq 3 ]
fi
PATH=$PWD/.venv/bin:$PATH
unset PYTHONDONTWRITEBYTECODE # else every process of pytest compiles all tests anew, in ten seconds

# Not python -m pytest: the tests are for the installed project, not for its sources.
run_tests() {
    case $lane in
    fast) pytest -m fast "$@" ;;
    soak) pytest -m soak -o timeout=14400 -o faulthandler_timeout=14500 "$@" ;; # seconds for one test
    *) pytest -m "not soak" "$@" ;;
    esac
}

if [ $# -gt 0 ]; then
    run_tests "$@"
    exit
fi

build_strictly() {
    cmake -S . -B build -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_COMPILE_WARNING_AS_ERROR=ON >/dev/null
    cmake --build build --clean-first >/dev/null
}

ruff format --check .
ruff check .
mypy
PYTHONPATH=login lint-imports >/dev/null
find pkcs11_shim tests -name '*.[ch]' -exec clang-format --dry-run -Werror {} +
once build pkcs11_shim CMakeLists.txt -- build_strictly

at_once="-n auto --dist worksteal"

# What a change breaks in a login, or below it, is to be known from the fast tests: they reach nearly all of it.
fast_tests_cover() {
    for part in login/xca_common/pki login/xca_login; do
        set -- --include="$part/*" --precision=1
        coverage report "$@" --fail-under=95 >/dev/null || {
            coverage report "$@" --show-missing --skip-covered --sort=-miss
            echo "The fast tests cover less than 95 % of the lines of $part."
            exit 1
        }
        echo "Lines of $part covered by the fast tests: $(coverage report "$@" --format=total) %"
    done
}

# shellcheck disable=SC2086 # lists of words
case $lane in
fast | soak) run_tests $at_once ;;
all)
    pytest -m fast $at_once --cov --cov-report=
    fast_tests_cover
    # Not counted here: these tests start many programs, and would take half as long again.
    pytest -m "not fast and not soak" $at_once --durations=40
    ;;
esac
case $lane in
all) sh tests/fuzz/run.sh 60 ;;
soak) # both go on where the last soak stopped
    sh tests/fuzz/run.sh 7200 build/fuzz
    sh tests/fuzz/logins.sh 3600 build/fuzz-logins
    ;;
esac
