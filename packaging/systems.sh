# SPDX-License-Identifier: Apache-2.0
# Sourced after setup.sh: minimal systems of Debian's releases, in which the project is tried and its packages are made.
#
# debootstrap makes the systems once; $XDG_CACHE_HOME/xca-distributions (by default in ~/.cache) keeps them, and what
# apt and pip download in them. A run works on a copy, in a mount and a PID namespace of its own, and leaves nothing.
# The systems get the host's certificate authorities, resolver, and settings of pip and of proxies.
# DEBIAN_MIRROR names a mirror of Debian; by default it is the one that the host's own apt uses. Only root may do it.

# The systems that are known, and the suite of Debian of each.
suite() {
    case $1 in
    debian12) echo bookworm ;;
    debian13) echo trixie ;;
    *) return 1 ;;
    esac
}

# Installs what it takes to make systems, and has them to itself until the script ends: prepare_systems NAME...
prepare_systems() {
    for name in "$@"; do
        suite "$name" >/dev/null || fail "There are debian12 and debian13, and no $name."
    done
    [ "$(id -u)" -eq 0 ] || fail "Only root can make and enter such systems."
    install_packages distributions
    cache=${XDG_CACHE_HOME:-$HOME/.cache}/xca-distributions
    certificates=/etc/ssl/certs/ca-certificates.crt # where Debian keeps them; others elsewhere
    mkdir -p "$cache/apt" "$cache/pip"
    exec 9>"$cache/lock"
    flock 9 # one run at a time; what a run that was killed left is nobody's then
    rm -rf --one-file-system "$cache"/run.* "$cache"/*.new
    for name in "$@"; do
        make_system "$name" "$(suite "$name")"
    done
}

# apt's first mirror of Debian itself, not of its security updates.
apts_mirror() {
    # shellcheck disable=SC2016 # apt fills it in
    apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' | head -n 1
}

find_mirror() {
    if [ -z "${DEBIAN_MIRROR:-}" ] && command -v apt-get >/dev/null; then
        DEBIAN_MIRROR=$(apts_mirror)
        [ -n "$DEBIAN_MIRROR" ] || { apt-get update -qq >/dev/null && DEBIAN_MIRROR=$(apts_mirror); }
    fi
    [ -n "${DEBIAN_MIRROR:-}" ] || fail "apt names no mirror of Debian here. Name one: DEBIAN_MIRROR=http://..."
}

# Makes a minimal system, unless there is one: make_system NAME SUITE
make_system() {
    [ ! -d "$cache/$1" ] || return 0
    find_mirror
    say "Making $1 from $DEBIAN_MIRROR"
    # An older debootstrap does not know the suite; Debian's are all made in one way.
    debootstrap --variant=minbase --include=ca-certificates,git --keyring=/usr/share/keyrings/debian-archive-keyring.gpg \
        "$2" "$cache/$1.new" "$DEBIAN_MIRROR" /usr/share/debootstrap/scripts/sid >"$cache/$1.log" 2>&1 ||
        fail "debootstrap made no $1 from $DEBIAN_MIRROR: $(tail -n 3 "$cache/$1.log")"
    mv "$cache/$1.new" "$cache/$1"
}

# Files of pip's settings on the host.
pip_files() {
    for file in /etc/pip.conf /etc/xdg/pip/* "${PIP_CONFIG_FILE:-$HOME/.config/pip/pip.conf}"; do
        [ ! -f "$file" ] || echo "$file"
    done
}

# Folders of the host that pip takes packages from: where links lie, and above an index, which leads to its files.
pip_folders() {
    { env | sed -n '/^PIP_/p'; pip_files | xargs -r cat; } | tr '= ' '\n\n' | sed -n 's,^file://\(/.*\)/[^/]*/*$,\1,p; s,^/,/,p' |
        while read -r folder; do
            [ ! -d "$folder" ] || echo "$folder"
        done
}

# What the host knows of networks: pass_settings ROOT
pass_settings() {
    cp -L /etc/resolv.conf /etc/hosts "$1/etc/"
    awk -v folder="$1/usr/local/share/ca-certificates" '
        /BEGIN CERT/ { file = folder "/host-" ++count ".crt" }
        file { print > file }
        /END CERT/ { close(file); file = "" }' "${SSL_CERT_FILE:-$certificates}"
    pip_files | while read -r file; do
        mkdir -p "$1${file%/*}"
        cp -L "$file" "$1$file"
    done
    ! command -v apt-config >/dev/null ||
        apt-config dump | grep -E '^Acquire::(https?|Check)' >"$1/etc/apt/apt.conf.d/99host" || true
    # As in every container: no package starts a server here, and dpkg does not wait for the disk.
    echo force-unsafe-io >"$1/etc/dpkg/dpkg.cfg.d/99host"
    printf '#!/bin/sh\nexit 101\n' >"$1/usr/sbin/policy-rc.d"
    chmod +x "$1/usr/sbin/policy-rc.d"
}

# What a system inherits of the environment, a word NAME=VALUE a line.
environment() {
    env | grep -iE '^(PIP_[A-Z_]*|(https?|ftp|all|no)_proxy|CI|TERM)=' | grep -vE '^PIP_(CERT|CACHE_DIR|CONFIG_FILE)=' || true
    [ ! -f "${PIP_CONFIG_FILE:-$HOME/.config/pip/pip.conf}" ] ||
        echo "PIP_CONFIG_FILE=${PIP_CONFIG_FILE:-$HOME/.config/pip/pip.conf}"
    cat <<END
PIP_CERT=$certificates
PIP_CACHE_DIR=/var/cache/pip
HOME=/home/xca
LANG=C.UTF-8
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
END
}

# Runs a command in the clone, in a system that is nobody else's: inside ROOT COMMAND...
# pivot_root, not chroot: nobody makes a user namespace inside a chroot, and the virtual reader needs one.
inside() {
    root=$1
    shift
    # shellcheck disable=SC2016 # all of it is for the inner shell
    ROOT=$root CACHE=$cache ENVIRONMENT=$(environment) FOLDERS=$(pip_folders) unshare --mount --pid --fork --kill-child \
        sh -euc '
            mount --make-rprivate /
            mount --bind "$ROOT" "$ROOT"
            cd "$ROOT"
            mount -t proc proc proc
            mount --rbind /sys sys
            mount --bind /dev dev
            mount -t devpts -o newinstance,ptmxmode=666,mode=620,gid=5 devpts dev/pts
            mount -t tmpfs tmpfs dev/shm
            mount -t tmpfs -o mode=755 tmpfs run
            mkdir -p var/cache/pip host
            mount --bind "$CACHE/apt" var/cache/apt/archives
            mount --bind "$CACHE/pip" var/cache/pip
            for folder in $FOLDERS; do
                mkdir -p ".$folder"
                mount --bind -o ro "$folder" ".$folder"
            done
            pivot_root . host
            umount -l /host
            cd /home/xca/clone
            IFS="
"
            set -f
            env -i $ENVIRONMENT "$@"
        ' sh "$@" 9>&-
}

# A copy of a system with a clone of what is committed, in $root, until the (sub)shell ends: enter_copy NAME
enter_copy() {
    root=$(mktemp -d "$cache/run.XXXXXX")
    trap 'rm -rf --one-file-system "$root"' EXIT
    cp -a "$cache/$1/." "$root"
    pass_settings "$root"
    git -c advice.detachedHead=false clone -q --no-local . "$root/home/xca/clone"
    inside "$root" update-ca-certificates >/dev/null 2>&1
}

# Runs a function with each system's name in a subshell of its own; at the end, fails if one failed:
#     in_each FUNCTION NAME...
in_each() {
    function=$1
    shift
    failed=
    for name in "$@"; do
        set +e # no condition: there, errors would not end what runs
        (
            set -e
            "$function" "$name"
        )
        [ $? -eq 0 ] || failed="$failed $name"
        set -e
    done
    [ -z "$failed" ] || fail "Failed in:$failed"
}
