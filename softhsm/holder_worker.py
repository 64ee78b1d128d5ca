# SPDX-License-Identifier: Apache-2.0
"""A process that activates or locks a card for softhsm.card_fixture; it reads one request, JSON, on stdin.

It is a process of its own, because a process keeps the configuration with which it loaded the module. It is
started by its path and imports nothing of the project.
"""

import json
import sys
from contextlib import suppress

import pkcs11

if __name__ == "__main__":
    request = json.load(sys.stdin)
    token = pkcs11.lib(request["module"]).get_token(token_serial=request["number"].encode())
    if request["new_pin"] is not None:
        with token.open(rw=True, so_pin=request["user_code"]) as session:
            session.init_pin(request["new_pin"])
    for wrong in request["wrong"]:
        with suppress(pkcs11.PinIncorrect, pkcs11.PinLocked):
            # Read-write: a failed open leaves its session behind, and a read-only one forbids SO logins.
            token.open(rw=True, **wrong)
