# SPDX-License-Identifier: Apache-2.0
"""The agent's own pages over plain HTTP, in each situation and each language."""

import base64
import json
import re
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from html import unescape
from pathlib import Path

import jsonschema
import pytest

from softhsm import ACTIVATION_DAYS, Application, Environment, IssuedCardState, issue, remove
from softhsm.card_fixture import CardFixture
from support.agent.agent_process import SECONDS, Start, configure, running
from support.agent.component_client import SITE, SiteClient
from support.agent.page_visitor import WRONG, CardLocation, Visitor, visiting, words
from support.centre_server import ACCEPTED, BUSY, centre_server
from support.odd_certificates import odd_ones, put
from xca_centre.acceptance import SignedAcceptance
from xca_common import taipei

USER_CODE = "Code~8642"
NEW_PIN = "5g8!Rw2"
SCHEMAS = Path(__file__).parents[2] / "docs" / "schema"
JOBS = ("/activate", "/change-pin", "/reset-pin", "/change-user-code")


def initialize_token(environment: Environment, label: str) -> CardLocation:
    """Put a token with this label in, as the vendor's module shows it; SoftHSM takes that module's place."""
    variables = environment.exports()
    command = ["pkcs11-tool", "--module", str(environment.inner_module), "--init-token", "--slot-index", "0"]
    subprocess.run(
        [*command, "--label", label, "--so-pin", USER_CODE],
        env={"SOFTHSM2_CONF": str(environment.inner_configuration), "PATH": "/usr/bin:/bin"},
        check=True,
        capture_output=True,
    )
    return CardLocation(variables)


@pytest.fixture
def real_card(xca_environment: Environment) -> CardLocation:
    """A card as the vendor's module shows it."""
    return initialize_token(xca_environment, "HiCOS PKI Smart Card")


@dataclass(frozen=True)
class TwoCards:
    """Cards of an environment.

    Attributes:
        lapsed: number of one that lapsed.
        late: number of one with three days left; its holder has a name that is no name.
    """

    environment: Environment
    lapsed: str
    late: str

    @property
    def variables(self) -> dict[str, str]:
        return self.environment.exports()


@pytest.fixture(scope="module")
def first_two_cards(tmp_path_factory: pytest.TempPathFactory) -> TwoCards:
    environment = Environment.create(tmp_path_factory.mktemp("two") / "cards")
    today = taipei.today()

    def number(days_ago: int, holder: str) -> str:
        application = Application(holder=holder, issued_on=today - timedelta(days=days_ago))
        return issue(environment, USER_CODE, application).number

    lapsed = number(ACTIVATION_DAYS + 1, "C=TW,O=測試協會")
    late = number(ACTIVATION_DAYS - 3, "C=TW,O=\\<img src=x onerror=alert(1)\\>\u202e\\07")
    return TwoCards(environment, lapsed, late)


@pytest.fixture
def two_cards(first_two_cards: TwoCards, tmp_path: Path) -> TwoCards:
    """Two cards of this test's own."""
    return replace(first_two_cards, environment=first_two_cards.environment.copy(tmp_path / "cards"))


def cannot(visitor: Visitor, path: str, says: str, way_out: str) -> None:
    """Check that a page has no form, and says why and what to do instead."""
    html = visitor.client.get(path).text
    assert says in words(html)
    assert way_out in html
    assert visitor.form(path) == {}
    # No page sends a person to a terminal.
    assert "xcactl" not in words(html).replace("xcactl agent run", "")


def state(card: CardFixture) -> IssuedCardState:
    """Return the card's present state; mypy would take a property's value for a constant."""
    return card.state


# --- the three PIN actions, in every state of a card


def test_activation_of_a_card_saves_a_receipt(start_agent: Start, xca_issued_card: CardFixture) -> None:
    with visiting(start_agent(xca_issued_card)) as visitor:
        assert "not activated" in visitor.see("/")
        for path in ("/change-pin", "/reset-pin"):
            cannot(visitor, path, "is not activated yet", 'class="go" href="/activate?')
        form = visitor.form("/activate")
        done = visitor.send(
            "/activate", {**form, "secret": xca_issued_card.user_code, "new_pin": NEW_PIN, "again": NEW_PIN}
        )
        assert "The card is activated." in words(done.text)
        assert state(xca_issued_card) is IssuedCardState.ACTIVE
        saved = visitor.client.get("/receipt" + done.text.partition('href="/receipt')[2].partition('"')[0])
        disposition = f'attachment; filename="{xca_issued_card.number}-receipt.json"'
        assert saved.headers["content-disposition"] == disposition
        jsonschema.validate(saved.json(), json.loads((SCHEMAS / "receipt.schema.json").read_text()))
        for secret in (xca_issued_card.user_code, NEW_PIN):
            assert secret not in done.text + saved.text + str(done.url)
        cannot(visitor, "/activate", "is activated already", 'class="go" href="/reset-pin?')


def test_activation_with_a_centre_accepts_the_certificates(
    start_agent: Start, xca_issued_card: CardFixture
) -> None:
    with centre_server() as centre:
        agent = start_agent(xca_issued_card)
        store = Path(xca_issued_card.variables["XCA_PKCS11_CONF"]).parent
        (agent.home / ".config/xca/centre.conf").write_text(
            f"[centre]\nurl = {centre.origin}\nissuer = {store / 'pki' / 'ca.pem'}\n"
        )
        with visiting(agent) as visitor:
            form = visitor.form("/activate")
            secrets = {"secret": xca_issued_card.user_code, "new_pin": NEW_PIN, "again": NEW_PIN}
            done = visitor.send("/activate", {**form, **secrets})
        said = words(done.text)
        assert "The card is activated." in said
        assert f"The centre, {centre.origin}, has taken it: the certificates are valid." in said
        ((_, _, body),) = centre.posts
        SignedAcceptance.read(body, centre.origin)


def test_acceptance_that_a_centre_does_not_take_is_kept_and_sent_again_by_the_agent(
    start_agent: Start, xca_issued_card: CardFixture
) -> None:
    card = xca_issued_card
    with centre_server() as centre:
        centre.answer = BUSY
        agent = start_agent(card, trusted=(centre.origin,))
        own = agent.home / ".config/xca"
        (own / "centre.conf").write_text(
            f"[centre]\nurl = {centre.origin}\nissuer = {card.environment.pki / 'ca.pem'}\n"
        )
        asking = SiteClient(agent, centre.origin)
        request = {"func": "openCard", "cardid": card.number}
        since = asking.popup(request)["consent"]["since"]
        with visiting(agent) as visitor:
            form = visitor.form("/activate")
            secrets = {"secret": card.user_code, "new_pin": NEW_PIN, "again": NEW_PIN}
            said = words(visitor.send("/activate", {**form, **secrets}).text)
        assert f"{centre.origin} does not have it yet" in said
        assert "The database is away." in said
        waiting = {"site": centre.origin, "request": json.dumps(request), "since": since}
        looked = asking.http.post(f"{agent.url}/popup", json=waiting, headers={"Origin": agent.url})
        answer = json.loads(looked.json()["answer"])
        SignedAcceptance.read(base64.b64decode(answer["acceptance"]), centre.origin)

        (kept,) = agent.home.glob("**/*.signed")
        kept.write_text(json.dumps(json.loads(kept.read_text()) | {"try_after": None}))  # a minute later
        centre.answer = ACCEPTED
        with running(agent.home, card.variables):
            end = time.monotonic() + SECONDS
            while kept.exists() and time.monotonic() < end:
                time.sleep(0.05)
        assert not kept.exists()
        assert kept.with_suffix(".answer").exists()


def test_pages_name_the_command_that_starts_this_agent_again(
    start_agent: Start, xca_issued_card: CardFixture
) -> None:
    agent = start_agent(xca_issued_card)
    with visiting(agent) as visitor:
        for path in ("/", "/activate", "/files/sign"):
            html = visitor.client.get(path).text
            assert html.count("xcactl agent run") == html.count(f"xcactl agent run --port {agent.port}") > 0


def test_activation_without_a_centre_says_that_nobody_was_told(
    start_agent: Start, xca_issued_card: CardFixture
) -> None:
    with visiting(start_agent(xca_issued_card)) as visitor:
        said = visitor.fill("/activate", xca_issued_card.user_code, NEW_PIN)
    assert "On this computer no centre is configured that issued the card" in said


def test_wrong_user_codes_count_down_and_need_confirmation(
    start_agent: Start, xca_issued_card: CardFixture
) -> None:
    with xca_issued_card.environment.configuration.open("a") as configuration:
        configuration.write("[guard]\nkeep_last_try = yes\n")
    agent = start_agent(xca_issued_card)
    with visiting(agent) as visitor:
        assert "2 tries are left" in visitor.fill("/activate", WRONG[0], NEW_PIN)
        assert "1 try is left" in visitor.fill("/activate", WRONG[1], NEW_PIN)
        assert "Nothing was tried" in visitor.fill("/activate", WRONG[2], NEW_PIN)
        assert state(xca_issued_card) is IssuedCardState.ISSUED
        locked = visitor.fill("/activate", WRONG[2], NEW_PIN, last_try="last try")
        assert "is locked" in locked
        assert "02-2192-7111" in locked
        assert state(xca_issued_card) is IssuedCardState.USER_CODE_LOCKED
        cannot(visitor, "/activate", "is locked", "02-2192-7111")
        assert "user code locked" in visitor.see("/")
    for secret in (*WRONG, NEW_PIN):
        assert secret not in agent.log


def test_pin_change_with_wrong_pins_counts_down(start_agent: Start, xca_active_card: CardFixture) -> None:
    assert xca_active_card.pin
    with visiting(start_agent(xca_active_card)) as visitor:
        assert "2 tries are left" in visitor.fill("/change-pin", WRONG[0], NEW_PIN)
        assert "The PIN is changed." in visitor.fill("/change-pin", xca_active_card.pin, NEW_PIN)
        assert "The PIN is wrong" in visitor.fill("/change-pin", xca_active_card.pin, NEW_PIN)
        assert "3 tries left" in visitor.see("/reset-pin")


def test_pin_reset_of_a_locked_card_unlocks_it(start_agent: Start, xca_pin_locked_card: CardFixture) -> None:
    with visiting(start_agent(xca_pin_locked_card)) as visitor:
        assert "PIN locked" in visitor.see("/")
        cannot(visitor, "/change-pin", "is locked", 'class="go" href="/reset-pin?')
        assert "is unlocked" in visitor.fill("/reset-pin", xca_pin_locked_card.user_code, NEW_PIN)
        assert state(xca_pin_locked_card) is IssuedCardState.ACTIVE


def test_user_code_change_takes_the_new_one_from_then_on(
    start_agent: Start, xca_issued_card: CardFixture
) -> None:
    """Also before the activation: whoever else knows the code that was chosen then loses it."""
    card, new = xca_issued_card, "Neu~Code42"
    with visiting(start_agent(card)) as visitor:
        differs = visitor.fill("/change-user-code", card.user_code, new, again="Neu~Code43")
        assert "The two new user codes are not the same." in differs
        short = visitor.fill("/change-user-code", card.user_code, "short", again="short")
        assert "6 to 10" in short
        assert "2 tries left" in visitor.fill("/change-user-code", "Wrong~Code", new, again=new)
        done = visitor.fill("/change-user-code", card.user_code, new, again=new)
        assert "The user code is changed." in done
        assert "Keep it apart from the card." in done
        assert "note down your new PIN" not in done
        assert card.user_code not in done
        assert new not in done
        assert "2 tries left" in visitor.fill("/activate", card.user_code, NEW_PIN, again=NEW_PIN)
        assert "The card is activated." in visitor.fill("/activate", new, NEW_PIN, again=NEW_PIN)


def test_values_that_are_refused_cost_no_try(start_agent: Start, xca_issued_card: CardFixture) -> None:
    with visiting(start_agent(xca_issued_card)) as visitor:
        assert "A user code has 6 to 10" in visitor.fill("/activate", "short", NEW_PIN)
        assert "A PIN has 6 to 8" in visitor.fill("/activate", WRONG[0], "密碼密碼密碼")
        assert "All its characters are the same." in visitor.fill("/activate", WRONG[0], "111111")
        assert "3 tries left" in visitor.see("/activate")


def test_form_sent_twice_works_once(start_agent: Start, xca_issued_card: CardFixture) -> None:
    """A form that is sent twice spends one try."""
    with visiting(start_agent(xca_issued_card)) as visitor:
        fields = {**visitor.form("/activate"), "secret": WRONG[0], "new_pin": NEW_PIN, "again": NEW_PIN}
        assert "2 tries are left" in visitor.send("/activate", fields).text
        again = words(visitor.send("/activate", {**fields, "secret": WRONG[1]}).text)
        assert "was already sent" in again
        assert "2 tries left" in again
        assert "was already sent" in words(visitor.send("/activate", {**fields, "token": "forged"}).text)
        elsewhere = visitor.form("/activate")["token"]
        assert "was already sent" in words(visitor.send("/reset-pin", {**fields, "token": elsewhere}).text)


def test_form_for_a_removed_card_says_so(start_agent: Start, xca_issued_card: CardFixture) -> None:
    with visiting(start_agent(xca_issued_card)) as visitor:
        fields = {
            **visitor.form("/activate"),
            "secret": xca_issued_card.user_code,
            "new_pin": NEW_PIN,
            "again": NEW_PIN,
        }
        remove(xca_issued_card.environment, xca_issued_card.number)
        said = words(visitor.send("/activate", fields).text)
        assert f"The card {xca_issued_card.number} is not here." in said
        assert "There is no card in the reader." in said


def test_form_of_another_site_does_nothing(start_agent: Start, xca_issued_card: CardFixture) -> None:
    with visiting(start_agent(xca_issued_card)) as visitor:
        fields = {**visitor.form("/activate"), "secret": WRONG[0], "new_pin": NEW_PIN, "again": NEW_PIN}
        for origin in ("https://evil.example", "null", "http://localhost:1"):
            assert visitor.send("/activate", fields, origin).status_code == 403, origin
        assert "3 tries left" in visitor.see("/activate")


def test_post_that_is_no_form_is_refused(allowed: SiteClient) -> None:
    form = "application/x-www-form-urlencoded"
    with visiting(allowed.agent) as visitor:
        for content, media_type, status in (
            (b"{}", "application/json", 415),
            (b"a=1", "", 415),
            (b"\xff=1", form, 400),
            (b"a=%ff", form, 400),
            (b"a=1&" * 100, form, 400),
            (b"a=" + b"1" * 5000, form, 413),
        ):
            headers = {"Origin": allowed.agent.url, "Content-Type": media_type}
            answer = visitor.client.post("/change-pin", content=content, headers=headers)
            assert answer.status_code == status
            assert "is not a form of this program" in words(answer.text)


def test_new_pins_that_differ_cost_no_try(start_agent: Start, xca_issued_card: CardFixture) -> None:
    with visiting(start_agent(xca_issued_card)) as visitor:
        said = visitor.fill("/activate", WRONG[0], NEW_PIN, again=NEW_PIN.lower())
        assert "The two new PINs are not the same. Nothing was tried." in said
        fields = {**visitor.form("/activate"), "secret": WRONG[0], "new_pin": NEW_PIN}
        assert "Nothing was tried." in words(visitor.send("/activate", fields | {"again": ""}).text)
        assert "3 tries left" in visitor.see("/activate")


def test_made_pin_is_for_the_agents_own_pages_only(allowed: SiteClient, active_card: CardFixture) -> None:
    with visiting(allowed.agent) as visitor:
        card = {"card": active_card.number}
        made = [visitor.send("/made-pin", card) for _ in range(2)]
        assert all(re.fullmatch("[0-9]{8}", answer.text) for answer in made)
        assert made[0].text != made[1].text
        assert made[0].headers["cache-control"] == "no-store"
        assert visitor.send("/made-pin", card, SITE).status_code == 403
        assert visitor.client.get("/made-pin", params=card).status_code == 405
        assert visitor.send("/made-pin", {"card": "XC00000000000000"}).status_code == 404


def test_user_code_reset_is_a_link_wherever_it_is_named(
    start_agent: Start, xca_issued_card: CardFixture
) -> None:
    card = xca_issued_card
    with visiting(start_agent(card), "zh-TW") as visitor:
        for wrong in WRONG:
            visitor.fill("/activate", wrong, NEW_PIN, last_try="最後一次")
        link = '<a href="/user-code-reset">用戶代碼重設</a>'
        own = link.replace('reset"', f'reset?card={card.number}"')
        for path in ("/", "/activate", "/reset-pin", "/card", "/selfTest.htm?run=yes"):
            html = visitor.client.get(path).text
            named = len(re.findall("用戶代碼重設(?!PIN)", html.partition("<main")[2]))
            assert named == html.count(link) + html.count(own), path
            assert named or path == "/change-pin"
        said = visitor.see(f"/user-code-reset?card={card.number}")
        for fact in (card.number, "02-2192-7111", "公文", "統一編號", "softhsm-card reset-user-code"):
            assert fact in said


def test_card_of_the_stand_in_says_so_and_a_real_one_does_not(
    start_agent: Start, xca_issued_card: CardFixture, real_card: CardLocation
) -> None:
    with visiting(start_agent(xca_issued_card)) as visitor:
        for path in ("/", "/card", "/files/sign", "/user-code-reset"):
            assert "test card" in visitor.see(path), path
    with visiting(start_agent(real_card)) as visitor:
        for path in ("/", "/card", "/files/sign"):
            assert "test card" not in visitor.see(path), path


# --- no card, other cards, a store that fails


def test_pages_without_a_card_say_so(start_agent: Start, xca_environment: Environment) -> None:
    with visiting(start_agent(CardFixture(xca_environment, "", "", None))) as visitor:
        for path in ("/", "/card", *JOBS):
            said = visitor.see(path)
            assert "There is no card in the reader." in said, path
            assert "the right way round" in said, path


def test_page_of_files_with_two_cards_asks_for_the_card_before_its_pin(
    start_agent: Start, two_cards: TwoCards
) -> None:
    with visiting(start_agent(two_cards)) as visitor:
        assert "There are several cards. Choose one, then enter its PIN." in visitor.see("/files/sign")
        assert "Choose the files, check the card, enter its PIN" in visitor.see(
            f"/files/sign?card={two_cards.lapsed}"
        )


def test_cards_lapsed_or_due_soon_say_so(start_agent: Start, two_cards: TwoCards) -> None:
    with visiting(start_agent(two_cards)) as visitor:
        home = visitor.see("/")
        assert "Ask the issuer for a new card" in home
        assert "(3 days left)" in home
        for path in JOBS:
            assert "Ask the issuer for a new card" in visitor.see(f"{path}?card={two_cards.lapsed}"), path
            assert visitor.form(f"{path}?card={two_cards.lapsed}") == {}, path
        assert "(3 days left)" in visitor.see(f"/activate?card={two_cards.late}")


def test_form_with_several_cards_chooses_none(start_agent: Start, two_cards: TwoCards) -> None:
    with visiting(start_agent(two_cards)) as visitor:
        assert "Choose one" in visitor.see("/activate")
        assert visitor.form("/activate") == {}
        assert "is not here" in visitor.see("/activate?card=XC00000000000000")
        form = visitor.form(f"/activate?card={two_cards.late}")
        assert form["card"] == two_cards.late
        answer = visitor.send("/activate", {**form, "secret": WRONG[0], "new_pin": NEW_PIN, "again": NEW_PIN})
        assert "2 tries left" in words(answer.text)
        assert "3 tries left" in visitor.see(f"/card?card={two_cards.lapsed}")


def test_holder_with_markup_stays_text(start_agent: Start, two_cards: TwoCards) -> None:
    with visiting(start_agent(two_cards)) as visitor:
        for path in ("/", "/card", "/activate"):
            html = visitor.client.get(f"{path}?card={two_cards.late}").text
            assert html.count("<img") == 1, path  # our own sign
            assert "&lt;img src" in html, path
            assert not {"\u202e", "\u0007"} & set(html), path
            assert "&lt;U+202E&gt;&lt;U+0007&gt;" in html, path


def test_activation_of_a_real_card_needs_agreement(start_agent: Start, real_card: CardLocation) -> None:
    with visiting(start_agent(real_card)) as visitor:
        assert "This is a real card." in visitor.see("/activate")
        assert "You did not agree" in visitor.fill("/activate", WRONG[0], NEW_PIN)
        said = visitor.fill("/activate", WRONG[0], NEW_PIN, agreed="yes")
        assert "The user code is wrong. The card does not say how many tries are left." in said
        assert "is activated." in visitor.fill("/activate", USER_CODE, NEW_PIN, agreed="yes")


def test_pin_lengths_are_those_that_the_card_reports(start_agent: Start, real_card: CardLocation) -> None:
    """SoftHSM itself reports 4 to 255 characters."""
    with visiting(start_agent(real_card)) as visitor:
        assert "(4 to 255 characters, no spaces)" in visitor.see("/activate")
        said = visitor.fill("/activate", USER_CODE, "123", agreed="yes")
        assert "A PIN has 4 to 255 characters" in said
        assert "is activated." in visitor.fill("/activate", USER_CODE, "7r+9", agreed="yes")


def test_pages_with_an_unreadable_store_say_so(start_agent: Start, xca_active_card: CardFixture) -> None:
    agent = start_agent(xca_active_card)
    xca_active_card.environment.store.path.write_bytes(b"no database")
    with visiting(agent) as visitor:
        assert "The card store cannot be read" in visitor.see("/")
        assert "The card store cannot be read" in visitor.see("/change-pin")


def test_certificate_with_an_undecodable_label_is_shown(
    start_agent: Start, xca_active_card: CardFixture, tmp_path: Path
) -> None:
    """Such a certificate hides neither the card nor its other certificates."""
    card = xca_active_card
    agent = start_agent(card)
    with visiting(agent) as visitor:
        der = visitor.client.get(
            "/certificate", params={"card": card.number, "label": "CA Cert", "form": "der"}
        ).content
        (tmp_path / "der").write_bytes(der)
        subprocess.run(
            ["pkcs11-tool", "--module", card.module, "--login", "--pin", "env:PIN", "--write-object", "der",
             "--type", "cert", "--id", "aa", "--label", b"bad\xff\xe9label"],
            env={**card.variables, "PIN": str(card.pin), "PATH": "/usr/bin:/bin"},
            cwd=tmp_path,
            check=True,
            capture_output=True,
        )  # fmt: skip
        assert card.number in visitor.see("/")
        assert "cert1" in visitor.see("/card")
        assert "\N{REPLACEMENT CHARACTER}" in visitor.see("/card")


# --- readers whose daemon hangs


@dataclass(frozen=True)
class HungDaemon:
    """A PC/SC daemon that accepts connections and never answers."""

    listening: socket.socket

    @property
    def variables(self) -> dict[str, str]:
        return {"PCSCLITE_CSOCK_NAME": str(self.listening.getsockname())}


@pytest.fixture
def hung_pcscd(tmp_path: Path) -> Iterator[HungDaemon]:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.settimeout(SECONDS)
        listening.bind(str(tmp_path / "pcscd.comm"))
        listening.listen(100)
        yield HungDaemon(listening)


def test_pages_with_a_hung_reader_daemon_are_served(
    start_agent: Start, xca_active_card: CardFixture, hung_pcscd: HungDaemon
) -> None:
    agent = start_agent(CardLocation({**xca_active_card.variables, **hung_pcscd.variables}))
    with visiting(agent) as visitor, ThreadPoolExecutor(10) as visitors:
        # More requests at once than the pool has threads.
        for said in visitors.map(visitor.see, ["/"] * 10):
            assert xca_active_card.number in said


def test_agent_with_a_hung_module_ends(
    xca_environment: Environment, hung_pcscd: HungDaemon, tmp_path: Path
) -> None:
    listed = subprocess.run(["dpkg", "-L", "opensc-pkcs11"], check=True, capture_output=True, text=True)
    (opensc,) = {Path(line).resolve() for line in listed.stdout.split() if line.endswith("/opensc-pkcs11.so")}
    variables = {**xca_environment.exports(), **hung_pcscd.variables, "XCA_PKCS11_MODULE": str(opensc)}
    soon = (
        "from xca_plugin.agent.process import card_worker; from xca_plugin.cli import main; "
        "card_worker._STOP_SECONDS = 1; main()"
    )
    configure(tmp_path / "home", allow=SITE)
    with running(tmp_path / "home", variables, program=("-c", soon)) as agent, ThreadPoolExecutor(1) as site:
        site.submit(SiteClient(agent).get, "/pkcs11info")
        connection, _ = hung_pcscd.listening.accept()  # the module waits for an answer now
        with connection:
            agent.process.send_signal(signal.SIGINT)
            assert agent.process.wait(SECONDS) == 1


# --- certificates


def test_certificate_downloaded_in_each_format_is_right(
    allowed: SiteClient, active_card: CardFixture, tmp_path: Path
) -> None:
    number = active_card.number
    with visiting(allowed.agent) as visitor:
        assert "cert1" in visitor.see("/card")

        def get(label: str, form: str) -> bytes:
            answer = visitor.client.get("/certificate", params={"card": number, "label": label, "form": form})
            answer.raise_for_status()
            assert answer.headers["content-disposition"].startswith("attachment; filename=")
            (tmp_path / form).write_bytes(answer.content)
            return answer.content

        assert ssl.DER_cert_to_PEM_cert(get("cert1", "der")) == get("cert1", "pem").decode()
        chain = get("cert1", "chain").decode()
        assert chain.count("BEGIN CERTIFICATE") == 3
        root = chain[chain.rindex("-----BEGIN") :]
        (tmp_path / "root").write_text(root)
        verify = ["openssl", "verify", "-CAfile", "root", "-untrusted", "chain", "pem"]
        subprocess.run(verify, cwd=tmp_path, check=True, capture_output=True)
        assert get("CA Cert", "pem").decode() in chain
        missing = visitor.client.get("/certificate", params={"card": number, "label": "no", "form": "pem"})
        assert missing.status_code == 404
        assert "has no certificate no" in words(missing.text)


def test_self_test_link_with_a_false_site_shows_none_of_it(allowed: SiteClient) -> None:
    with visiting(allowed.agent) as visitor:
        for said in ("https://Your card is LOCKED, call 0900-123456", "https://gov.tw@evil.example"):
            page = visitor.client.get("/selfTest.htm", params={"site": said}).text
            assert said.partition("//")[2] not in page
            assert "https://xcaweb.nat.gov.tw" in page


# --- events, headers and language


def test_events_of_each_topic_hold_a_version_only(allowed: SiteClient) -> None:
    with visiting(allowed.agent) as visitor:
        for of in ("cards", "sites"):
            with visitor.client.stream("GET", f"/events?of={of}") as stream:
                first = next(stream.iter_text())
                assert re.fullmatch(r"data: [0-9a-f]+-\d+\s+retry: \d+\s+", first)
        assert visitor.client.get("/events").status_code == 404
        foreign = visitor.client.get("/events?of=cards", headers={"Origin": "https://evil.example"})
        assert foreign.status_code == 403


def test_pages_forbid_caching_and_foreign_scripts(allowed: SiteClient) -> None:
    with visiting(allowed.agent) as visitor:
        for path in ("/", "/card", *JOBS, "/selfTest.htm"):
            headers = visitor.client.get(path).headers
            assert headers["cache-control"] == "no-store"
            policy = headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "frame-ancestors 'none'" in policy
            assert "unsafe" not in policy


def test_assets_of_the_present_version_are_cached(allowed: SiteClient) -> None:
    """A popup loads them once, so that the next one opens faster."""
    with visiting(allowed.agent) as visitor:
        addresses = re.findall(r'"(/static/[^"]+)"', visitor.client.get("/popupForm").text)
        assert len(addresses) > 3
        for address in addresses:
            assert "immutable" in visitor.client.get(address).headers["cache-control"], address
            other = visitor.client.get(address.partition("?")[0] + "?another-version")
            assert other.headers["cache-control"] == "no-store", address
        assert visitor.client.get("/static/nothing.js").status_code == 404


def test_language_is_the_browsers_until_one_is_chosen(allowed: SiteClient) -> None:
    for wished, title in (
        ("zh-TW,en;q=0.5", "您的卡片"),
        ("zh-HK", "您的卡片"),
        ("en-GB", "Your card"),
        ("fr, en;q=0.4, zh;q=0.3", "Your card"),
        ("zh;q=0, en;q=0.1", "Your card"),
        ("fr", "您的卡片"),
        (";;q=x", "您的卡片"),
    ):
        with visiting(allowed.agent, wished) as visitor:
            assert title in visitor.see("/"), wished
    with visiting(allowed.agent, "zh-TW") as visitor:
        answer = visitor.client.get("/card?lang=en&card=XC00000000000000")
        assert answer.url.query == b"card=XC00000000000000"
        assert "is not here" in words(answer.text)
        assert "Your card" in visitor.see("/")


@pytest.mark.parametrize(
    ("language", "signing", "encrypting"),
    [
        ("en", "signature", "encryption of keys"),
        ("zh-TW", "簽章", "金鑰加密"),
    ],
)
def test_key_usage_on_the_page_of_a_card_is_in_words(
    start_agent: Start, xca_active_card: CardFixture, language: str, signing: str, encrypting: str
) -> None:
    with visiting(start_agent(xca_active_card), language) as visitor:
        page = visitor.see("/card")
    label = {"en": "Key usage", "zh-TW": "金鑰用途"}[language]
    assert f"{label} {signing}" in page
    assert encrypting in page
    assert "digital_signature" not in page


def test_certificates_that_cannot_be_read_are_shown_as_such(
    start_agent: Start, xca_active_card: CardFixture
) -> None:
    environment = xca_active_card.environment
    ones = odd_ones()
    for name in ("no end", "no DER", "nothing", "year nought"):
        put(environment.inner_module, environment.inner_configuration, ones[name], id="ODD", label=name)
    with visiting(start_agent(xca_active_card)) as visitor:
        shown = visitor.see("/card")
        assert "without end" in shown
        assert shown.count("(the certificate cannot be read)") == 3
        assert "cert1" in shown
        assert "Ready to use." in visitor.see("/")


@pytest.mark.parametrize(
    ("language", "says"),
    [
        ("en", "No organisation card is recognised. What is here: <b>Another card ("),
        ("zh-TW", "沒有認得的組織及團體憑證 IC 卡。這裡有：<b>Another card ("),
    ],
)
def test_token_that_is_not_recognised_is_named_on_the_home_page(
    start_agent: Start, xca_environment: Environment, language: str, says: str
) -> None:
    with visiting(start_agent(initialize_token(xca_environment, "<b>Another card"))) as visitor:
        answer = visitor.client.get("/", headers={"accept-language": language})
    assert says in unescape(answer.text)
    assert "<b>" not in answer.text
    assert "[module] label" in answer.text


def test_card_with_an_unreadable_certificate_is_not_ready(
    start_agent: Start, real_card: CardLocation, xca_environment: Environment
) -> None:
    put(
        xca_environment.inner_module,
        xca_environment.inner_configuration,
        odd_ones()["cut off"],
        id="SIGN",
        label="cert1",
    )
    with visiting(start_agent(real_card)) as visitor:
        assert "the certificate cannot be read" in visitor.see("/")
        assert "the certificate cannot be read" in visitor.see("/card")
