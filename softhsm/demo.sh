#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The main job, from nothing to a verified signature: issues a card in SoftHSM, activates it, signs with it.
# Usage: sh softhsm/demo.sh [DIRECTORY]     everything is kept there; by default in demo-card/ of the clone.
set -eu
cd "$(dirname "$0")/.."
. ./setup.sh
install_packages demo
install_project
PATH=$PWD/.venv/bin:$PATH

mkdir -p "${1:-demo-card}"
demo=$(cd "${1:-demo-card}" && pwd)
XCA_SOFTHSM_DIR=$demo/card
export XCA_SOFTHSM_DIR
umask 077

step() {
    printf '\n\033[1m== %s\033[0m\n' "$*"
}

# Whether the locale is Chinese as Taiwan writes it.
is_chinese() {
    case ${LANGUAGE:-${LC_ALL:-${LC_MESSAGES:-${LANG:-}}}} in
        zh_CN* | zh_SG* | zh_Hans*) return 1 ;;
        zh*) return 0 ;;
        *) return 1 ;;
    esac
}

# Prints the first text, or the second, which is Chinese.
tell() {
    if is_chinese; then printf '%s\n' "$2"; else printf '%s\n' "$1"; fi
}

# Shows a command before it runs.
run() {
    printf '$ %s\n' "$*"
    "$@"
}

secret() {
    od -An -N"$1" -tx1 /dev/urandom | tr -d ' \n'
}

step "發卡 Issue a card: SoftHSM stands in for it"
softhsm-card init
secret 5 >"$demo/new-user-code" # the holder chose it at application
number=$(softhsm-card issue --user-code "file:$demo/new-user-code" --json |
    python -c 'import json, sys; print(json.load(sys.stdin)[0]["number"])')
user_code=$demo/$number.user-code
pin=$demo/$number.pin
mv "$demo/new-user-code" "$user_code"
secret 4 >"$pin"
eval "$(softhsm-card env)"
XCA_CARD=$number
export XCA_CARD
cat >"$demo/enter" <<EOF
PATH='$PWD/.venv/bin':\$PATH
$(softhsm-card env)
export XCA_CARD=$number
EOF
tell "Card $number. Its user code is in $user_code; its PIN will be what is in $pin." \
    "卡號 $number。用戶代碼在 $user_code；將以 $pin 的內容作為PIN碼。"
run xcactl info

step "未開卡 Before activation, a stranger's tool is refused"
reader=$(xcactl info --json | python -c 'import json, sys; print(json.load(sys.stdin)["reader"])')
slot=$(pkcs11-tool --module "$PKCS11_MODULE" -L | sed -n "s/^Slot .*(\(0x[0-9a-f]*\)): $reader\$/\1/p")
PIN=$(cat "$pin")
export PIN
stranger() {
    run pkcs11-tool --module "$PKCS11_MODULE" --slot "$slot" --login --pin env:PIN \
        --sign --mechanism SHA256-RSA-PKCS --id 5349474e --input-file "$demo/contract.txt" --output-file "$demo/contract.sig"
}
echo "採購契約 Contract, $(date)" >"$demo/contract.txt"
rm -f "$demo/contract.sig" "$demo/contract.txt.p7s" "$demo/cert1.pem" "$demo/ca.pem" # of an earlier run
if stranger; then
    fail "$(tell "A card that was never activated has signed: this must not happen." \
        "未開卡的卡片簽署成功：這不應該發生。")"
fi

step "開卡 Activate it with the user code and a new PIN"
run xcactl activate --user-code "file:$user_code" --new-pin "file:$pin" --yes --receipt "$demo/$number.receipt"

step "簽章 Sign a file through the module, with xcactl and with pkcs11-tool"
run xcactl sign "$demo/contract.txt" --output "$demo/contract.txt.p7s" --pin "file:$pin"
stranger
unset PIN

step "驗證 OpenSSL verifies both against the test PKI"
root=$XCA_SOFTHSM_DIR/pki/root.pem
xcactl cert export cert1 --output "$demo/cert1.pem"
xcactl cert export "CA Cert" --output "$demo/ca.pem"
run openssl cms -verify -binary -inform DER -in "$demo/contract.txt.p7s" -content "$demo/contract.txt" \
    -CAfile "$root" -purpose any -out /dev/null
run openssl verify -CAfile "$root" -untrusted "$demo/ca.pem" "$demo/cert1.pem"
openssl x509 -in "$demo/cert1.pem" -noout -pubkey >"$demo/cert1-key.pem"
run openssl dgst -sha256 -verify "$demo/cert1-key.pem" -signature "$demo/contract.sig" "$demo/contract.txt"

step "已開卡 The card is active"
run xcactl info

step "接下來 What to try next"
if is_chinese; then
    cat <<EOF
卡片保留在 $demo。在任何 shell 中以下列指令使用它：

    . $demo/enter

接著可以試試：

    xcactl info                                        持卡人、狀態、剩餘次數
    xcactl cert list                                   卡片上的憑證
    xcactl pin change --pin file:$pin             更改PIN碼：會詢問新的PIN碼
    xcactl verify $demo/contract.txt $demo/contract.txt.p7s --ca-file $root
    xcactl events                                      歷史紀錄
    pkcs11-tool --module "\$PKCS11_MODULE" -L           其他工具看到的卡片
    softhsm-card issue                                 再核發一張卡片
    xcactl --help、softhsm-card --help
EOF
else
    cat <<EOF
The card stays in $demo. Enter it from any shell with

    . $demo/enter

and then, for example:

    xcactl info                                        its holder, state, tries left
    xcactl cert list                                   the certificates on it
    xcactl pin change --pin file:$pin             更改PIN碼: asks for a new one
    xcactl verify $demo/contract.txt $demo/contract.txt.p7s --ca-file $root
    xcactl events                                      what happened to it
    pkcs11-tool --module "\$PKCS11_MODULE" -L           what any other tool sees
    softhsm-card issue                                 another card
    xcactl --help, softhsm-card --help
EOF
fi
