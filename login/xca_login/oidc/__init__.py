# SPDX-License-Identifier: Apache-2.0
"""An OpenID Connect provider: programs that speak OpenID Connect let holders of cards in through it.

The grammar of OAuth and OpenID Connect is authlib's, that of signed tokens joserfc's. Here are the card's
login, its holder's consent, the clients, and the database that any number of processes share.
"""
