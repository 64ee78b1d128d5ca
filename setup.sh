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

# All that comes from the system, once: the command that needs it (demo: also all the others), how it is found where
# there is no apt (see present), and the package that holds it for apt and for others. A dash: none is known there.
things() {
    cat <<'END'
command       thing                           apt                      dnf                       zypper                pacman                 apk
demo          command:cc                      gcc                      gcc                       gcc                   gcc                    gcc
demo          header:stdlib.h                 libc6-dev                glibc-devel               glibc-devel           glibc                  musl-dev
demo          command:pkg-config              pkg-config               pkgconf-pkg-config        pkgconf-pkg-config    pkgconf                pkgconf
demo          command:cmake                   cmake                    cmake                     cmake                 cmake                  cmake
demo          command:ninja                   ninja-build              ninja-build               ninja                 ninja                  ninja-build
demo          library:zlib                    zlib1g-dev               zlib-devel                zlib-devel            zlib                   zlib-dev
demo          library:inih                    libinih-dev              inih-devel                libinih-devel         libinih                inih-dev
demo          header:crypt.h                  libcrypt-dev             libxcrypt-devel           libxcrypt-devel       libxcrypt              libxcrypt-dev
demo          command:python3                 python3                  python3                   python3               python                 python3
demo          python:ensurepip                python3-venv             python3                   python3               python                 python3
demo          file:ca-[bc]*.[cp]*             ca-certificates          ca-certificates           ca-certificates       ca-certificates        ca-certificates
demo          command:git                     git                      git                       git                   git                    git
demo          command:softhsm2-util           softhsm2                 softhsm                   softhsm               softhsm                softhsm
demo          command:pkcs11-tool             opensc                   opensc                    opensc                opensc                 opensc
demo          command:openssl                 openssl                  openssl                   openssl               openssl                openssl
demo          file:Python.h                   python3-dev              python3-devel             python3-devel         python                 python3-dev
demo          library:libpcsclite             libpcsclite-dev          pcsc-lite-devel           pcsc-lite-devel       pcsclite               pcsc-lite-dev
tests         command:nm                      binutils                 binutils                  binutils              binutils               binutils
tests         command:ps                      procps                   procps-ng                 procps                procps-ng              procps
tests         command:strace                  strace                   strace                    strace                strace                 strace
tests         command:valgrind                valgrind                 valgrind                  valgrind              valgrind               valgrind
tests         command:clang                   clang                    clang                     clang                 clang                  clang
tests         command:scan-build              clang-tools              clang-analyzer            clang-tools           clang                  clang-analyzer
tests         file:FindBin.pm                 perl                     perl-FindBin              perl                  perl                   perl
tests         file:libclang_rt.fuzzer*        libclang-rt-dev          compiler-rt               clang                 compiler-rt            compiler-rt
tests         command:pcscd                   pcscd                    pcsc-lite                 pcsc-lite             pcsclite               pcsc-lite
tests         file:libifdvpcd.so              vsmartcard-vpcd          -                         -                     -                      -
tests         command:ip                      iproute2                 iproute                   iproute2              iproute2               iproute2
tests         command:systemctl               systemd                  systemd                   systemd               systemd                -
tests         command:chromium                chromium                 chromium                  chromium              chromium               chromium
tests         command:firefox                 firefox-esr              firefox                   MozillaFirefox        firefox                firefox-esr
tests         command:fc-match                fontconfig               fontconfig                fontconfig            fontconfig             fontconfig
tests         file:wqy-microhei.ttc           fonts-wqy-microhei       wqy-microhei-fonts        wqy-microhei-fonts    wqy-microhei           -
tests         file:cwheib.ttf                 fonts-cwtex-heib         -                         -                     -                      -
tests         command:tsc                     node-typescript          -                         -                     typescript            -
tests         command:curl                    curl                     curl                      curl                  curl                   curl
tests         command:gpg                     gpg                      gnupg2                    gpg2                  gnupg                  gnupg
tests         command:gpg-agent               gpg-agent                gnupg2                    gpg2                  gnupg                  gnupg
tests         command:gnupg-pkcs11-scd        gnupg-pkcs11-scd         gnupg-pkcs11-scd          gnupg-pkcs11-scd      -                      -
tests         command:pinentry-tty            pinentry-tty             pinentry                  pinentry              pinentry               pinentry
tests         command:certtool                gnutls-bin               gnutls-utils              gnutls                gnutls                 gnutls-utils
tests         file:libpkcs11.so               libengine-pkcs11-openssl openssl-pkcs11            openssl-engine-libp11 libp11                 libp11
tests         command:certutil                libnss3-tools            nss-tools                 mozilla-nss-tools     nss                    nss-tools
tests         command:nginx                   nginx-light              nginx                     nginx                 nginx                  nginx
tests         file:mod_auth_openidc.so       libapache2-mod-auth-openidc mod_auth_openidc         apache2-mod_auth_openidc -                  -
tests         file:initdb                     postgresql               postgresql-server         postgresql-server     postgresql             postgresql
tests         command:javac                   default-jdk-headless     java-latest-openjdk-devel java-devel            jdk-openjdk            openjdk21-jdk
tests         file:bcpkix.jar               libbcpkix-java           bouncycastle-pkix         bouncycastle-pkix     -                      -
tests         file:opensc-pkcs11.so           opensc-pkcs11            opensc                    opensc                opensc                 opensc
tests         command:ssh                     openssh-client           openssh-clients           openssh               openssh                openssh-client
tests         command:sshd                    openssh-server           openssh-server            openssh               openssh                openssh-server
tests         command:osslsigncode            osslsigncode             osslsigncode              osslsigncode          osslsigncode           osslsigncode
tests         command:p11-kit                 p11-kit                  p11-kit                   p11-kit-tools         p11-kit                p11-kit
tests         command:pdftotext               poppler-utils            poppler-utils             poppler-tools         poppler                poppler-utils
tests         command:sqv                     sqv                      sequoia-sqv               sequoia-sqv           sequoia-sqv            -
tests         command:xca                     xca                      xca                       -                     xca                    -
tests         command:Xvfb                    xvfb                     xorg-x11-server-Xvfb      xorg-x11-server-Xvfb  xorg-server-xvfb      xvfb
tests         command:xdotool                 xdotool                  xdotool                   xdotool               xdotool               xdotool
packaging     command:aarch64-linux-gnu-gcc   gcc-aarch64-linux-gnu    -                         -                     -                      -
packaging     file:ld-linux-aarch64.so.1      libc6-dev-arm64-cross    -                         -                     -                      -
packaging     command:qemu-aarch64            qemu-user                -                         -                     -                      -
bench         file:p11-kit-proxy.so           p11-kit-modules          p11-kit                   p11-kit               p11-kit                p11-kit
distributions command:debootstrap             debootstrap              debootstrap               debootstrap           debootstrap            debootstrap
distributions file:debian-archive-keyring.gpg debian-archive-keyring   debian-keyring            -                     debian-archive-keyring debian-archive-keyring
END
}

# A column of things, for some commands: column NAME COMMAND...
column() {
    name=$1
    shift
    things | awk -v name="$name" -v commands=" $* " '
        NR == 1 { for (n = 1; $n != name; n++); next }
        index(commands, " " $1 " ") && $n != "-" && !seen[$n]++ { print $n }'
}

# Debian packages that are not installed yet, of those for some commands: missing_packages COMMAND...
missing_packages() {
    packages=$(column apt "$@")
    # shellcheck disable=SC2086 # a list of words
    installed=$(dpkg-query -W -f='${db:Status-Status} ${Package}\n' $packages 2>/dev/null | sed -n 's/^installed //p')
    printf '%s\n' "$packages" | grep -vxF "$installed" | tr '\n' ' '
}

# Whether a thing is here.
present() {
    case $1 in
    command:*) (PATH=$PATH:/usr/sbin:/sbin && command -v "${1#*:}") ;;
    header:*) echo "#include <${1#*:}>" | cc -E - ;;
    library:*) pkg-config --exists "${1#*:}" ;;
    python:*) python3 -c "import ${1#*:}" ;;
    file:*) find /etc /usr -name "${1#*:}" 2>/dev/null | grep -q . ;;
    esac >/dev/null 2>&1
}

# Where there is no apt, people install: tells them what, and goes on when it is there.
look_for_things() {
    here=apt # no manager that is known: its list is the longest
    for manager in dnf zypper pacman apk; do
        ! command -v "$manager" >/dev/null || here=$manager
    done
    absent=$(
        # shellcheck disable=SC2034 # eval reads one of them
        things | while read -r command thing apt dnf zypper pacman apk; do
            case " $* " in *" $command "*) ;; *) continue ;; esac
            present "$thing" || eval "echo \$$here \$thing"
        done
    )
    [ -n "$absent" ] || [ ! -d .venv ] || return 0
    say "No apt here. These are the packages that sh softhsm/demo.sh needs, and then those of sh tests/run.sh:"
    for command in demo tests; do
        say "  dnf install $(column dnf $command | tr '\n' ' ')"
        say "  zypper install $(column zypper $command | tr '\n' ' ')"
        say "  pacman -S $(column pacman $command | tr '\n' ' ')"
        say "  apk add $(column apk $command | tr '\n' ' ')"
    done
    unpackaged=$(echo "$absent" | sed -n 's/^- //p' | tr '\n' ' ')
    [ -z "$unpackaged" ] || say "Not here, and in no package of $here; their tests are skipped: $unpackaged"
    absent=$(echo "$absent" | sed -n 's/^[^-][^ ]* //p' | tr '\n' ' ')
    [ -z "$absent" ] || fail "Not here: $absent"
}

# Installs, at once, what some commands need: install_packages COMMAND...
install_packages() {
    if ! command -v apt-get >/dev/null; then
        look_for_things "$@"
        return
    fi
    missing=$(missing_packages "$@")
    [ -n "$missing" ] || return 0
    as_root=
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null ||
            fail "Not root and no sudo here. Ask the administrator for what the README's commands need:
  apt-get install $(missing_packages demo tests)"
        as_root=sudo
    fi
    say "Installing from Debian: $missing"
    # shellcheck disable=SC2086 # both are lists of words
    {
        $as_root apt-get update -qq
        $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends $missing
    } >/dev/null
}

find_python() {
    for python in python3 python3.14 python3.13 python3.12 python3.11; do
        if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            return 0
        fi
    done
    fail "Python 3.11 or newer is needed."
}

# Makes .venv, also anew when its Python is gone: after a new release of the system, say.
make_environment() {
    ! .venv/bin/python -c 'import pip' 2>/dev/null || return 0
    find_python
    "$python" -m venv --clear .venv
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
    "$@" >&2
    printf '%s' "$now" >".venv/$name"
}

export CMAKE_GENERATOR=Ninja # of those that CMake knows, the one in the table; a folder that was built keeps its own

build_project() {
    extras=agent,centre,pdf,testing
    login="./login[oidc]"
    say "Building the project into .venv"
    # Both go first: pip would take a module that moved from one to the other away again, with the old version.
    .venv/bin/pip uninstall --quiet --quiet --yes xca-plugin xca-login
    # With every extra, for all that the README shows. Where no wheel of pyscard fits, it may not compile.
    .venv/bin/pip install --quiet --disable-pip-version-check "$login" ".[$extras,pcsc]" || {
        say "Without card readers: pyscard, of the extra pcsc, cannot be installed here."
        .venv/bin/pip install --quiet --disable-pip-version-check "$login" ".[$extras]"
    }
}

install_project() {
    make_environment
    once project login pkcs11_shim softhsm xca_centre xca_plugin pyproject.toml CMakeLists.txt -- build_project
}

install_requirements() {
    once "$(basename "$1" .txt)" "$1" -- .venv/bin/pip install --quiet --disable-pip-version-check -r "$1"
}
