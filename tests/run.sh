#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every check and every test, on a fresh machine or a used one: sh tests/run.sh [pytest arguments]
set -eu
cd "$(dirname "$0")/.."
. ./setup.sh
install_packages strace valgrind clang clang-tools libclang-rt-dev binutils fonts-cwtex-heib \
    pcscd vsmartcard-vpcd libpcsclite-dev python3-dev \
    chromium firefox-esr fonts-wqy-microhei \
    iproute2 systemd \
    curl gnupg-pkcs11-scd gnutls-bin gpg gpg-agent libengine-pkcs11-openssl libnss3-tools nginx-light default-jdk-headless \
    opensc-pkcs11 openssh-client openssh-server osslsigncode p11-kit pinentry-tty poppler-utils sqv
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
