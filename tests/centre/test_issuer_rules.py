# SPDX-License-Identifier: Apache-2.0
"""The rules of the issuers: what they say, and how strictly a file of them is read."""

import re
from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path

import pytest

from xca_centre.errors import BadIssuerRules, NotYours
from xca_centre.issuer_rules import Issuer, IssuerRules, Wording, load
from xca_centre.life.certificate import (
    ISSUED,
    REISSUED,
    CertificateEvent,
    CertificateState,
    Circumstances,
    Hold,
    Lapse,
    Reason,
    Standing,
    next_standing,
)
from xca_centre.life.transitions import Role
from xca_common.i18n import speaking

SOURCES = ("SEED", "OFF", "SIB", "CERT", "3RD", "ours", "as XCA")


def with_own(folder: Path, text: str, issuer: Issuer = Issuer.TEST) -> IssuerRules:
    path = folder / "own.toml"
    path.write_text(text, "utf-8")
    return load(issuer, path)


@pytest.mark.parametrize("issuer", Issuer)
def test_rule_of_an_issuer_says_where_it_is_known_from(issuer: Issuer) -> None:
    sources = load(issuer).sources
    assert len(sources) > 70
    assert [key for key, source in sources.items() if not source.startswith(SOURCES)] == []


def test_lapse_of_xca_revokes_and_that_of_gca_suspends() -> None:
    rules = {issuer: load(issuer) for issuer in Issuer}
    assert {issuer: each.deadlines.lapse for issuer, each in rules.items()} == {
        "xca": Lapse.REVOKE,
        "gca": Lapse.HOLD,
        "test": Lapse.REVOKE,
    }
    assert {each.deadlines.acceptance.days for each in rules.values()} == {90}
    assert "停用" in rules[Issuer.GCA].wordings.letter_lapse.zh
    assert "廢止" in rules[Issuer.XCA].wordings.letter_lapse.zh


def test_issuer_for_tests_shares_no_name_with_a_real_one() -> None:
    test, real = load(Issuer.TEST), load(Issuer.XCA)
    assert test.profile.policy == "2.16.886.101.0.3.0"
    assert test.profile.unit != real.profile.unit
    assert test.profile.repository.endswith(".test")
    assert test.about.contact_line != real.about.contact_line


def test_wording_is_in_the_language_that_is_spoken() -> None:
    wording = load(Issuer.TEST).wordings.activate_in_time.format(days=90)
    assert wording("zh_TW") == (
        "收到憑證IC卡之後，請於發卡日期後90天內，完成開卡作業，如逾期未開卡憑證將自動被廢止。"
    )
    assert wording("en").startswith("Activate the card within 90 days")
    with speaking("en"):
        assert str(wording) == wording("en")
    with speaking("zh_TW"):
        assert f"{wording}" == wording("zh_TW")


def test_menu_has_the_thirteen_functions_of_the_page() -> None:
    menu = load(Issuer.TEST).menu
    assert [wording("zh_TW") for wording in vars(menu).values()] == [
        "開卡作業",
        "非IC卡類憑證接受",
        "鎖卡解碼/重設PIN碼",
        "更改PIN碼",
        "用戶代碼重設",
        "憑證查詢及下載",
        "憑證廢止",
        "憑證停用/復用",
        "憑證IC卡聯絡人修改",
        "檢視憑證IC卡資訊",
        "線上查詢組織團體所有憑證",
        "組織團體快過期憑證清單查詢",
        "寫入憑證內安全電子郵件信箱",
    ]


@pytest.mark.parametrize(
    ("standing", "label"),
    [
        (ISSUED, "未開卡"),
        (REISSUED, "有效"),
        (Standing(CertificateState.VALID, Reason.REMOVE_FROM_CRL), "有效"),
        (Standing(CertificateState.HELD, Reason.CERTIFICATE_HOLD, frozenset({Hold.COURT})), "停用"),
        (Standing(CertificateState.REVOKED, Reason.KEY_COMPROMISE), "廢止"),
        (Standing(CertificateState.REVOKED, Reason.CESSATION_OF_OPERATION), "廢止"),
        (Standing(CertificateState.SUPERSEDED, Reason.SUPERSEDED), "已取代"),
        (Standing(CertificateState.EXPIRED), "逾期"),
    ],
    ids=str,
)
def test_standing_has_one_label(standing: Standing, label: str) -> None:
    assert load(Issuer.XCA).labels.of(standing)("zh_TW") == label


def test_every_standing_has_a_label() -> None:
    labels = load(Issuer.TEST).labels
    reasons = [None, *Reason]
    for state in CertificateState:
        for reason in reasons:
            for holds in [frozenset[Hold](), *map(frozenset, combinations(Hold, 1))]:
                try:
                    standing = Standing(state, reason, holds)
                except ValueError:
                    continue
                assert labels.of(standing)("en")


def test_ground_of_a_holder_has_a_reason_that_an_officer_can_revoke_for() -> None:
    for ground in vars(load(Issuer.XCA).grounds).values():
        assert ground.said("zh_TW")
        assert ground.reason in (
            Reason.KEY_COMPROMISE,
            Reason.AFFILIATION_CHANGED,
            Reason.CESSATION_OF_OPERATION,
        )


def test_own_file_replaces_what_it_names_and_nothing_else(tmp_path: Path) -> None:
    own = """
        [deadlines]
        acceptance = { days = 30, source = "our decision of 2026-11-28" }
        [calendar]
        days_off = { value = [2026-09-29], source = "typhoon" }
        [wordings]
        call = { zh = "請電 {line}", en = "Call {line}", source = "our own" }
    """
    rules, before = with_own(tmp_path, own), load(Issuer.TEST)
    assert rules.deadlines.acceptance.days == 30
    assert rules.deadlines.reissue_block == before.deadlines.reissue_block
    assert [str(day) for day in rules.calendar.days_off] == ["2026-09-29"]
    assert rules.wordings.call == Wording("請電 {line}", "Call {line}")
    assert rules.sources["deadlines.acceptance"] == "our decision of 2026-11-28"
    assert rules.sources["deadlines.lapse"] == before.sources["deadlines.lapse"]


def test_own_file_takes_a_transition_away(tmp_path: Path) -> None:
    own = '[practice]\ncertificates_without = { value = ["valid suspend holder"], source = "no online form" }'
    rules = with_own(tmp_path, own)
    day = datetime(2026, 3, 1, tzinfo=UTC)
    at = Circumstances(REISSUED, Role.HOLDER, day, day, day, Lapse.REVOKE)
    assert next_standing(CertificateEvent.SUSPEND, at).state is CertificateState.HELD
    with pytest.raises(NotYours):
        next_standing(CertificateEvent.SUSPEND, at, rules.certificates)


GOOD = 'source = "ours"'
WRONG = {
    "unknown section": ("[deadline]", "deadline", "there is no such key"),
    "unknown key": (
        f"[deadlines]\nactivation = {{ days = 1, {GOOD} }}",
        "deadlines.activation",
        "no such key",
    ),
    "another unit": (
        f"[deadlines]\nacceptance = {{ months = 3, {GOOD} }}",
        "deadlines.acceptance.days",
        "missing",
    ),
    "two units": (
        f"[deadlines]\nacceptance = {{ days = 90, months = 3, {GOOD} }}",
        "deadlines.acceptance.months",
        "no such key",
    ),
    "bare value": ("[deadlines]\nacceptance = 90", "deadlines.acceptance", "has to be a table"),
    "no source": ("[deadlines]\nacceptance = { days = 90 }", "deadlines.acceptance.source", "missing"),
    "empty source": (
        '[deadlines]\nacceptance = { days = 90, source = " " }',
        "deadlines.acceptance.source",
        "has to be a text",
    ),
    "text for a number": (
        f'[deadlines]\nacceptance = {{ days = "90", {GOOD} }}',
        "deadlines.acceptance.days",
        "whole number",
    ),
    "truth for a number": (
        f"[deadlines]\nacceptance = {{ days = true, {GOOD} }}",
        "deadlines.acceptance.days",
        "whole number",
    ),
    "number for truth": (
        f"[practice]\nreset_pin_while_expired = {{ value = 0, {GOOD} }}",
        "practice.reset_pin_while_expired.value",
        "true or false",
    ),
    "negative": (
        f"[deadlines]\nacceptance = {{ days = -1, {GOOD} }}",
        "deadlines.acceptance.days",
        "between 0 and 36500",
    ),
    "another word": (
        f'[deadlines]\nlapse = {{ value = "forget", {GOOD} }}',
        "deadlines.lapse.value",
        "one of revoke, hold",
    ),
    "not descending": (
        f"[deadlines]\nexpiry_reminders = {{ days_before = [7, 30], {GOOD} }}",
        "deadlines.expiry_reminders",
        "descend",
    ),
    "no list": (
        f"[deadlines]\nexpiry_reminders = {{ days_before = 7, {GOOD} }}",
        "deadlines.expiry_reminders.days_before",
        "has to be a list",
    ),
    "a moment for a day": (
        f"[calendar]\ndays_off = {{ value = [2026-09-29T00:00:00], {GOOD} }}",
        "calendar.days_off.value",
        "has to be a day",
    ),
    "no OID": (
        f'[profile]\npolicy = {{ value = "2.16.", {GOOD} }}',
        "profile.policy.value",
        "another form",
    ),
    "one language": (f'[menu]\nquery = {{ zh = "查詢", {GOOD} }}', "menu.query.en", "missing"),
    "empty language": (f'[menu]\nquery = {{ zh = "查詢", en = "", {GOOD} }}', "menu.query.en", "a text"),
    "unknown fact": (
        f'[wordings]\ncall = {{ zh = "請電 {{phone}}", en = "Call", {GOOD} }}',
        "wordings.call",
        "nothing is known for phone",
    ),
    "open brace": (
        f'[wordings]\ncall = {{ zh = "請電 {{line", en = "Call", {GOOD} }}',
        "wordings.call",
        "braces are wrong",
    ),
    "unknown transition": (
        f'[practice]\ncertificates_without = {{ value = ["valid fly holder"], {GOOD} }}',
        "practice.certificates_without",
        "no transition “valid fly holder”",
    ),
    "no TOML": ("[deadlines", "-", "no TOML"),
    "too big": ("#" * (1 << 20 | 1), "-", "more than 1 MiB"),
}


@pytest.mark.parametrize("name", WRONG)
def test_own_file_that_is_wrong_is_refused_with_its_key(name: str, tmp_path: Path) -> None:
    own, key, detail = WRONG[name]
    with pytest.raises(BadIssuerRules) as refused:
        with_own(tmp_path, own)
    assert refused.value.path == str(tmp_path / "own.toml")
    assert refused.value.key == key
    assert detail in refused.value.message("en")
    assert re.search("發卡單位的規則檔", refused.value.message("zh_TW"))


@pytest.mark.parametrize("content", [b"\xff\xfe", None], ids=["not UTF-8", "no file"])
def test_own_file_that_cannot_be_read_is_refused(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadIssuerRules):
        load(Issuer.TEST, path)
