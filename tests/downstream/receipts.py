# SPDX-License-Identifier: Apache-2.0
"""Signs receipts with the card that the environment's PKCS11_MODULE shows."""

import os
import sys

import pkcs11
from pkcs11 import Attribute, Mechanism, ObjectClass


def sign(receipt: bytes, pin: str) -> bytes:
    """Return the signature (PKCS #1 v1.5 with SHA-256) of the only card."""
    slots = pkcs11.lib(os.environ["PKCS11_MODULE"]).get_slots(token_present=True)
    (token,) = [slot.get_token() for slot in slots if slot.get_token().label == "HiCOS PKI Smart Card"]
    with token.open(rw=True, user_pin=pin) as session:
        (key,) = session.get_objects({Attribute.CLASS: ObjectClass.PRIVATE_KEY, Attribute.ID: b"SIGN"})
        return key.sign(receipt, mechanism=Mechanism.SHA256_RSA_PKCS)


def main() -> None:
    """Sign what comes in on stdin, with the PIN in RECEIPTS_PIN, to stdout."""
    try:
        sys.stdout.buffer.write(sign(sys.stdin.buffer.read(), os.environ["RECEIPTS_PIN"]))
    except pkcs11.PKCS11Error as error:
        sys.exit(f"receipts: {type(error).__name__}")


if __name__ == "__main__":
    main()
