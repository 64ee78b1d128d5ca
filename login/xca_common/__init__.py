# SPDX-License-Identifier: Apache-2.0
"""What the card's side, the sites' side and the issuer's side stand on. It needs no card and no C.

Errors, sentences in two languages, secrets, files; `pki` for certificates and what is signed
with them, `web` for pages.
"""
