# SPDX-License-Identifier: Apache-2.0
XCA_MODULE=$(xcactl module-path)
KEY="pkcs11:serial=$XCA_CARD;id=SIGN;type=private"
export XCA_MODULE KEY
xcactl cert export cert1 -o cert1.pem
xcactl cert export 'CA Cert' -o ca.pem
xcactl cert export 'ROOT CA Cert' -o root.pem
cat cert1.pem ca.pem >chain.pem
cat ca.pem root.pem >issuers.pem
openssl x509 -in cert1.pem -noout -pubkey >key.pem
