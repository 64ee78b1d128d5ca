#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes dist/, what a release consists of, from what is committed: sh packaging/build.sh [DIRECTORY]
#     the sdists, the wheel of xca-login, and the wheels of xca-plugin: with the module for Linux on x86_64 and
#     aarch64, and without it for any other system; the modules' debug symbols; an SBOM (CycloneDX); SHA256SUMS
# The same commit, built twice with the same compilers, gives the same bytes. It runs in Debian 12 on x86_64: a module
# made with a newer glibc would not load in older systems.
set -eu
cd "$(dirname "$0")/.."
. ./setup.sh

[ "$(dpkg --print-architecture 2>/dev/null)" = amd64 ] || fail "Packages are made in Debian on x86_64."
install_packages demo packaging
make_environment
install_requirements packaging/requirements.txt
PATH=$PWD/.venv/bin:$PATH
umask 022
LC_ALL=C.UTF-8
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export LC_ALL SOURCE_DATE_EPOCH

mkdir -p "${1:-dist}"
dist=$(cd "${1:-dist}" && pwd)
[ -z "$(ls "$dist")" ] || fail "$dist holds files already. Name an empty directory."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
git -c advice.detachedHead=false clone -q --no-local . "$work/clone"
python packaging/project_home.py "$work/clone"

# --- libraries for aarch64, unpacked from Debian's packages; nothing is installed

fetch_arm64_libraries() {
    mkdir -p "$1/lists/partial" "$1/archives/partial" "$1/packages"
    : >"$1/status"
    cat >"$1/apt.conf" <<END
APT::Architecture "arm64";
APT::Architectures { "arm64"; };
APT::Sandbox::User "";
Dir::State::lists "$1/lists";
Dir::State::status "$1/status";
Dir::Cache::archives "$1/archives";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
END
    (
        cd "$1/packages"
        export APT_CONFIG="$1/apt.conf"
        apt-get -qq update
        apt-get -qq download libcrypt-dev libinih-dev zlib1g-dev
    )
    for package in "$1"/packages/*.deb; do
        dpkg-deb --extract "$package" "$1/root"
    done
}

# --- distributions

make_distribution() {
    python -m build --no-isolation "$@" >"$work/log" 2>&1 || fail "$(cat "$work/log")"
}

# The wheel with the module, its tag of manylinux, and the module's debug symbols apart: make_wheel MACHINE BUILD_OPTION...
make_wheel() {
    machine=$1
    shift
    _PYTHON_HOST_PLATFORM=linux-$machine make_distribution --wheel --outdir "$work/$machine" \
        "-Cbuild-dir=$work/build-$machine" "$@" "$work/clone"
    auditwheel repair --plat auto --only-plat --wheel-dir "$dist" "$work/$machine"/*.whl >"$work/log" 2>&1 ||
        fail "$(cat "$work/log")"
    [ -f "$(echo "$dist"/*manylinux_2_34_"$machine".whl)" ] ||
        fail "The module for $machine needs a newer glibc than 2.34. Make packages in Debian 12."
    objcopy=objcopy
    [ "$machine" = x86_64 ] || objcopy=$machine-linux-gnu-objcopy
    "$objcopy" --only-keep-debug "$work/build-$machine/xca-pkcs11.so" "$dist/xca-pkcs11-$version-$machine.so.debug"
}

version=$(sed -n 's/^version = "\(.*\)"/\1/p' login/pyproject.toml)
say "Building $version of $(git log -1 --format=%h)"
make_distribution --sdist --wheel --outdir "$dist" "$work/clone/login"
make_distribution --sdist --outdir "$dist" "$work/clone"
# Packed anew, sorted by name: its licences lie in the order of the file system that it was built in.
make_distribution --wheel --outdir "$work/any" -Ccmake.define.XCA_MODULE=OFF -Cwheel.platlib=false "$work/clone"
python -m wheel unpack --dest "$work/any" "$work/any"/*.whl >"$work/log"
python -m wheel pack --dest-dir "$dist" "$work/any/xca_plugin-$version" >"$work/log"
make_wheel x86_64
fetch_arm64_libraries "$work/arm64"
XCA_ARM64_LIBRARIES=$work/arm64/root
PKG_CONFIG_LIBDIR=$work/arm64/root/usr/lib/aarch64-linux-gnu/pkgconfig
PKG_CONFIG_SYSROOT_DIR=$work/arm64/root
export XCA_ARM64_LIBRARIES PKG_CONFIG_LIBDIR PKG_CONFIG_SYSROOT_DIR
make_wheel aarch64 "-Ccmake.define.CMAKE_TOOLCHAIN_FILE=$work/clone/packaging/aarch64.cmake"

# The module for aarch64 loads, and every function that it needs is there.
cat >"$work/load.c" <<'END'
#include <dlfcn.h>
int main(int argc, char **argv) { return argc != 2 || dlsym(dlopen(argv[1], RTLD_NOW), "C_GetFunctionList") == 0; }
END
aarch64-linux-gnu-gcc -o "$work/load" "$work/load.c"
qemu-aarch64 -L /usr/aarch64-linux-gnu "$work/load" "$work/build-aarch64/xca-pkcs11.so" || fail "The module for aarch64 does not load."

python -m venv "$work/environment"
"$work/environment/bin/pip" install --quiet --disable-pip-version-check -c packaging/constraints.txt \
    "$dist"/xca_login-*.whl "$(echo "$dist"/xca_plugin-*_x86_64.whl)[agent,centre,pcsc,pdf,testing]" 2>"$work/log" || fail "$(cat "$work/log")"
sbom=$dist/xca-plugin-$version.cdx.json
cyclonedx-py environment --output-reproducible --spec-version 1.6 --output-file "$sbom" "$work/environment/bin/python" \
    2>"$work/log" || fail "$(cat "$work/log")"
python packaging/sbom.py "$sbom"

(cd "$dist" && sha256sum ./* >"$work/SHA256SUMS" && mv "$work/SHA256SUMS" .)
say "In $dist:"
cat "$dist/SHA256SUMS"
