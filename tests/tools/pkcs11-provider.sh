#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Unpacks OpenSSL's pkcs11-provider into a folder: sh tests/tools/pkcs11-provider.sh FOLDER
# Debian 13 has it; Debian 12 has it in bookworm-backports, which apt asks for this once. Nothing is installed, no apt
# source is added, and nobody needs to be root. Exit status 3: it is not to be had here.
set -eu
folder=$1
none() {
    printf '%s\n' "$*" >&2
    exit 3
}

command -v apt-get >/dev/null || none "There is no apt here."
apt=$(mktemp -d)
trap 'rm -rf "$apt"' EXIT
download() {
    (cd "$apt" && apt-get -qq -o APT::Sandbox::User="$(id -un)" "$@" download pkcs11-provider)
}
if ! download 2>/dev/null; then
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Codename: bookworm' |
        head -n 1)
    [ -n "$mirror" ] || none "This is not Debian 12, or apt has no lists of packages (apt-get update), or no pkcs11-provider."
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror bookworm-backports main" >"$apt/sources"
    set -- -o Dir::Etc::SourceList="$apt/sources" -o Dir::Etc::SourceParts=- -o Dir::State::Lists="$apt/lists" \
        -o Dir::Cache="$apt/cache"
    apt-get -qq "$@" -o APT::Sandbox::User="$(id -un)" -o APT::Update::Error-Mode=any update ||
        none "$mirror has no bookworm-backports."
    download "$@" || none "bookworm-backports has no pkcs11-provider."
fi
dpkg -x "$apt"/pkcs11-provider_*.deb "$apt/unpacked"
mv "$apt/unpacked" "$folder"
