#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Measures the module and the commands next to what a user would take instead, the agent, logins, and the centre: sh tests/bench/run.sh
set -eu
cd "$(dirname "$0")/../.."
. ./setup.sh
install_packages demo tests bench
install_project
install_requirements tests/requirements.txt
PATH=$PWD/.venv/bin:$PATH
export PYTHONPATH="$PWD/tests"

python tests/bench/module.py
python tests/bench/commands.py
python tests/bench/files.py
python tests/bench/agent.py
python tests/bench/oidc.py
python tests/bench/bad_input.py
python tests/bench/logins.py
python tests/bench/bids.py
python tests/bench/centre.py
python tests/bench/centre_store.py
