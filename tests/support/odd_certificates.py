# SPDX-License-Identifier: Apache-2.0
"""Certificates that no issuer should write, and a way to put them on a card behind the module's back."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_PUT = """
import json, sys
import pkcs11
from pkcs11 import Attribute, CertificateType, ObjectClass

request = json.load(sys.stdin)
(slot, *_) = pkcs11.lib(request["library"]).get_slots(token_present=True)
with slot.get_token().open(rw=True) as session:
    template = {
        Attribute.CLASS: ObjectClass.CERTIFICATE,
        Attribute.CERTIFICATE_TYPE: CertificateType.X_509,
        Attribute.TOKEN: True,
        Attribute.PRIVATE: False,
        Attribute.SUBJECT: b"x",
        Attribute.VALUE: bytes.fromhex(request["der"]),
    }
    if request["id"] is not None:
        template[Attribute.ID] = request["id"].encode("latin-1")
    if request["label"] is not None:
        template[Attribute.LABEL] = request["label"]
    session.create_object(template)
"""


def put(library: Path, configuration: Path, der: bytes, *, id: str | None, label: str | None) -> None:
    """Put an object on the first token, through SoftHSM itself."""
    subprocess.run(
        [sys.executable, "-c", _PUT],
        env={"SOFTHSM2_CONF": str(configuration), "PATH": "/usr/bin:/bin"},
        input=json.dumps({"library": str(library), "der": der.hex(), "id": id, "label": label}),
        text=True,
        check=True,
        capture_output=True,
    )


def certificate(
    subject: str | None = "holder",
    *,
    start: datetime | None = None,
    end: datetime | None = None,
) -> bytes:
    """Return a certificate in DER whose private key is thrown away."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, subject)] if subject else [])
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "nobody")])
    return (
        x509.CertificateBuilder(issuer, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(start or now - timedelta(days=3))
        .not_valid_after(end or now + timedelta(days=3))
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.DER)
    )


NO_END = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


def odd_ones() -> dict[str, bytes]:
    """Return certificates, and data that is no certificate, by what is odd about them."""
    genuine = certificate(end=NO_END)
    return {
        "no end": genuine,
        "the last second but one": certificate(end=NO_END - timedelta(seconds=1)),
        "from 1950": certificate(start=datetime(1950, 1, 1, tzinfo=UTC)),
        "year nought": genuine.replace(b"99991231235959Z", b"00000101000000Z"),
        "no such day": genuine.replace(b"99991231235959Z", b"99991331235959Z"),
        "no zone": genuine.replace(b"99991231235959Z", b"999912312359590"),
        "no name": certificate(None),
        "nothing": b"",
        "a nought": b"\0",
        "no DER": b"whatever it is" * 9,
        "a sequence of nothing": b"\x30\x00",
        "another sequence": b"\x30\x06\x02\x01\x01\x02\x01\x02",
        "cut off": genuine[: len(genuine) // 2],
        "too long": genuine + b"\0",
        "another key": genuine.replace(
            bytes.fromhex("06072a8648ce3d0201"), bytes.fromhex("06072a8648ce3d0277")
        ),
        "another curve": genuine.replace(
            bytes.fromhex("06082a8648ce3d030107"), bytes.fromhex("06082a8648ce3d030177")
        ),
        "no UTF-8": genuine.replace(b"\x0c\x06holder", b"\x0c\x06\xff\xfe\xfd\xfc\xfb\xfa"),
        "another string": genuine.replace(b"\x0c\x06holder", b"\x03\x06holder"),
    }
