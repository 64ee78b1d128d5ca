# SPDX-License-Identifier: Apache-2.0
"""A process that runs SoftHSM for the requests of softhsm.inner; JSON lines on stdin and stdout.

It is started by its path and imports nothing of the project, so that it is ready in a tenth of a second.
"""

import ctypes
import json
import os
import secrets
import signal
import sys
from typing import Any

import pkcs11
from pkcs11 import Attribute, KeyType, MechanismFlag, ObjectClass
from pkcs11.attributes import AttributeMapper, handle_ulong
from pkcs11.util.x509 import decode_x509_certificate

_PR_SET_PDEATHSIG = 1
_KEYS = {
    "SIGN": MechanismFlag.SIGN | MechanismFlag.VERIFY,
    "KEYX": MechanismFlag.DECRYPT | MechanismFlag.UNWRAP | MechanismFlag.ENCRYPT | MechanismFlag.WRAP,
}
_FIXED = {Attribute.MODIFIABLE: False, Attribute.DESTROYABLE: False}


def _make_keys(module: str, request: dict[str, Any]) -> dict[str, Any]:
    """Make a token, with an SO PIN of the issuer, and its keys; tell their moduli."""
    so_pin = request["so_pin"]
    (slot,) = pkcs11.lib(module).get_slots()
    # python-pkcs11 has no C_InitToken. CDLL returns the library that is already loaded.
    label = request["label"].encode().ljust(32)
    code = so_pin.encode()
    result = ctypes.CDLL(module).C_InitToken(
        ctypes.c_ulong(slot.slot_id), code, ctypes.c_ulong(len(code)), label
    )
    if result != 0:
        raise pkcs11.PKCS11Error(f"C_InitToken: {result:#x}")

    # Nobody is told this PIN, so the card stays closed until C_InitPIN replaces it.
    transport_pin = secrets.token_hex(16)
    with slot.get_token().open(rw=True, so_pin=so_pin) as session:
        session.init_pin(transport_pin)
    with slot.get_token().open(rw=True, user_pin=transport_pin) as session:
        moduli = {}
        for key_id, capabilities in _KEYS.items():
            public, _ = session.generate_keypair(
                KeyType.RSA,
                2048,
                id=key_id.encode(),
                label="k1",
                store=True,
                capabilities=capabilities,
                public_template={
                    **_FIXED,
                    Attribute.PRIVATE: False,
                    Attribute.VERIFY_RECOVER: False,
                },
                private_template={
                    **_FIXED,
                    Attribute.EXTRACTABLE: False,
                    Attribute.SIGN_RECOVER: False,
                },
            )
            moduli[key_id] = public[Attribute.MODULUS].hex()
    return {"moduli": moduli}


def _write_certificates(module: str, request: dict[str, Any]) -> dict[str, Any]:
    # SoftHSM lets anybody write what is public.
    mapper = AttributeMapper()
    mapper.register_handler(Attribute.CERTIFICATE_CATEGORY, *handle_ulong)
    token = pkcs11.lib(module).get_token(token_label=request["label"])
    with token.open(rw=True, attribute_mapper=mapper) as session:
        for certificate in request["certificates"]:
            session.create_object(
                {
                    **decode_x509_certificate(bytes.fromhex(certificate["der"])),
                    **_FIXED,
                    Attribute.TOKEN: True,
                    Attribute.PRIVATE: False,
                    Attribute.LABEL: certificate["label"],
                    Attribute.ID: certificate["id"].encode(),
                    Attribute.CERTIFICATE_CATEGORY: certificate["category"],
                }
            )
    return {}


def _change_user_code(module: str, request: dict[str, Any]) -> dict[str, Any]:
    token = pkcs11.lib(module).get_token(token_label=request["label"])
    with token.open(rw=True, so_pin=request["old"]) as session:
        session.set_pin(request["old"], request["new"])
    return {}


def _labels(module: str, _: dict[str, Any]) -> dict[str, Any]:
    return {"labels": [slot.get_token().label for slot in pkcs11.lib(module).get_slots()]}


def _certificates(module: str, request: dict[str, Any]) -> dict[str, Any]:
    with pkcs11.lib(module).get_token(token_label=request["label"]).open() as session:
        found = [
            certificate
            for key_id in request["ids"]
            for certificate in session.get_objects(
                {Attribute.CLASS: ObjectClass.CERTIFICATE, Attribute.ID: key_id.encode()}
            )
        ]
        return {"certificates": {item[Attribute.LABEL]: item[Attribute.VALUE].hex() for item in found}}


_COMMANDS = {
    "make-keys": _make_keys,
    "write-certificates": _write_certificates,
    "change-user-code": _change_user_code,
    "labels": _labels,
    "certificates": _certificates,
}


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    try:
        return _COMMANDS[request["do"]](request["module"], request)
    except pkcs11.PKCS11Error as error:
        return {"error": f"{type(error).__name__} {error}".strip()}


if __name__ == "__main__":
    # End with the issuer (prctl(2)): a worker left over would write to files that the next one deletes.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    os.umask(0o077)
    for line in sys.stdin:
        print(json.dumps(_answer(json.loads(line))), flush=True)
