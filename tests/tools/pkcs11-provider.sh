#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Unpacks OpenSSL's pkcs11-provider into a folder: sh tests/tools/pkcs11-provider.sh FOLDER
# Debian 12 has it in bookworm-backports, which apt asks for this once: nothing is installed, no apt source is
# added, and nobody needs to be root. Exit status 3: it is not to be had here.
set -eu
folder=$1
none() {
    printf '%s\n' "$*" >&2
    exit 3
}

mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Codename: bookworm' |
    head -n 1)
[ -n "$mirror" ] || none "This is not Debian 12 with its lists of packages (apt-get update)."
apt=$(mktemp -d)
trap 'rm -rf "$apt"' EXIT
mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror bookworm-backports main" >"$apt/sources"
backports() {
    apt-get -qq -o Dir::Etc::SourceList="$apt/sources" -o Dir::Etc::SourceParts=- -o Dir::State::Lists="$apt/lists" \
        -o Dir::Cache="$apt/cache" -o APT::Sandbox::User="$(id -un)" -o APT::Update::Error-Mode=any "$@"
}
backports update || none "$mirror has no bookworm-backports."
(cd "$apt" && backports download pkcs11-provider) || none "bookworm-backports has no pkcs11-provider."
dpkg -x "$apt"/pkcs11-provider_*.deb "$apt/unpacked"
mv "$apt/unpacked" "$folder"
