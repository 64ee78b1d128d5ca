# SPDX-License-Identifier: Apache-2.0
"""The fixtures of the centre: cards at every point of their life, as another project's tests get them."""

import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID

from xca_centre.sandbox.trial_cards import TrialCard, TrialCentre

pytestmark = pytest.mark.integration  # a whole centre


def status(centre: TrialCentre, card: TrialCard) -> ocsp.OCSPCertStatus:
    """What the responder says of a card's certificate for signatures."""
    certificate = x509.load_der_x509_certificate(card.signing)
    (issuer,) = (
        each
        for path in centre.authorities.glob("issuer-*.cer")
        if (each := x509.load_der_x509_certificate(path.read_bytes())) and is_issued_by(certificate, each)
    )
    asked = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, SHA256()).build()
    access = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    (address,) = (
        each.access_location.value
        for each in access
        if each.access_method == AuthorityInformationAccessOID.OCSP
    )
    answer = httpx.post(
        address,
        content=asked.public_bytes(Encoding.DER),
        headers={"Content-Type": "application/ocsp-request"},
    )
    return ocsp.load_der_ocsp_response(answer.content).certificate_status


def is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    named = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    own = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return named.key_identifier == own.digest


def test_applied_card_has_a_case_number_and_no_card(xca_applied_card: TrialCard) -> None:
    assert len(xca_applied_card.case_number.split("-")) == 5
    assert xca_applied_card.number == ""


def test_made_card_is_listed_by_the_stand_in_and_held_by_the_responder(
    xca_centre: TrialCentre, xca_made_card: TrialCard
) -> None:
    listed = subprocess.run(
        [Path(sys.executable).with_name("softhsm-card"), "list", "--json"],
        env=xca_centre.environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert xca_made_card.number in listed
    assert status(xca_centre, xca_made_card) is ocsp.OCSPCertStatus.REVOKED  # on hold, until accepted


def test_accepted_card_signs_and_is_good(
    xca_centre: TrialCentre, xca_accepted_card: TrialCard, tmp_path: Path
) -> None:
    assert status(xca_centre, xca_accepted_card) is ocsp.OCSPCertStatus.GOOD
    (tmp_path / "bid.txt").write_text("a bid")
    done = subprocess.run(
        [
            *(Path(sys.executable).with_name("xcactl"), "sign", "--card", xca_accepted_card.number),
            *("--pin", "env:PIN", tmp_path / "bid.txt"),
        ],
        env={**xca_centre.environment, "PIN": xca_accepted_card.pin},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_suspended_card_is_held_until_it_is_resumed(
    xca_centre: TrialCentre, xca_suspended_card: TrialCard
) -> None:
    assert status(xca_centre, xca_suspended_card) is ocsp.OCSPCertStatus.REVOKED
    xca_centre.resume(xca_suspended_card)
    assert status(xca_centre, xca_suspended_card) is ocsp.OCSPCertStatus.GOOD
