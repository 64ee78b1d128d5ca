# SPDX-License-Identifier: Apache-2.0
# Sourced, from the top of the clone, by the README's two commands: installs what is missing and builds the project
# into .venv. A second run finds everything there and takes a moment.

say() {
    printf '%s\n' "$*" >&2
}

fail() {
    say "$@"
    exit 1
}

# Debian packages that are not installed yet, of those named.
missing_packages() {
    for package in "$@"; do
        case $(dpkg-query -W -f='${Status}' "$package" 2>/dev/null) in
        "install ok installed") ;;
        *) printf '%s ' "$package" ;;
        esac
    done
}

install_packages() {
    command -v dpkg-query >/dev/null ||
        fail "This script installs its tools with apt. On this system, install first what these Debian packages hold: $*"
    missing=$(missing_packages "$@")
    [ -n "$missing" ] || return 0
    say "Installing from Debian: $missing"
    as_root=
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || fail "Not root and no sudo here. Ask the administrator for: apt-get install $missing"
        as_root=sudo
    fi
    # shellcheck disable=SC2086 # both are lists of words
    {
        $as_root apt-get update -qq
        $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends $missing
    } >&2
}

find_python() {
    for python in python3 python3.14 python3.13 python3.12 python3.11; do
        if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            return 0
        fi
    done
    fail "Python 3.11 or newer is needed."
}

# once NAME FILES... -- COMMAND...: runs a command again only after one of the files or folders has changed.
once() {
    name=$1
    shift
    files=
    while [ "$1" != -- ]; do
        files="$files $1"
        shift
    done
    shift
    # shellcheck disable=SC2086 # a list of words
    now=$(find $files -type f ! -name '*.py[co]' ! -name '*.so' -exec sha256sum {} + | LC_ALL=C sort | sha256sum)
    [ "$(cat ".venv/$name" 2>/dev/null)" != "$now" ] || return 0
    [ -x .venv/bin/pip ] || "$python" -m venv .venv
    "$@" >&2
    printf '%s' "$now" >".venv/$name"
}

build_project() {
    say "Building the project into .venv"
    .venv/bin/pip install --quiet --disable-pip-version-check .
}

install_project() {
    once project pkcs11_shim softhsm xca_plugin pyproject.toml CMakeLists.txt -- build_project
}

install_requirements() {
    once requirements "$1" -- .venv/bin/pip install --quiet --disable-pip-version-check -r "$1"
}

find_python
install_packages gcc libc6-dev pkg-config libsqlite3-dev libinih-dev libcrypt-dev python3-venv \
    softhsm2 opensc openssl
