#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every check and every test, on a fresh machine or a used one: sh tests/run.sh [pytest arguments]
set -eu
cd "$(dirname "$0")/.."
. ./setup.sh
install_packages gnutls-bin strace valgrind clang clang-tools libclang-rt-dev binutils poppler-utils libnss3-tools \
    fonts-cwtex-heib pcscd vsmartcard-vpcd
install_project
install_requirements tests/requirements.txt
PATH=$PWD/.venv/bin:$PATH

ruff format --check .
ruff check .
mypy
find pkcs11_shim tests -name '*.[ch]' -exec clang-format --dry-run -Werror {} +
cmake -S . -B build -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_COMPILE_WARNING_AS_ERROR=ON >/dev/null
cmake --build build --clean-first >/dev/null

# Not python -m pytest: the tests are for the installed project, not for its sources.
pytest "$@"
sh tests/fuzz/run.sh 60
