#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Run by tests/distributions.sh in a minimal system, as root: a Debian package from its installation to its purge.
#     sh tests/installed_package.sh FILE.deb
set -eu
export DEBIAN_FRONTEND=noninteractive
package=$1
. tests/holder.sh

# What the system holds, but for what apt and dpkg write themselves.
system() {
    find / -xdev \( -path /proc -o -path /sys -o -path /tmp -o -path /home -o -path /var/cache -o -path /var/log -o \
        -path /var/lib/dpkg -o -path /var/lib/apt \) -prune -o -print | LC_ALL=C sort
}

make_holder
apt-get -qq install --no-install-recommends softhsm2 openssl libgcc-s1 >/dev/null
mkdir -p /tmp/work
dpkg-deb --field "$package" Depends
# What it needs stays when it goes, and is no trace of it.
cp "$package" /tmp/work/package.deb
apt-get -qq install --no-install-recommends --download-only /tmp/work/package.deb >/dev/null
apt-get -qq install --no-install-recommends \
    $(apt-get -s install --no-install-recommends /tmp/work/package.deb | sed -n 's/^Inst \([^ ]*\) .*/\1/p' | grep -v '^xca-plugin$') >/dev/null
system >/tmp/work/before

# --- install

apt-get -qq install --no-install-recommends /tmp/work/package.deb >/dev/null
module=$(person 'xcactl module-path')
[ "$module" = "/usr/lib/$(dpkg-architecture -qDEB_HOST_MULTIARCH 2>/dev/null || gcc -print-multiarch 2>/dev/null || echo x86_64-linux-gnu)/xca-pkcs11.so" ] ||
    fail "module-path: $module"
person 'xcactl --version'
person 'xcactl --lang zh_TW --help' | grep -q 用法 || fail "no Chinese catalogue"
[ -L "${module%/*}/pkcs11/xca-pkcs11.so" ] || fail "no link in pkcs11/"
[ ! -e /usr/share/p11-kit/modules/xca.module ] || fail "p11-kit is told of the module"
for file in man/man1/xcactl.1.gz man/man1/xcactl-pin-change.1.gz man/zh_TW/man1/xcactl.1.gz \
    man/man1/xca-login.1.gz bash-completion/completions/xcactl bash-completion/completions/xca-login zsh/vendor-completions/_xcactl fish/vendor_completions.d/softhsm-card.fish \
    applications/xca-agent.desktop icons/hicolor/scalable/apps/xca-agent.svg; do
    [ -s "/usr/share/$file" ] || fail "no $file"
done
! zcat /usr/share/man/zh_TW/man1/xcactl*.gz | grep -E '^\.SH [A-Z]|  See |Manual' || fail "English in the Chinese man pages"
grep -q '^Name\[zh_TW\]=憑證IC卡管理$' /usr/share/applications/xca-agent.desktop
broken=$(cd /usr/share/doc/xca-plugin && find . -name '*.md' | while read -r file; do
    grep -o '](\([^):#]*\.[a-z]*\)[)#]' "$file" | sed 's/^](//; s/.$//' | while read -r target; do
        [ -e "${file%/*}/$target" ] || echo "$file: $target"
    done
done)
[ -z "$broken" ] || fail "links of documents lead nowhere: $broken"

# --- use: setup, and from a new card to a signed file

person "xcactl setup --yes --module /usr/lib/softhsm/libsofthsm2.so >/dev/null 2>&1; cat .config/xca/pkcs11.conf" |
    grep -q libsofthsm2 || fail "setup wrote no configuration"
person '
    umask 077
    printf Abcd2345 >code; printf 7305284 >pin; echo contract >contract.txt
    softhsm-card init; softhsm-card issue --user-code file:code
    eval "$(softhsm-card env)"
    xcactl activate --yes --user-code file:code --new-pin file:pin
    xcactl sign contract.txt --pin file:pin
    xcactl verify contract.txt contract.txt.p7s --ca-file .local/share/xca/softhsm/pki/root.pem
    openssl cms -verify -binary -inform DER -in contract.txt.p7s -content contract.txt -purpose any \
        -CAfile .local/share/xca/softhsm/pki/root.pem -out /dev/null
    xca-login demo --no-browser >demo.log 2>&1 & demo=$!
    for _ in $(seq 60); do grep -q http://127.0.0.1 demo.log && break; sleep 1; done
    grep http://127.0.0.1 demo.log
    kill $demo; wait $demo
'

# The menu entry's command starts the agent and gives its home page to the desktop: here to a program that fetches it.
# In a network of its own: another program of this computer may have the port that web sites know.
cat >/tmp/work/xdg-open <<'END'
#!/usr/bin/python3
import pathlib, sys, urllib.request
pathlib.Path("/home/holder/page.html").write_bytes(urllib.request.urlopen(sys.argv[1]).read())
END
install -D -m 755 /tmp/work/xdg-open /home/holder/bin/xdg-open
cat >/tmp/work/menu.sh <<'END'
$(sed -n 's/^Exec=\(.*open\)$/\1/p' /usr/share/applications/xca-agent.desktop)
for _ in $(seq 20); do [ ! -s page.html ] || break; sleep 1; done
grep '<title>' page.html
xcactl agent status
for process in /proc/[0-9]*; do
    [ "$(cat "$process/comm")" != xca-agent ] || kill "${process#/proc/}"
done
END
cat >/tmp/work/loopback.py <<'END'
import fcntl, socket, struct
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
fcntl.ioctl(socket.socket(), SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))
END
unshare --net sh -euc 'python3 /tmp/work/loopback.py; cd /home/holder
    runuser -u holder -- env -i HOME=/home/holder PATH=/home/holder/bin:/usr/bin:/bin LANG=C.UTF-8 sh -eu /tmp/work/menu.sh'

# --- upgrade

dpkg-deb -R /tmp/work/package.deb /tmp/work/newer
sed -i 's/^Version: .*/&+1/' /tmp/work/newer/DEBIAN/control
dpkg-deb --root-owner-group -Zgzip -z1 -b /tmp/work/newer /tmp/work/newer.deb >/dev/null
dpkg -i /tmp/work/newer.deb >/dev/null
person 'eval "$(softhsm-card env)"; xcactl info' | grep -q XC || fail "the card is not seen after an upgrade"

# --- remove: tools are set back, or named

mkdir -p /home/holder/.mozilla
if apt-get -qq install --no-install-recommends p11-kit >/dev/null; then
    xcactl tools register p11-kit >/dev/null
    [ -e /etc/pkcs11/modules/xca.module ] || fail "root's p11-kit was not registered"
    person 'xcactl tools register p11-kit >/dev/null'
    system >/tmp/work/with-p11-kit
fi
dpkg -r xca-plugin 2>&1 | tee /tmp/work/removal
[ ! -e /etc/pkcs11/modules/xca.module ] || fail "root's p11-kit still names the module"
grep -q 'holder has told these tools of the module: p11-kit\.$' /tmp/work/removal || fail "the holder's tools were not named"
[ ! -e /usr/lib/xca ] || fail "left: $(find /usr/lib/xca | head)"

# --- purge: nothing is left

dpkg -P xca-plugin >/dev/null 2>&1
apt-get -qq purge p11-kit >/dev/null
apt-get -qq autoremove --purge >/dev/null
system >/tmp/work/after
left=$(LC_ALL=C comm -13 /tmp/work/before /tmp/work/after | grep -v '^/etc/pkcs11' || true)
[ -z "$left" ] || fail "left after the purge: $left"
echo "1 passed, 0 failed"
