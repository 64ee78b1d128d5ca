# SPDX-License-Identifier: Apache-2.0
"""Applications that applicants save on a disk of their own, and load again (儲存/讀取申請資料).

Such a file is CMS AuthEnvelopedData to the centre's key. Who holds it can read nothing of it: could the user
code open it, anybody with the file could try codes until one fits, and then knew a card's. So the centre
opens it, and shows what is in it after a try that is counted (user_codes).

Anybody can write such a file for himself. Nothing in it counts as checked.
"""

import json
from collections.abc import Mapping
from io import BytesIO
from typing import Final
from uuid import UUID, uuid4, uuid5

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from xca_centre import user_codes
from xca_centre.application_form import FIELDS
from xca_centre.errors import SavedApplicationUnusable
from xca_centre.life.transitions import Role
from xca_centre.store.database import Change
from xca_centre.user_codes import NewUserCode, UserCodes
from xca_common.pki.encrypted_data import (
    EncryptedData,
    NotDecryptable,
    RecipientCertificate,
    encrypt,
)
from xca_common.pki.malformed import Malformed, TooMuchError
from xca_common.secret import Secret

MOST_BYTES: Final = 64 << 10
_FORMAT: Final = 1
_SAVED: Final = UUID("8f0a3c52-6a5d-4c0e-9a5c-3f6b1d2e7c41")
_ORGANISATION: Final = "organisation"
_NAMES: Final = frozenset({*FIELDS, _ORGANISATION})


class SavedApplications:
    """Writes and opens such files.

    Args:
        codes: judges the user codes.
        key: the centre's key for what is saved.
        certificate: its certificate for encryption, in DER.
    """

    def __init__(self, codes: UserCodes, key: RSAPrivateKey, certificate: bytes) -> None:
        self._codes = codes
        self._key = key
        self._certificate = certificate

    def save(self, fields: Mapping[str, str], code: NewUserCode) -> bytes:
        """Return a file with fields of a form as they were filled in, in PEM.

        Args:
            fields: by the names of application_form.FIELDS, and `organisation`: its OID.
            code: the user code that will be asked for, as it was chosen (UserCodes.choose).

        Raises:
            SavedApplicationUnusable: the fields are so long that the file could not be read.
        """
        document = {
            "format": _FORMAT,
            "id": str(uuid4()),
            "hash": code.hash,
            "fields": {name: value for name, value in fields.items() if name in _NAMES},
        }
        content = BytesIO(json.dumps(document).encode("ascii"))
        encrypt(content, output := BytesIO(), [RecipientCertificate.read(self._certificate)], armored=True)
        if len(output.getvalue()) > MOST_BYTES:
            raise SavedApplicationUnusable
        return output.getvalue()

    def load(self, data: bytes, code: Secret, network: str) -> dict[str, str]:
        """Return the fields that were saved, for a page to be filled with; nothing of them was checked.

        Args:
            data: the file.
            code: what was entered.
            network: from where, as user_codes.network_of().

        Raises:
            SavedApplicationUnusable: it is none of our files, or damaged. No try was spent.
            BadUserCode, TooManyTries, UserCodeRefused, StoreUnavailable: as UserCodes.prove.
        """
        identity, digest, fields = self._open(data)

        def find(change: Change) -> UUID:
            user_codes.add_for_a_year(change, identity, NewUserCode(digest))
            return identity

        self._codes.prove(find, code, network, Role.APPLICANT)
        with self._codes.database.change() as change:
            user_codes.opened(change, identity)
        return fields

    def _open(self, data: bytes) -> tuple[UUID, str, dict[str, str]]:
        if len(data) > MOST_BYTES:
            raise SavedApplicationUnusable
        try:
            encrypted = EncryptedData(BytesIO(data))
            # Its certificate was renewed since, perhaps: the key is the same, and opens it or does not.
            recipient = encrypted.only_recipient()
            if recipient is None:
                raise SavedApplicationUnusable
            encrypted.open(recipient, self._key, output := BytesIO())
            document = json.loads(output.getvalue())
            fields = {str(name): str(value) for name, value in document["fields"].items() if name in _NAMES}
            # Among ids of their own: nobody who writes a file tries the code of a case with it.
            identity, digest = uuid5(_SAVED, str(UUID(document["id"]))), str(document["hash"])
        except (
            NotDecryptable,
            Malformed,
            TooMuchError,
            EOFError,
            ValueError,
            TypeError,
            LookupError,
            AttributeError,
            RecursionError,
        ):
            raise SavedApplicationUnusable from None
        # A stranger may have written it, with a hash that takes hours to compute.
        if not self._codes.is_affordable(digest):
            raise SavedApplicationUnusable
        return identity, digest, fields
