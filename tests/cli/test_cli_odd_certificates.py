# SPDX-License-Identifier: Apache-2.0
"""Odd objects among a card's certificates are shown, cannot be chosen, and break nothing."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from softhsm import Application, Environment, issue
from support.cli.json_schemas import check
from support.cli.xcactl import PIN, USER_CODE, Workspace
from support.module.cards import Card
from support.odd_certificates import NO_END, certificate, odd_ones, put
from xca_common import taipei

ODD = odd_ones()
READABLE = {"no end", "the last second but one", "from 1950", "no name", "another key", "another curve"}
"""The odd certificates that can still be read."""


def put_on(workspace: Workspace, der: bytes, *, id: str | None = "SIGN", label: str | None = "cert1") -> None:
    """Put an object on the card of a workspace."""
    environment = Environment(workspace.path)
    put(environment.inner_module, environment.inner_configuration, der, id=id, label=label)


def put_on_real(real: Workspace, der: bytes, *, id: str | None = "SIGN", label: str | None = "cert1") -> None:
    """The same for a card without a record in the store."""
    library = (real.path / "pkcs11.conf").read_text().split("path = ")[1].splitlines()[0]
    put(Path(library), real.path / "softhsm2.conf", der, id=id, label=label)


def test_odd_certificates_beside_the_others_break_nothing(active: Workspace) -> None:
    for name, der in ODD.items():
        put_on(active, der, id="ODD", label=name)
    put_on(active, b"whatever it is", id=None, label=None)
    for command in (("detect",), ("info",), ("cert", "list"), ("doctor", "--json")):
        result = active.run(*command)
        assert result.status in (0, 84), (command, result.err)  # 84: no address of the certificates answers
        assert "The check itself failed" not in result.out
    check(active.run("detect", "--json").json, "detect")
    listed = active.run("cert", "list", "--json").json
    check(listed, "cert-list")
    assert {"cert1", "cert2", *READABLE} <= {each["label"] for each in listed["certificates"]}
    assert {each["label"] for each in listed["odd"]} == {*ODD} - READABLE | {""}
    shown = active.run("cert", "list").out
    assert all(name in shown for name in ODD)
    assert shown.count("(the certificate cannot be read)") == len(listed["odd"])
    refused = active.run("cert", "show", "no DER")
    assert (refused.status, "no DER cannot be read" in refused.err) == (20, True)
    assert "Ready to use." in active.run("info").out
    (active.home / "text").write_text("tender\n")
    signed = active.run("sign", "text", "--pin", "stdin", stdin=f"{PIN}\n")
    assert signed.status == 0, signed.err


@pytest.mark.parametrize("name", ["no DER", "nothing", "cut off"])
def test_odd_signing_certificate_is_shown_as_odd(real: Workspace, name: str) -> None:
    put_on_real(real, ODD[name])
    card = real.run("info", "--json").json
    check(card, "info")
    assert (card["holder"], card["certificate_odd"]) == (None, True)
    assert "the certificate cannot be read" in real.run("info").out
    assert "cert1 cannot be read" in real.run("doctor").out


def test_certificate_without_end_has_none(real: Workspace) -> None:
    put_on_real(real, ODD["no end"])
    assert "without end" in real.run("info").out
    assert "without end" in real.run("cert", "list").out
    assert "無期限" in real.run("--lang", "zh_TW", "cert", "show").out
    assert real.card()["not_after"] == NO_END.isoformat()


@pytest.mark.parametrize("der", [None, b"whatever it is"])
def test_card_without_a_readable_certificate_signs_nothing(
    active: Workspace, tmp_path: Path, der: bytes | None
) -> None:
    """Without a readable certificate its validity is unknown, so --raw is refused as well."""
    (key,) = (active.path / "tokens").glob("*/")
    environment = Environment(active.path)
    for item in key.glob("*.object"):
        if item.name != "token.object" and b"cert1" in item.read_bytes():
            item.unlink()
    if der:
        put(environment.inner_module, environment.inner_configuration, der, id="SIGN", label="cert1")
    (active.home / "text").write_text("tender\n")
    for options in ((), ("--raw",)):
        result = active.run("sign", "text", *options, "--pin", "stdin", stdin=f"{PIN}\n")
        assert result.status == (20 if der else 50), result.err
    assert not list(active.home.glob("text.*"))


def test_holder_of_any_name_signs_and_is_verified(tmp_path: Path) -> None:
    """asn1crypto cannot compare names with characters younger than Unicode 3.2."""
    environment = Environment.create(tmp_path / "workspace")
    issue(environment, USER_CODE, Application(holder="C=TW,O=\U0002a700\u2066公司"))
    workspace = Workspace(environment.path, environment.path)
    workspace.activate()
    (workspace.home / "text").write_text("tender\n")
    assert workspace.run("sign", "text", "--pin", "stdin", stdin=f"{PIN}\n").status == 0
    result = workspace.run(
        "verify", "text", "text.p7s", "--ca-file", str(environment.pki / "root.pem"), "--json"
    )
    assert result.status == 0, result.err
    assert result.json["signer"]["holder"] == "C=TW,O=\U0002a700\u2066公司"
    assert workspace.run("cert", "export", "cert2", "-o", "cert2.pem").status == 0
    assert workspace.run("encrypt", "text", "--to", "cert2.pem").status == 0
    done = workspace.run("decrypt", "text.p7e", "-o", "out", "--pin", "stdin", stdin=f"{PIN}\n")
    assert done.status == 0, done.err


# --- one that is not valid today


@pytest.fixture
def expired(tmp_path: Path) -> Workspace:
    """An activated card whose certificate has expired."""
    environment = Environment.create(tmp_path / "expired")
    issued_on = taipei.today() - timedelta(days=400)
    issue(environment, USER_CODE, Application(issued_on=issued_on, years=1))
    Card(environment.path).last_day(1)
    workspace = Workspace(environment.path, environment.path)
    workspace.activate()
    return workspace


@pytest.fixture
def early(active: Workspace) -> Workspace:
    """An activated card whose certificate is not valid yet."""
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    put_on(active, certificate(start=tomorrow, end=tomorrow + timedelta(days=9)))
    return active


@pytest.mark.parametrize(
    ("kind", "status", "words"),
    [("expired", 54, "expired on"), ("early", 55, "is not valid before")],
)
def test_certificate_that_is_not_valid_today_does_not_sign(
    kind: str, status: int, words: str, request: pytest.FixtureRequest
) -> None:
    workspace: Workspace = request.getfixturevalue(kind)
    (workspace.home / "text").write_text("tender\n")
    for options in ((), ("--raw",), ("--yes", "--last-try")):
        result = workspace.run("sign", "text", *options, "--pin", "stdin", stdin=f"{PIN}\n")
        assert (result.status, words in result.err) == (status, True), result.err
    assert not list(workspace.home.glob("text.*"))
    events = [event["event"] for event in workspace.run("events", "--json").json["events"]]
    assert events.count("verify-pin") == 1  # that of the activation
    shown = workspace.run("info").out
    assert "Ready to use" not in shown
    assert "its certificate" in shown
    action = workspace.card()["next_action"]
    assert action == ("renew" if kind == "expired" else "check-clock")
