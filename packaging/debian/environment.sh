#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Lays the Python parts and what is made from them into the package: sh debian/environment.sh ROOT MODULE
#     ROOT: the package's files    MODULE: the path that xca-pkcs11.so will have
set -eu
root=$1
module=$2
home=/usr/lib/xca

# Pages, completions and texts of the package do not depend on whoever makes it.
HOME=$(mktemp -d)
LC_ALL=C.UTF-8
export HOME LC_ALL
unset LANGUAGE

# --- the private environment in /usr/lib/xca, with no program but ours and pyhanko

python3 -m venv --without-pip "$root$home"
printf 'home = /usr/bin\ninclude-system-site-packages = false\nversion = %s\n' \
    "$(python3 -c 'import platform; print(platform.python_version())')" >"$root$home/pyvenv.cfg"
packages=$(python3 -c 'import sys; print("lib/python{}.{}/site-packages".format(*sys.version_info))')
"$TOOLS/bin/pip" --python "$root$home/bin/python3" --quiet --disable-pip-version-check install \
    --no-index --no-deps --no-compile debian/wheels/*.whl
for program in "$root$home"/bin/*; do
    case $program in
    */python | */python3) ;;
    */xcactl | */softhsm-card | */xca-login | */pyhanko) sed -i "1s,.*,#!$home/bin/python3," "$program" ;;
    *) rm "$program" ;;
    esac
done
rm -rf "$root$home/.gitignore" "$root$home/include" "$root$home/lib64" "$root$home/share"
# What pip notes of this build's folders, and what was not kept.
rm "$root$home/$packages"/*.dist-info/direct_url.json "$root$home/$packages"/*.dist-info/REQUESTED
sed -i '/^\(\.\.\/\)\{3\}/d; /direct_url\.json,/d; /REQUESTED,/d' "$root$home/$packages"/*.dist-info/RECORD
# Sources in C, and tests, that some wheels bring.
find "$root$home" -name '*.[ch]' ! -path '*/pkcs11_shim/*' -delete
rm -rf "$root$home/$packages"/*/tests
ln -s "$module" "$root$home/$packages/pkcs11_shim/xca-pkcs11.so"
mkdir -p "$root/usr/bin"
ln -s ../lib/xca/bin/xcactl ../lib/xca/bin/softhsm-card ../lib/xca/bin/xca-login "$root/usr/bin/"

# --- made by the programs themselves

run() {
    PYTHONPATH=$root$home/$packages "$@"
}

run "$TOOLS/bin/python" debian/man_pages.py "$root/usr/share/man"
for program in xcactl softhsm-card xca-login; do
    variable=_$(echo "$program" | tr a-z- A-Z_)_COMPLETE
    for kind in bash:bash-completion/completions/$program zsh:zsh/vendor-completions/_$program \
        fish:fish/vendor_completions.d/$program.fish; do
        file=$root/usr/share/${kind#*:}
        mkdir -p "${file%/*}"
        run env "$variable=${kind%%:*}_source" python3 "$root$home/bin/$program" >"$file"
    done
done

# --- files as they are

install -D -m 644 debian/xca-agent.svg "$root/usr/share/icons/hicolor/scalable/apps/xca-agent.svg"
install -D -m 644 debian/xca-agent.desktop "$root/usr/share/applications/xca-agent.desktop"
mkdir -p "$root/etc/xca" "$root/usr/share/doc/xca-plugin/examples"
install -m 644 debian/etc/*.example "$root/etc/xca"
printf '# p11-kit shows the card to other programs with this file, in /etc/pkcs11/modules; xcactl tools register p11-kit\n# puts one there. Not before the card is activated: other programs may damage it.\nmodule: %s\n' \
    "$module" >"$root/usr/share/doc/xca-plugin/examples/xca.module"
