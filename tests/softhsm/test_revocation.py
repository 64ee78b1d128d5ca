# SPDX-License-Identifier: Apache-2.0
"""Certificates taken back and given back, as OpenSSL sees it."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from softhsm import Environment
from softhsm.revocation import REASONS
from support.softhsm.softhsm_card import Issuer, openssl
from xca_common import taipei

pytestmark = pytest.mark.integration


def published(issuer: Issuer, *arguments: str) -> None:
    done = issuer.run(*arguments)
    assert done.returncode == 0, done.stderr.decode()


def crl(environment: Environment) -> Path:
    return environment.pki / "complete.crl"


def crl_text(environment: Environment) -> str:
    return openssl("crl", "-in", crl(environment), "-noout", "-text").decode()


def crl_number(environment: Environment) -> int:
    (number,) = re.findall(r"CRL Number: *\n\s*(\d+)", crl_text(environment))
    return int(number)


def by_crl(environment: Environment, certificate: Path) -> str:
    done = subprocess.run(
        [
            *("openssl", "verify", "-crl_check", "-CRLfile", crl(environment)),
            *("-CAfile", environment.pki / "root.pem", "-untrusted", environment.pki / "ca.pem", certificate),
        ],
        capture_output=True,
        text=True,
    )
    return done.stdout + done.stderr


def by_ocsp(environment: Environment, number: str, certificate: Path) -> str:
    done = subprocess.run(
        [
            *("openssl", "ocsp", "-respin", environment.copies / number / f"{certificate.stem}.ocsp"),
            *("-issuer", environment.pki / "ca.pem", "-cert", certificate),
            *("-CAfile", environment.pki / "root.pem", "-verify_other", environment.pki / "ca.pem"),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Response verify OK" in done.stderr
    return done.stdout


def test_suspended_card_is_on_hold_and_good_after_resume(issuer: Issuer, active: str, tmp_path: Path) -> None:
    environment = issuer.environment
    certificates = []
    for label in ("cert1", "cert2"):
        der = issuer.read_certificate(active, label, tmp_path / f"{label}.der")
        certificates.append(tmp_path / f"{label}.pem")
        openssl("x509", "-inform", "DER", "-in", der, "-out", certificates[-1])

    published(issuer, "publish", active)
    assert crl_number(environment) == 1
    for certificate in certificates:
        assert ": OK" in by_crl(environment, certificate)
        assert ": good" in by_ocsp(environment, active, certificate)

    published(issuer, "suspend", active)
    assert "Version 2" in crl_text(environment)
    assert "Certificate Hold" in crl_text(environment)
    assert crl_number(environment) == 2
    for certificate in certificates:
        assert "certificate revoked" in by_crl(environment, certificate)
        assert ": revoked" in (said := by_ocsp(environment, active, certificate))
        assert "certificateHold" in said

    published(issuer, "resume", active)
    assert crl_number(environment) == 3
    for certificate in certificates:
        assert ": OK" in by_crl(environment, certificate)
        assert ": good" in by_ocsp(environment, active, certificate)


def test_revoked_card_asked_to_resume_stays_revoked(issuer: Issuer, active: str) -> None:
    environment = issuer.environment
    published(issuer, "suspend", active)
    published(issuer, "revoke", active, "--reason", "keyCompromise", "--yes")
    assert "Certificate Hold" not in crl_text(environment)
    assert crl_text(environment).count("Key Compromise") == 2
    before = crl(environment).read_bytes()
    for command in (("resume",), ("suspend",), ("revoke", "--yes")):
        done = issuer.run(*command, active)
        assert done.returncode == 2
        assert f"revoked for good on {taipei.today()}; issue another card" in done.stderr.decode()
    assert crl(environment).read_bytes() == before
    published(issuer, "publish", active)
    assert crl_text(environment).count("Key Compromise") == 2


def test_suspension_of_a_suspended_card_says_that_nothing_changed(issuer: Issuer, active: str) -> None:
    said = {
        "resume": (
            f"{active} were not suspended: nothing was changed.",
            f"{active} 的憑證並未停用；未做任何變更。",
        ),
        "suspend": (
            f"{active} were suspended already: nothing was changed.",
            f"{active} 的憑證原本就已停用；未做任何變更。",
        ),
    }
    for command, (english, chinese) in said.items():
        first = issuer.run(command, active).stdout.decode()
        assert (english in first) is (command == "resume")
        assert issuer.run(command, active).stdout.decode().splitlines() == [f"The certificates of {english}"]
        assert chinese in issuer.run("--lang", "zh_TW", command, active).stdout.decode()
    assert "resumed" in issuer.run("resume", active).stdout.decode()


def test_revocation_asks_before_it_is_done(issuer: Issuer, active: str) -> None:
    for answer in ("", "n\n", "\n"):
        done = issuer.run("revoke", active, stdin=answer)
        assert (done.returncode, b"Nothing was changed." in done.stderr) == (1, True)
        assert (b"Scripts agree with --yes." in done.stderr) is (answer == "")
    assert not crl(issuer.environment).exists()
    done = issuer.run("revoke", active, stdin="y\n")
    assert (done.returncode, b"are revoked" in done.stdout) == (0, True)


def test_publication_says_how_to_verify_with_its_crl(issuer: Issuer, active: str) -> None:
    for command in ("suspend", "resume", "publish"):
        said = issuer.run("--lang", "en", command, active).stdout.decode()
        root, issued = issuer.environment.pki / "root.pem", issuer.environment.copies / active
        assert f"xcactl verify FILE FILE.p7s --ca-file {root} --crl {crl(issuer.environment)}\n" in said
        assert f"--ocsp {issued / 'cert1.ocsp'} instead of --crl\n" in said


@pytest.mark.parametrize(
    ("acts", "status", "english", "chinese"),
    [
        (["publish"], None, "active", "已開卡"),
        (["suspend"], "suspended", "active; certificates suspended", "已開卡；憑證已停用"),
        (["suspend", "resume"], None, "active", "已開卡"),
        (["revoke"], "revoked", "active; certificates revoked", "已開卡；憑證已廢止"),
    ],
    ids=["published", "suspended", "resumed", "revoked"],
)
def test_list_shows_what_was_published_against_the_certificates(
    issuer: Issuer, active: str, acts: list[str], status: str | None, english: str, chinese: str
) -> None:
    other = issuer.issue()["number"]
    for act in acts:
        published(issuer, act, active, *(["--yes"] if act == "revoke" else []))
    cards = {card["number"]: card for card in json.loads(issuer.run("list", "--json").stdout)}
    assert (cards[active]["state"], cards[active]["certificates"]) == ("active", status)
    assert cards[other]["certificates"] is None
    for language, shown in (("en", english), ("zh_TW", chinese)):
        (line,) = re.findall(
            f"^{active} +(.+?)  ", issuer.run("--lang", language, "list").stdout.decode(), re.M
        )
        assert line == shown


def test_list_beside_a_damaged_crl_does_not_show_cards_as_good(issuer: Issuer, active: str) -> None:
    published(issuer, "suspend", active)
    crl(issuer.environment).write_bytes(b"not a CRL")
    done = issuer.run("list")
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"the test PKI is damaged" in done.stderr


def test_revocation_of_a_revoked_card_is_refused_without_a_question(issuer: Issuer, active: str) -> None:
    published(issuer, "revoke", active, "--yes")
    done = issuer.run("revoke", active, stdin="")
    assert (done.returncode, b"was revoked for good on" in done.stderr) == (2, True)
    assert b"[y/N]" not in done.stdout + done.stderr


def test_revocation_of_one_card_changes_no_other(issuer: Issuer, active: str) -> None:
    other = issuer.issue()["number"]
    published(issuer, "suspend", active)
    published(issuer, "revoke", other, "--yes")
    text = crl_text(issuer.environment)
    assert text.count("Certificate Hold") == 2
    assert text.count("Cessation Of Operation") == 2
    published(issuer, "resume", active)
    assert crl_text(issuer.environment).count("Serial Number") == 2


def test_help_of_revoke_names_every_reason(issuer: Issuer) -> None:
    said = issuer.run("revoke", "--help").stdout.decode()
    assert [reason for reason in REASONS if reason not in said] == []


def test_revocation_that_cannot_be_is_refused(issuer: Issuer, active: str) -> None:
    done = issuer.run("revoke", active, "--reason", "boredom")
    assert done.returncode == 2
    assert b"keyCompromise" in done.stderr
    assert issuer.run("suspend", "XC00000000000000").returncode == 3
    assert not crl(issuer.environment).exists()
    crl(issuer.environment).write_bytes(b"not a CRL")
    done = issuer.run("suspend", active)
    assert done.returncode == 1
    assert b"damaged" in done.stderr
