# SPDX-License-Identifier: Apache-2.0
"""Program that prints as JSON the objects of a token and what its user may do to them.

Arguments: module, token label. The user PIN comes in PIN, SoftHSM's configuration in SOFTHSM2_CONF.
"""

import json
import os
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import pkcs11
from pkcs11 import Attribute, ObjectClass, PKCS11Error
from pkcs11.attributes import AttributeMapper, handle_ulong

_SHOWN = (
    *("TOKEN", "PRIVATE", "MODIFIABLE", "DESTROYABLE"),
    *("SENSITIVE", "ALWAYS_SENSITIVE", "EXTRACTABLE", "NEVER_EXTRACTABLE", "LOCAL", "MODULUS_BITS"),
    *("SIGN", "SIGN_RECOVER", "DECRYPT", "UNWRAP", "DERIVE"),
    *("VERIFY", "VERIFY_RECOVER", "ENCRYPT", "WRAP"),
    *("SUBJECT", "ISSUER", "SERIAL_NUMBER", "VALUE", "CERTIFICATE_CATEGORY"),
)


def _outcome(action: Callable[[], Any]) -> Any:
    try:
        value = action()
    except PKCS11Error as error:
        return f"{type(error).__name__} {error}".strip()
    return value.hex() if isinstance(value, bytes) else value


def main() -> None:
    module, label = sys.argv[1:]
    mapper = AttributeMapper()
    mapper.register_handler(Attribute.CERTIFICATE_CATEGORY, *handle_ulong)
    token = pkcs11.lib(module).get_token(token_label=label)
    with token.open(rw=True, user_pin=os.environ["PIN"], attribute_mapper=mapper) as session:
        report = []
        for thing in list(session.get_objects()):
            about = {name: _outcome(partial(thing.__getitem__, Attribute[name])) for name in _SHOWN}
            about["CLASS"] = ObjectClass(thing[Attribute.CLASS]).name
            about["LABEL"] = thing[Attribute.LABEL]
            about["ID"] = thing[Attribute.ID].decode()
            about["relabel"] = _outcome(partial(thing.__setitem__, Attribute.LABEL, "other"))
            about["destroy"] = _outcome(thing.destroy)
            report.append(about)
    print(json.dumps(report))


main()
