#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds the documentation site in build/site and serves it to this computer: sh docs/serve.sh [PORT]
# With the port 0 it only builds.
set -eu
cd "$(dirname "$0")/.."
. ./setup.sh
install_packages demo
install_project
install_requirements docs/requirements.txt
.venv/bin/sphinx-build --quiet --fail-on-warning -c docs . build/site
[ "${1:-8000}" != 0 ] || exit 0
say "http://localhost:${1:-8000}/"
exec .venv/bin/python -m http.server --bind 127.0.0.1 --directory build/site "${1:-8000}"
