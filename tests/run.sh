#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every check and every test, on a fresh machine or a used one: sh tests/run.sh [pytest arguments]
set -eu
cd "$(dirname "$0")/.."
. ./setup.sh
install_packages demo tests
install_project
install_requirements tests/requirements.txt
# Status 3: it is not to be had here, and its tests are skipped.
[ -d .venv/pkcs11-provider ] || sh tests/tools/pkcs11-provider.sh .venv/pkcs11-provider || [ $? -eq 3 ]
PATH=$PWD/.venv/bin:$PATH

ruff format --check .
ruff check .
mypy
find pkcs11_shim tests -name '*.[ch]' -exec clang-format --dry-run -Werror {} +
cmake -S . -B build -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_COMPILE_WARNING_AS_ERROR=ON >/dev/null
cmake --build build --clean-first >/dev/null

# Not python -m pytest: the tests are for the installed project, not for its sources.
pytest -n auto --dist worksteal "$@"
sh tests/fuzz/run.sh 60
