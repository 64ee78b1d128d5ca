#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Run by tests/distributions.sh in a minimal system, as root and at the top of a clone: what packaging/build.sh made,
# installed in every way that the documents name, each from there to a signed file as README.zh-TW.md has it:
#     sh tests/installed_wheels.sh DIRECTORY
set -eu
export DEBIAN_FRONTEND=noninteractive
dist=$1
. tests/holder.sh

# Commands that a Markdown document has in its Nth block of a language: block FILE LANGUAGE N
block() {
    awk -v start="\`\`\`$2" -v wanted="$3" '/^```/ { inside = ($0 == start && ++count == wanted); next } inside' "$1"
}

without_compiler() {
    ! command -v cc >/dev/null || fail "There is a compiler here, which no wheel needs."
}

make_holder
echo 'APT::Install-Recommends "false";' >/etc/apt/apt.conf.d/99minimal # python3-pip recommends a compiler
cp -R "$dist" /home/holder/dist
chown -R holder: /home/holder

# --- an environment, and pipx

type_from_readme 'pip install --find-links'
person '~/xca/bin/xcactl --version'
echo 'PATH=~/xca/bin:$PATH' >>/home/holder/.bashrc # the README's way into the environment, in each new terminal
card_to_signed_file
without_compiler
person 'rm -rf xca; cp /etc/skel/.bashrc .'

type_from_readme 'pipx install'
card_to_signed_file
type_from_readme 'pipx inject'
person "$(sed -n 's/.*`\(pipx inject [^`]*\)`.*/\1/p' docs/zh-TW/pdf.md)"
person 'PATH=~/.local/bin:$PATH; xca-login --help >/dev/null; pyhanko --version'
without_compiler
person 'pipx uninstall xca-plugin; cp /etc/skel/.bashrc .'

# --- offline, as docs/deploying.md has it

ln -s "$dist" dist
block docs/deploying.md sh 2 | sh -eux
rm -rf /opt/xca
block docs/deploying.md sh 3 >/tmp/offline.sh
unshare --net sh -eux /tmp/offline.sh
echo 'PATH=/opt/xca/bin:$PATH' >>/home/holder/.bashrc
card_to_signed_file
without_compiler

# --- the sources: one sentence names what is missing, and that is enough

sources="$(echo "$dist"/xca_login-*.tar.gz) $(echo "$dist"/xca_plugin-*.tar.gz)"
python3 -m venv /opt/sources
# shellcheck disable=SC2086 # a list of words
! /opt/sources/bin/pip install $sources >/tmp/refused 2>&1 || fail "The sources were installed without a compiler."
packages=$(tr -s ' \n' '  ' </tmp/refused | sed -n 's/.*that takes packages of the system: apt install \([a-z0-9 -]*\) (Fedora.*/\1/p')
[ -n "$packages" ] || fail "No sentence names the packages: $(tail -n 30 /tmp/refused)"
echo "The sentence names: $packages"
# shellcheck disable=SC2086
apt-get -qq install $packages >/dev/null
# shellcheck disable=SC2086
/opt/sources/bin/pip install --quiet $sources
echo 'PATH=/opt/sources/bin:$PATH' >>/home/holder/.bashrc
[ "$(person '/opt/sources/bin/xcactl module-path')" != "$(person '/opt/xca/bin/xcactl module-path')" ]
card_to_signed_file

# --- the pipelines of docs/ci.md, for tests/downstream, from the folder of wheels and from an address of git

# The lines to run: pipeline NAME. The setting for Ubuntu's AppArmor is left out where the kernel has none.
pipeline() {
    block docs/ci.md yaml "$1" | /opt/xca/bin/python -c '
import sys, yaml
document = yaml.safe_load(sys.stdin)
for job in document.get("jobs", document).values():
    print(*job.get("before_script", []), *job.get("script", []), *(each["run"] for each in job.get("steps", []) if "run" in each), sep="\n")
' | grep -v apparmor_restrict || true
}

ci() {
    rm -rf /home/holder/ci
    cp -R tests/downstream /home/holder/ci
    python3 -m venv /home/holder/ci/python # in the place of the image's Python
    chown -R holder: /home/holder/ci
    pipeline "$1" >/tmp/pipeline.sh
}

ci 1
# pip 23.0 takes no address without a host: git finds the clone at one.
git config --system "url.file://$PWD.insteadOf" https://git.test/xca
person "cd ci; PATH=\$HOME/ci/python/bin:\$PATH XCA_PLUGIN='xca-login@git+https://git.test/xca#subdirectory=login xca-plugin[testing]@git+https://git.test/xca' sh -eux /tmp/pipeline.sh"
ci 2
(cd /home/holder/ci && PATH=$PWD/python/bin:$PATH XCA_PLUGIN="--find-links=$dist xca-plugin[testing]" sh -eux /tmp/pipeline.sh)
echo "1 passed, 0 failed"
