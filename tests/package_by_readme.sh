#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Run by tests/distributions.sh in a minimal system, as root: README.zh-TW.md leads from a Debian package, and nothing
# else, to a signed file:    sh tests/package_by_readme.sh FILE.deb
set -eu
package=$1
. tests/holder.sh

make_holder
cp "$package" /home/holder/
release=${package##*+}
sed -i "s/+deb12_/+${release%%_*}_/" README.zh-TW.md # the other release, which it names beside it
type_from_readme 'sudo apt install ./xca-plugin'
card_to_signed_file
person 'xcactl --version; xcactl doctor' || true # for whoever reads this; there may be no reader here
