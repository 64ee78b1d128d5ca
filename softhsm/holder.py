# SPDX-License-Identifier: Apache-2.0
"""What a holder does with a card before a test begins: one request of softhsm.card_fixture, in JSON on stdin.

Started by its path, and importing nothing of the project. A process of its own, because a process keeps the
configuration that it loaded the module with.
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
