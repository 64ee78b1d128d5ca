# SPDX-License-Identifier: Apache-2.0
"""The base of the card's, the sites' and the issuer's programs. It needs no card and no C.

Errors, sentences in two languages, secrets and files are here; certificates and signatures are in `pki`, the
parts of web pages in `web`.
"""
