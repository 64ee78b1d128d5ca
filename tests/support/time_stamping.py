# SPDX-License-Identifier: Apache-2.0
"""A time-stamping authority (RFC 3161) on this machine."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from asn1crypto import keys, tsp  # type: ignore[import-untyped]
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID
from pyhanko.sign.timestamps.dummy_client import DummyTimeStamper
from rfc3161_client import HashAlgorithm, TimestampRequestBuilder

from xca_login.testing.parties import DAY, NOW, Party, party

Answer = Callable[[bytes], bytes]
"""What an authority answers to a request: both in DER."""


def authority(
    issuer: Party,
    name: str = "stamper",
    *,
    critical: bool = True,
    start: datetime = NOW - 30 * DAY,
    end: datetime = NOW + DAY,
) -> Party:
    """Return a party that may stamp times."""
    purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
    return party(name, issuer, extensions=[(purpose, critical)], start=start, end=end)


def answering(stamper: Party, at: datetime | None = None, digest: str | None = None) -> Answer:
    """Stamp every request, at a fixed time or now, with the digest algorithm of the request or another."""
    private = stamper.key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    made = DummyTimeStamper(
        asn1_x509.Certificate.load(stamper.der),
        keys.PrivateKeyInfo.load(private),
        fixed_dt=at,
        override_md=digest,
    )
    return lambda request: bytes(made.request_tsa_response(tsp.TimeStampReq.load(request)).dump())


def token(stamper: Party, stamped: bytes, at: datetime | None = None) -> bytes:
    """A time-stamp token of some bytes."""
    request = TimestampRequestBuilder().data(stamped).hash_algorithm(HashAlgorithm.SHA256).build()
    response = tsp.TimeStampResp.load(answering(stamper, at=at)(request.as_bytes()))
    return bytes(response["time_stamp_token"].dump())


@contextmanager
def serving(answer: Answer, status: int = 200, **headers: str) -> Iterator[str]:
    """An authority that answers so, on loopback; its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = answer(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(status)
            usual = {"Content-Type": "application/timestamp-reply", "Content-Length": str(len(body))}
            for name, value in {**usual, **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{httpd.server_port}/"
    finally:
        httpd.shutdown()
        thread.join()
        httpd.server_close()
