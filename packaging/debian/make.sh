#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Run by packaging/debian.sh, in a minimal system and at the top of a clone: makes the package, ../*.deb, and checks it
# with lintian: sh packaging/debian/make.sh SUFFIX    SUFFIX: what the version of this release ends with
set -eu
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update
apt-get -qq install --no-install-recommends build-essential lintian python3-venv >/dev/null
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH

mkdir debian
cp -R packaging/debian/. debian
rm debian/make.sh
home=$(grep -v '^#' packaging/home.txt || true)
[ -z "$home" ] || sed -i "s,^Rules-Requires-Root,Homepage: $home\n&," debian/control
version=$(sed -n 's/^version = "\(.*\)"/\1/p' login/pyproject.toml)$1
cat >debian/changelog <<END
xca-plugin ($version) unstable; urgency=medium

  * What changed is in CHANGELOG.md.

 -- $(sed -n 's/^Maintainer: //p' debian/control)  $(date -u -R -d "@$SOURCE_DATE_EPOCH")
END
apt-get -qq build-dep --no-install-recommends . >/dev/null

# The tools and the wheels: all that is downloaded.
TOOLS=$(mktemp -d)
export TOOLS
python3 -m venv "$TOOLS"
pip="$TOOLS/bin/pip --quiet --disable-pip-version-check"
$pip install -r packaging/requirements.txt
python3 packaging/project_home.py .
build="$TOOLS/bin/python -m build --no-isolation --wheel --outdir debian/wheels"
PATH=$TOOLS/bin:$PATH $build login
PATH=$TOOLS/bin:$PATH $build -Ccmake.define.XCA_MODULE=OFF -Cwheel.platlib=false .
# pyscard is no wheel yet. Its module says nothing of where it was made.
CFLAGS=-g0 $pip wheel -c packaging/constraints.txt -w debian/wheels debian/wheels/xca_login-*.whl \
    "$(echo debian/wheels/xca_plugin-*.whl)[agent,pcsc,pdf]"
git checkout -q . # among the package's documents, README's links work as they are

dpkg-buildpackage -b -us -uc
lintian --fail-on warning --tag-display-limit 0 ../*.changes
