# SPDX-License-Identifier: Apache-2.0
"""Issuing: what is on the card, what its memory says, who may read what, and what is refused."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pexpect
import pytest
from asn1crypto.x509 import Certificate  # type: ignore[import-untyped]

from support.softhsm.softhsm_card import PIN, USER_CODE, Issuer, openssl

# CKR_ACTION_PROHIBITED is younger than the words that python-pkcs11 has for return values.
ACTION_PROHIBITED = "PKCS11Error Unmapped error code 0x1b"

Things = dict[tuple[str, str], dict[str, Any]]


@pytest.fixture(scope="module")
def opened(shared_issuer: Issuer) -> str:
    """A card with a PIN."""
    number = shared_issuer.issue()["number"]
    assert shared_issuer.init_pin(number, USER_CODE).returncode == 0
    return str(number)


@pytest.fixture(scope="module")
def things(shared_issuer: Issuer, opened: str) -> Things:
    """What the user of an opened card finds on it, by class and id."""
    environment = shared_issuer.environment
    done = subprocess.run(
        [
            sys.executable,
            Path(__file__).parents[1] / "support" / "softhsm" / "token_objects.py",
            environment.inner_module,
            f"xca-card:{opened}",
        ],
        env=os.environ | {"SOFTHSM2_CONF": str(environment.inner_configuration), "PIN": PIN},
        capture_output=True,
        check=True,
    )
    return {(thing["CLASS"], thing["ID"]): thing for thing in json.loads(done.stdout)}


def test_objects_have_the_labels_and_ids_of_a_real_card(things: Things) -> None:
    assert {key: thing["LABEL"] for key, thing in things.items()} == {
        ("PRIVATE_KEY", "SIGN"): "k1",
        ("PRIVATE_KEY", "KEYX"): "k1",
        ("PUBLIC_KEY", "SIGN"): "k1",
        ("PUBLIC_KEY", "KEYX"): "k1",
        ("CERTIFICATE", "SIGN"): "cert1",
        ("CERTIFICATE", "KEYX"): "cert2",
        ("CERTIFICATE", "CACert"): "CA Cert",
        ("CERTIFICATE", "ROOTCACert"): "ROOT CA Cert",
    }


def test_objects_of_a_new_card_cannot_be_changed_or_destroyed(things: Things) -> None:
    for thing in things.values():
        assert thing["TOKEN"] is True
        assert (thing["MODIFIABLE"], thing["relabel"]) == (False, ACTION_PROHIBITED)
        assert (thing["DESTROYABLE"], thing["destroy"]) == (False, ACTION_PROHIBITED)


def test_private_keys_were_made_on_the_card_and_stay(things: Things) -> None:
    for key_id, allowed in {"SIGN": {"SIGN"}, "KEYX": {"DECRYPT", "UNWRAP"}}.items():
        key = things["PRIVATE_KEY", key_id]
        for attribute in ("PRIVATE", "SENSITIVE", "ALWAYS_SENSITIVE", "NEVER_EXTRACTABLE", "LOCAL"):
            assert key[attribute] is True, attribute
        assert key["EXTRACTABLE"] is False
        uses = ("SIGN", "SIGN_RECOVER", "DECRYPT", "UNWRAP", "DERIVE")
        assert {use for use in uses if key[use]} == allowed


def test_public_keys_of_a_card_match_its_certificates(things: Things) -> None:
    for key_id, allowed in {"SIGN": {"VERIFY"}, "KEYX": {"ENCRYPT", "WRAP"}}.items():
        key = things["PUBLIC_KEY", key_id]
        assert (key["PRIVATE"], key["MODULUS_BITS"]) == (False, 2048)
        uses = ("VERIFY", "VERIFY_RECOVER", "ENCRYPT", "WRAP", "DERIVE")
        assert {use for use in uses if key[use]} == allowed


def test_certificate_objects_are_found_by_what_they_say(things: Things) -> None:
    for key_id, category in {"SIGN": 1, "KEYX": 1, "CACert": 2, "ROOTCACert": 2}.items():
        thing = things["CERTIFICATE", key_id]
        tbs = Certificate.load(bytes.fromhex(thing["VALUE"]))["tbs_certificate"]
        assert thing["PRIVATE"] is False
        assert thing["CERTIFICATE_CATEGORY"] == category
        assert thing["SUBJECT"] == tbs["subject"].dump().hex()
        assert thing["ISSUER"] == tbs["issuer"].dump().hex()
        assert thing["SERIAL_NUMBER"] == tbs["serial_number"].dump().hex()


def test_keys_of_a_card_work_for_their_purpose_only(
    shared_issuer: Issuer, opened: str, tmp_path: Path
) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    data.write_bytes(b"data to be signed")
    keys = {}
    for label in ("cert1", "cert2"):
        file = shared_issuer.read_certificate(opened, label, tmp_path / label)
        keys[label] = tmp_path / f"{label}.pem"
        keys[label].write_bytes(openssl("x509", "-inform", "DER", "-in", file, "-noout", "-pubkey"))
    files = ["-i", str(data), "-o", str(out)]

    sign = ["--sign", "-m", "SHA256-RSA-PKCS", "--id"]
    assert shared_issuer.login(opened, *sign, b"SIGN".hex(), *files).returncode == 0
    openssl("dgst", "-sha256", "-verify", keys["cert1"], "-signature", out, data)
    assert shared_issuer.login(opened, *sign, b"KEYX".hex(), *files).returncode != 0

    secret = b"a session key"
    data.write_bytes(openssl("pkeyutl", "-encrypt", "-pubin", "-inkey", keys["cert2"], stdin=secret))
    decrypt = ["--decrypt", "-m", "RSA-PKCS", "--id"]
    assert shared_issuer.login(opened, *decrypt, b"KEYX".hex(), *files).returncode == 0
    assert out.read_bytes() == secret
    assert shared_issuer.login(opened, *decrypt, b"SIGN".hex(), *files).returncode != 0


def test_store_of_a_new_card_has_all_tries_and_its_last_day(issuer: Issuer) -> None:
    first, second = issuer.issue(), issuer.issue("--reader", "Front desk 00 00")
    today = date.fromisoformat(first["issued_on"])
    assert first == {
        "number": first["number"],
        "state": "issued",
        "reader": "SoftHSM Virtual Reader 00 00",
        "issued_on": today.isoformat(),
        "activate_by": (today + timedelta(days=90)).isoformat(),
        "days_left": 90,
        "activated_at": None,
        "pin_tries": 3,
        "user_code_tries": 3,
        "certificates": None,
    }
    assert re.fullmatch(r"XC\d{14}", first["number"])
    assert second["reader"] == "Front desk 00 00"
    assert issuer.cards() == {card["number"]: card for card in (first, second)}
    row = issuer.environment.store.card(first["number"])
    assert row is not None
    assert row.model == f"T7S{first['number'][:8]}"
    assert [(e.event, e.result) for e in issuer.environment.store.events(first["number"])] == [("issue", 0)]


def test_card_of_long_ago_has_lapsed(issuer: Issuer) -> None:
    card = issuer.issue("--issue-date", "2020-01-01")
    assert (card["state"], card["activate_by"]) == ("lapsed", "2020-03-31")


def test_card_before_activation_is_shown_by_the_module(issuer: Issuer, closed: str) -> None:
    card = issuer.cards()[closed]
    shown = issuer.guarded("--list-slots").stdout.decode()
    assert card["reader"] in shown
    assert card["number"] in shown
    assert "xca-card" not in shown


def test_state_follows_what_happens_to_the_card(issuer: Issuer, active: str) -> None:
    assert issuer.cards()[active]["state"] == "active"
    for wrong in ("11112222", "33334444", "55556666"):
        issuer.guarded("--login", "--pin", "env:PIN", "--list-objects", PIN=wrong)
    assert (issuer.cards()[active]["state"], issuer.cards()[active]["pin_tries"]) == ("pin-locked", 0)


def test_issue_of_several_cards_makes_each_different(issuer: Issuer) -> None:
    done = issuer.run("issue", "--user-code", "stdin", "--count", "2", stdin=USER_CODE)
    assert done.returncode == 0
    assert set(re.findall(r"XC\d{14}", done.stdout.decode())) == set(issuer.cards())
    assert len(issuer.cards()) == 2
    assert done.stderr == b""


def test_issue_in_a_terminal_shows_how_far_it_is(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODE", USER_CODE)
    monkeypatch.setenv("TERM", "xterm")
    command, *arguments = issuer.command("issue", "--user-code", "env:CODE", "--count", "2", "--json")
    with pexpect.spawn(command, arguments, timeout=30) as child:
        child.expect(pexpect.EOF)
        shown = child.before or b""
    assert child.exitstatus == 0
    assert b"Issuing" in shown
    assert b"100%" in shown


def test_issue_by_several_programs_at_once_makes_every_card(issuer: Issuer) -> None:
    running = [
        subprocess.Popen(issuer.command("issue", "--user-code", "stdin"), stdin=-1, stdout=-1, stderr=-1)
        for _ in range(3)
    ]
    for process in running:
        process.communicate(USER_CODE.encode())
    assert [process.returncode for process in running] == [0, 0, 0]
    cards = issuer.cards().values()
    assert len({card["number"] for card in cards}) == len({card["reader"] for card in cards}) == 3


@pytest.mark.integration
def test_user_code_is_in_no_file_and_no_argument(issuer: Issuer, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    strace = ("strace", "-f", "-v", "-s", "99999", "-e", "trace=execve", "-o", str(trace))
    done = issuer.run("issue", "--user-code", "stdin", stdin=USER_CODE, before=strace)
    assert done.returncode == 0
    assert USER_CODE.encode() not in done.stdout + done.stderr
    # Arguments and environment of every process that was started; SoftHSM's own is among them.
    assert trace.read_text().count("inner_worker.py") > 0
    assert USER_CODE not in trace.read_text()
    holding = [f for f in issuer.path.rglob("*") if f.is_file() and USER_CODE.encode() in f.read_bytes()]
    assert holding == []


def test_files_made_with_any_umask_are_private(tmp_path: Path) -> None:
    issuer = Issuer(tmp_path / "above/it/environment")
    assert issuer.run("init", umask=0).returncode == 0
    assert issuer.run("issue", "--user-code", "stdin", stdin=USER_CODE, umask=0).returncode == 0
    for path in (tmp_path / "above", tmp_path / "above/it", issuer.path, *issuer.path.rglob("*")):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path


@pytest.mark.parametrize("code", ["short", "elevenchars", "with blank", "tab\tinside", "用戶代碼一二三"])
def test_user_code_that_breaks_the_rules_is_refused(issuer: Issuer, code: str) -> None:
    done = issuer.run("issue", "--user-code", "stdin", stdin=code)
    assert done.returncode == 2
    assert "用戶代碼" in done.stderr.decode()
    assert code not in done.stderr.decode().replace("(用戶代碼)", "")
    assert issuer.cards() == {}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--number", "XC1"], "XC and 14 digits"),
        (["--number", "XC00000000000001", "--count", "2"], "--count"),
        (["--holder", "nobody"], "C=TW"),
        (["--reader", "x" * 65], "64 bytes"),
        (["--holder", "C=TW,O=\udca4\udca4"], "<U+DCA4 x2>"),  # an argument in Big5
        (["--email", "\udca4@example.org"], "<U+DCA4>"),
        (["--reader", "\udca4"], "<U+DCA4>"),
        (["--rank", "third"], "secondary"),
        (["--issue-date", "tomorrow"], "issue-date"),
        (["--issue-date", "20260101"], "20260101 is no day of the form YYYY-MM-DD."),
        (["--issue-date", "1999-01-01"], "2010-01-01"),
    ],
)
def test_issue_with_bad_options_is_refused(issuer: Issuer, options: list[str], says: str) -> None:
    done = issuer.run("issue", "--user-code", "stdin", *options, stdin=USER_CODE)
    assert done.returncode == 2
    assert says in done.stderr.decode()
    assert issuer.cards() == {}


def test_number_and_reader_in_use_are_refused(issuer: Issuer) -> None:
    taken = issuer.issue("--number", "XC00000000091349")
    for option, value in {"--number": taken["number"], "--reader": taken["reader"]}.items():
        done = issuer.run("issue", "--user-code", "stdin", option, value, stdin=USER_CODE)
        assert done.returncode == 2
        assert taken["number"] in done.stderr.decode()
    assert issuer.cards() == {taken["number"]: taken}
    assert issuer.labels() == [f"xca-card:{taken['number']}"]


def test_user_code_that_is_not_given_is_never_empty_or_guessed(issuer: Issuer) -> None:
    for source, stdin in {"stdin": "\n", "env:NOT_SET": "", USER_CODE: "", "file:/nowhere": ""}.items():
        done = issuer.run("issue", "--user-code", source, stdin=stdin)
        assert done.returncode == 2
        assert USER_CODE not in done.stderr.decode()
    done = issuer.run("issue")
    assert done.returncode == 2
    assert "stdin" in done.stderr.decode()
    assert issuer.cards() == {}


def test_issue_in_a_terminal_asks_twice_and_shows_nothing(issuer: Issuer) -> None:
    command, *arguments = issuer.command("issue")
    with pexpect.spawn(command, arguments, encoding="utf-8", timeout=20) as terminal:
        for answer in (USER_CODE, "Mistyped1", USER_CODE, USER_CODE):
            terminal.expect("用戶代碼|[Rr]epeat")
            terminal.waitnoecho()
            terminal.sendline(answer)
        terminal.expect("not activated")
        shown = terminal.before
        terminal.expect(pexpect.EOF)
    assert terminal.exitstatus == 0
    assert USER_CODE not in shown
    (number,) = issuer.cards()
    assert issuer.init_pin(number, USER_CODE).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--holder", "測試協會"), "not a name"),
        (("--number", "XC1"), "must be XC and 14 digits"),
        (("--organisation-oid", "none"), "none"),
    ],
)
def test_application_that_is_refused_in_a_terminal_asks_for_no_user_code(
    issuer: Issuer, arguments: tuple[str, ...], why: str
) -> None:
    command, *rest = issuer.command("--lang", "en", "issue", *arguments)
    with pexpect.spawn(command, rest, encoding="utf-8", timeout=20) as terminal:
        terminal.expect(pexpect.EOF)
        shown = terminal.before or ""
    assert terminal.exitstatus == 2
    assert why in shown
    assert "用戶代碼" not in shown


def test_reader_that_is_taken_is_refused_in_a_terminal_before_a_user_code_is_asked_for(
    issuer: Issuer,
) -> None:
    taken = issuer.issue()
    command, *rest = issuer.command("--lang", "en", "issue", "--reader", taken["reader"])
    with pexpect.spawn(command, rest, encoding="utf-8", timeout=20) as terminal:
        terminal.expect(pexpect.EOF)
        shown = terminal.before or ""
    assert terminal.exitstatus == 2
    assert f"card {taken['number']} is in it" in shown
    assert "用戶代碼" not in shown


def test_user_code_of_the_wrong_form_in_a_terminal_is_asked_for_again(issuer: Issuer, closed: str) -> None:
    command, *arguments = issuer.command("--lang", "en", "reset-user-code", closed.lower())
    with pexpect.spawn(command, arguments, encoding="utf-8", timeout=20) as terminal:
        terminal.expect_exact("A user code has 6 to 10 characters")
        for question, answer in (
            ("New user code (用戶代碼): ", "short"),
            ("must have 6 to 10 characters", None),
            ("New user code (用戶代碼): ", USER_CODE),
            ("Repeat it: ", USER_CODE),
        ):
            terminal.expect_exact(question)
            if answer:
                terminal.waitnoecho()
                terminal.sendline(answer)
        terminal.expect_exact("has the new user code")
        terminal.expect(pexpect.EOF)
    assert terminal.exitstatus == 0


def test_user_code_reset_that_voids_a_pin_asks_first(issuer: Issuer, active: str) -> None:
    arguments = ("reset-user-code", active, "--new-user-code", "stdin")
    done = issuer.run("--lang", "en", *arguments, stdin="")
    assert f"The PIN of {active} is void afterwards." in done.stderr.decode()
    assert "Nobody agreed. Nothing was changed. Scripts agree with --yes." in done.stderr.decode()
    assert issuer.cards()[active]["state"] == "active"
    shown = issuer.run("--lang", "zh_TW", *arguments, stdin="").stderr.decode()
    assert f"重設後，{active} 的PIN碼即失效。要設定新的用戶代碼嗎？" in shown
    assert issuer.run(*arguments, "--yes", stdin=f"{USER_CODE}\n").returncode == 0
    assert issuer.cards()[active]["state"] == "pin-locked"


def test_user_code_reset_without_a_terminal_names_its_option(issuer: Issuer, closed: str) -> None:
    done = issuer.run("reset-user-code", closed)
    assert (done.returncode, "name its source: --new-user-code env:NAME" in done.stderr.decode()) == (2, True)


def test_holder_with_a_comma_is_told_how_to_write_it(issuer: Issuer) -> None:
    for holder, status in (("C=TW,O=Acme, Inc.", 2), ("C=TW,O=Acme\\, Inc.", 0)):
        done = issuer.run("issue", "--user-code", "stdin", "--holder", holder, stdin=f"{USER_CODE}\n")
        assert (done.returncode, "a comma in a value as \\," in done.stderr.decode()) == (status, status == 2)


def test_list_whose_reader_has_gone_ends_without_a_message(issuer: Issuer, closed: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(issuer.command("list"), stdout=writing, stderr=subprocess.PIPE, cwd="/")
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")


def test_list_names_what_its_numbers_count(issuer: Issuer, closed: str) -> None:
    above, below, *_ = issuer.run("--lang", "en", "list").stdout.decode().splitlines()
    assert re.search(r"PIN +User code +Reader *$", above)
    assert re.search(r"by +tries left +tries left *$", below)
    command, *arguments = issuer.command("list")
    with pexpect.spawn(command, arguments, encoding="utf-8", timeout=20, dimensions=(24, 80)) as terminal:
        terminal.expect_exact(closed)  # whole, because it is copied from there
        terminal.expect(pexpect.EOF)
    command, *arguments = issuer.command("--lang", "zh_TW", "list")
    with pexpect.spawn(
        command,
        arguments,
        encoding="utf-8",
        timeout=20,
        dimensions=(24, 80),
        cwd="/",  # the installed package, which has its catalogue compiled
    ) as terminal:
        terminal.expect(r"讀卡機[^\n]*\n[^\n]*剩餘次數[^\n]*剩餘次數")  # no word is parted
        terminal.expect(pexpect.EOF)


def test_lapsed_card_is_not_said_to_be_activated_next(issuer: Issuer) -> None:
    done = issuer.run("issue", "--user-code", "stdin", "--issue-date", "2020-01-01", stdin=f"{USER_CODE}\n")
    assert done.returncode == 0
    assert b"issue another" in done.stdout
    assert b"xcactl activate" not in done.stdout


def test_second_card_is_named_in_the_next_step(issuer: Issuer, closed: str) -> None:
    done = issuer.run("issue", "--user-code", "stdin", stdin=f"{USER_CODE}\n")
    (new,) = set(issuer.cards()) - {closed}
    assert f"xcactl activate --card {new}" in done.stdout.decode()


def test_issue_in_a_program_that_has_cards_open_works(issuer: Issuer) -> None:
    program = f"""
import pkcs11, sys
from pathlib import Path
from softhsm import Environment, issue
library = pkcs11.lib({issuer.environment.exports()["PKCS11_MODULE"]!r})
number = issue(Environment(Path({str(issuer.path)!r})), sys.stdin.readline().strip()).number
assert number.encode() not in [token.serial for token in library.get_tokens()]
library.reinitialize()
assert number.encode() in [token.serial for token in library.get_tokens()]
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=USER_CODE.encode(),
        env=os.environ | issuer.environment.exports(),
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.integration
@pytest.mark.parametrize(
    ("call", "nth", "on"),
    [
        ("rename", 1, None),  # the folder for the work is made
        ("openat", 1, "pki/ca.key"),  # SoftHSM makes keys
        ("pwrite64", 1, "cards.db"),  # the record is begun
        ("pwrite64", 2, "cards.db"),  # the store's next generation
        ("pwrite64", 3, "cards.db"),  # the event
        ("pwrite64", 4, "cards.db"),  # the row
        ("fdatasync", 3, "cards.db"),  # the row is written, perhaps not on the disk
        ("rename", 5, None),  # the row is committed
        ("rename", 6, None),  # the copies are kept
    ],
)
def test_issue_that_is_killed_shows_no_card_and_can_be_repeated(
    issuer: Issuer, kill_at: Callable[..., tuple[str, ...]], call: str, nth: int, on: str | None
) -> None:
    command = ("issue", "--user-code", "stdin", "--number", "XC00000000091349")
    prefix = kill_at(call, nth, issuer.path / on if on else None)
    assert issuer.run(*command, stdin=USER_CODE, before=prefix).returncode in (-9, 137)
    assert issuer.labels() == []
    assert {card["state"] for card in issuer.cards().values()} <= {"unfinished"}

    assert issuer.run(*command, stdin=USER_CODE).returncode == 0
    assert issuer.cards()["XC00000000091349"]["state"] == "issued"
    assert issuer.init_pin("XC00000000091349", USER_CODE).returncode == 0
    assert list(issuer.environment.staging.iterdir()) == []


@pytest.mark.integration
def test_issue_that_is_killed_leaves_what_can_be_removed(
    issuer: Issuer, kill_at: Callable[..., tuple[str, ...]]
) -> None:
    command = ("issue", "--user-code", "stdin", "--number", "XC00000000091349")
    issuer.run(*command, stdin=USER_CODE, before=kill_at("rename", 6))
    assert issuer.cards()["XC00000000091349"]["state"] == "unfinished"
    for refused in ("repair", "reset-user-code"):
        options = ["--new-user-code", "stdin"] if refused == "reset-user-code" else []
        done = issuer.run(refused, "XC00000000091349", *options, stdin="Another-1")
        assert done.returncode == 1
        assert f"softhsm-card --dir {issuer.path} remove" in done.stderr.decode()
    assert issuer.run("remove", "XC00000000091349", "--yes").returncode == 0
    assert issuer.cards() == {}
    assert list(issuer.environment.copies.iterdir()) == []
    assert list(issuer.environment.staging.iterdir()) == []
