# SPDX-License-Identifier: Apache-2.0
# Sourced, at the top of a clone in a minimal system, by the scripts that try an installation there: a person, holder,
# with sudo and an empty home.

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

# holder, who may use sudo, and who gets packages where root gets them.
make_holder() {
    apt-get -qq update
    apt-get -qq install --no-install-recommends python3 sudo >/dev/null
    useradd --create-home --shell /bin/bash holder
    echo 'holder ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/holder
    [ -z "${PIP_CONFIG_FILE:-}" ] || install -D -m 644 "$PIP_CONFIG_FILE" /home/holder/.config/pip/pip.conf
    chown -R holder: /home/holder
    git config --system --add safe.directory '*' # the clone is root's
    settings=$(env | grep -E '^(PIP_[A-Z_]*|[a-z]*_proxy)=' | grep -vE '^PIP_(CACHE_DIR|CONFIG_FILE)=' || true)
}

# As holder: person COMMAND
person() (
    IFS='
'
    set -f
    # shellcheck disable=SC2086 # a setting a line
    runuser -u holder -- env -i HOME=/home/holder PATH=/usr/bin:/bin LANG=C.UTF-8 TERM=xterm ${settings:-} sh -euc "cd; $1"
)

# As holder, a new terminal in which the commands of one of README.zh-TW.md's blocks are typed:
#     type_from_readme WORD [ANSWER...]    WORD: what the block has, and no other
type_from_readme() {
    word=$1
    shift
    cp tests/type_commands.py README.zh-TW.md /tmp/
    person "LANGUAGE=zh_TW python3 /tmp/type_commands.py /tmp/README.zh-TW.md '$word' $*" || fail "README.zh-TW.md does not work: $word"
}

# From a new card to a signed file, as README.zh-TW.md has it; what is there of earlier cards goes.
card_to_signed_file() {
    person 'rm -rf .local/share/xca contract.txt*; echo contract >contract.txt'
    type_from_readme 'xcactl sign contract.txt' Abcd2345 Abcd2345 y Abcd2345 7305284 7305284 7305284
    [ -s /home/holder/contract.txt.p7s ] || fail "no signature"
}
