# SPDX-License-Identifier: Apache-2.0
"""Cards that the stand-in makes for a certificate centre, step by step."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
from cryptography import x509

from softhsm import Environment, cards, find, remove, reset_user_code
from softhsm.producer import SoftHSMProducer, open_producer
from support.softhsm.softhsm_card import PIN, USER_CODE, Issuer
from xca_centre.errors import NoSuchProducer
from xca_centre.producer import CardProducer, find_producer
from xca_common import taipei
from xca_common.card_making import (
    CardCertificates,
    CardDates,
    CardKeys,
    CardNumberTaken,
    OrderOutOfStep,
    OtherKeys,
    ProducerUnavailable,
    UserCodeRefused,
)
from xca_common.pki import authority, distinguished_name, profile
from xca_common.pki.sealed_secret import seal
from xca_common.secret import Secret

ORDER = "order-1"
DATES = CardDates(taipei.today(), taipei.today() + timedelta(days=70))
OTHER_CODE = "Other.Code"
CHANGES = {"os.rename", "os.link", "os.mkdir", "os.rmdir", "shutil.copytree", "subprocess.Popen"}


def certificates(environment: Environment, keys: CardKeys) -> CardCertificates:
    """Certificates for the keys, from the environment's own test PKI."""
    ca = authority.Authority.load(environment.pki)
    subject = authority.Subject(
        distinguished_name.parse("C=TW,O=製卡測試"),
        authority.directory_attributes(profile.SCHOOL, "secondary", organisation_oid="2.16.886.111.100000"),
    )
    dates = authority.validity(datetime.now(UTC), 6)
    return CardCertificates(
        ca.certify(keys.signing, authority.SIGNING, subject, *dates),
        ca.certify(keys.encryption, authority.ENCRYPTION, subject, *dates),
        ca.certificate,
        ca.root,
    )


def sealed(producer: CardProducer, user_code: str = USER_CODE) -> bytes:
    return seal(Secret(user_code), producer.public_key())


def make(producer: CardProducer, environment: Environment, order: str = ORDER) -> CardKeys:
    """All the steps of an order."""
    keys = producer.make_keys(order)
    producer.set_user_code(order, sealed(producer))
    producer.write(order, certificates(environment, keys))
    producer.close(order, DATES)
    return keys


@pytest.fixture
def producer(issuer: Issuer) -> SoftHSMProducer:
    return SoftHSMProducer(issuer.environment)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Issuer, CardKeys]:
    """A card that went through all steps; no test changes it for another one."""
    environment = Environment.create(tmp_path_factory.mktemp("made") / "environment")
    return Issuer(environment.path), make(SoftHSMProducer(environment), environment)


def test_producer_is_found_by_the_name_of_its_entry_point(issuer: Issuer) -> None:
    producer = find_producer("softhsm", issuer.path)
    assert producer.public_key() == open_producer(issuer.path).public_key()
    assert producer.public_key().key_size == 3072


def test_producer_that_is_not_installed_is_named(issuer: Issuer) -> None:
    with pytest.raises(NoSuchProducer) as caught:
        find_producer("printer", issuer.path)
    assert caught.value.offered == ["softhsm"]


def test_folder_without_an_environment_is_no_producer(tmp_path: Path) -> None:
    with pytest.raises(ProducerUnavailable, match="softhsm-card init"):
        find_producer("softhsm", tmp_path)


def test_card_of_an_order_is_closed_and_has_its_dates(made: tuple[Issuer, CardKeys]) -> None:
    issuer, keys = made
    (card,) = cards(issuer.environment)
    assert (card.number, card.state, card.row.issued_on, card.row.activate_by) == (
        keys.number,
        "issued",
        DATES.issued_on,
        DATES.activate_by,
    )
    assert (card.row.pin_tries, card.row.user_code_tries) == (3, 3)
    assert issuer.cards().keys() == {keys.number}


def test_card_of_an_order_has_the_certificates_for_its_keys(
    made: tuple[Issuer, CardKeys], tmp_path: Path
) -> None:
    issuer, keys = made
    for label, key in (("cert1", keys.signing), ("cert2", keys.encryption)):
        file = issuer.read_certificate(keys.number, label, tmp_path / label)
        assert x509.load_der_x509_certificate(file.read_bytes()).public_key() == key
    for label in ("CA Cert", "ROOT CA Cert"):
        issuer.read_certificate(keys.number, label, tmp_path / "ca")


def test_card_of_an_order_opens_with_the_user_code_and_signs(
    made: tuple[Issuer, CardKeys], tmp_path: Path
) -> None:
    issuer, keys = made
    assert issuer.activate(keys.number, "wrong-1").returncode != 0
    assert issuer.activate(keys.number).returncode == 0
    assert find(issuer.environment, keys.number).state == "active"
    (tmp_path / "data").write_bytes(b"data to be signed")
    sign = ["--sign", "-m", "SHA256-RSA-PKCS", "--id", b"SIGN".hex(), "-i", str(tmp_path / "data")]
    assert issuer.login(keys.number, *sign, "-o", str(tmp_path / "signature")).returncode == 0


def test_issuer_keeps_neither_the_user_code_nor_what_opens_the_card(
    producer: SoftHSMProducer, issuer: Issuer
) -> None:
    number = make(producer, issuer.environment).number
    so_pin = (issuer.environment.copies / number / "so-pin").read_text()
    assert issuer.init_pin(number, so_pin).returncode != 0
    kept = [path for path in issuer.path.rglob("*") if path.is_file()]
    assert not [path for path in kept if USER_CODE.encode() in path.read_bytes()]
    assert not [path for path in kept if path.stat().st_mode & 0o077 and path.suffix != ".so"]
    assert [path.name for path in (issuer.environment.orders / ORDER).iterdir()] == ["card.json"]


def test_made_card_is_activated_and_shown_by_xcactl(producer: SoftHSMProducer, issuer: Issuer) -> None:
    number = make(producer, issuer.environment).number

    def xcactl(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "xca_plugin.cli", "--lang", "en", *arguments],
            env=os.environ | issuer.environment.exports() | {"CODE": USER_CODE, "PIN": PIN},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    xcactl("activate", "--yes", "--card", number, "--user-code", "env:CODE", "--new-pin", "env:PIN")
    shown = xcactl("info", "--card", number)
    assert number in shown
    assert "製卡測試" in shown
    assert find(issuer.environment, number).state == "active"


def test_user_code_of_a_made_card_can_be_reset(producer: SoftHSMProducer, issuer: Issuer) -> None:
    number = make(producer, issuer.environment).number
    reset_user_code(issuer.environment, number, OTHER_CODE)
    assert issuer.activate(number).returncode != 0
    assert issuer.activate(number, OTHER_CODE).returncode == 0


def test_steps_that_are_repeated_change_nothing(producer: SoftHSMProducer, issuer: Issuer) -> None:
    keys = producer.make_keys(ORDER)
    assert producer.make_keys(ORDER) == keys
    code = sealed(producer)
    written = certificates(issuer.environment, keys)
    for _ in range(2):
        producer.set_user_code(ORDER, code)
    for _ in range(2):
        producer.write(ORDER, written)
    assert cards(issuer.environment) == []
    for _ in range(2):
        producer.close(ORDER, DATES)
    row = find(issuer.environment, keys.number).row

    assert producer.make_keys(ORDER) == keys
    producer.set_user_code(ORDER, sealed(producer, user_code=OTHER_CODE))
    producer.write(ORDER, written)
    producer.close(ORDER, replace(DATES, issued_on=taipei.today() - timedelta(days=1)))
    assert [card.row for card in cards(issuer.environment)] == [row]
    assert issuer.init_pin(keys.number, USER_CODE).returncode == 0
    listed = issuer.login(keys.number, "--list-objects", "--type", "cert").stdout
    assert listed.count(b"Certificate Object") == 4


def test_order_of_a_card_that_was_removed_has_no_second_card(
    producer: SoftHSMProducer, issuer: Issuer
) -> None:
    keys = make(producer, issuer.environment)
    remove(issuer.environment, keys.number)
    assert make(producer, issuer.environment) == keys
    assert cards(issuer.environment) == []


def test_orders_have_a_card_each(producer: SoftHSMProducer, issuer: Issuer) -> None:
    first, second = (make(producer, issuer.environment, order) for order in ("first", "second"))
    assert first.number != second.number
    assert {card.number for card in cards(issuer.environment)} == {first.number, second.number}


def test_order_that_two_begin_at_once_has_one_card(producer: SoftHSMProducer) -> None:
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(producer.make_keys, (ORDER, ORDER))
    assert first == second


@pytest.mark.parametrize(
    "step",
    [
        lambda producer, _: producer.set_user_code(ORDER, sealed(producer)),
        lambda producer, keys: producer.write(ORDER, keys),
        lambda producer, _: producer.close(ORDER, DATES),
    ],
    ids=["set_user_code", "write", "close"],
)
def test_step_before_the_keys_is_out_of_step(
    producer: SoftHSMProducer, issuer: Issuer, step: Callable[[CardProducer, CardCertificates], None]
) -> None:
    some = certificates(issuer.environment, producer.make_keys("other"))
    with pytest.raises(OrderOutOfStep):
        step(producer, some)


def test_card_without_its_user_code_or_certificates_is_not_handed_out(
    producer: SoftHSMProducer, issuer: Issuer
) -> None:
    for order in ("code", "certificates"):
        keys = producer.make_keys(order)
        if order == "code":
            producer.set_user_code(order, sealed(producer))
        else:
            producer.write(order, certificates(issuer.environment, keys))
        with pytest.raises(OrderOutOfStep):
            producer.close(order, DATES)
    assert cards(issuer.environment) == []


def test_certificates_for_other_keys_are_refused(producer: SoftHSMProducer, issuer: Issuer) -> None:
    keys = producer.make_keys(ORDER)
    own = certificates(issuer.environment, keys)
    with pytest.raises(OtherKeys):
        producer.write(ORDER, replace(own, signing=own.encryption))
    with pytest.raises(OtherKeys):
        producer.write(ORDER, replace(own, encryption=own.signing))


def test_user_code_that_breaks_the_rules_is_refused_without_being_told(producer: SoftHSMProducer) -> None:
    producer.make_keys(ORDER)
    for bad in (
        sealed(producer, user_code="short"),
        sealed(producer, user_code="with blank"),
        sealed(producer, user_code="用戶代碼用戶代碼"),
        b"",
    ):
        with pytest.raises(UserCodeRefused) as caught:
            producer.set_user_code(ORDER, bad)
        assert "short" not in f"{caught.value!r} {caught.value}"
        assert caught.value.__cause__ is None


def test_number_that_was_given_away_meanwhile_is_told(producer: SoftHSMProducer, issuer: Issuer) -> None:
    keys = producer.make_keys(ORDER)
    producer.set_user_code(ORDER, sealed(producer))
    producer.write(ORDER, certificates(issuer.environment, keys))
    assert issuer.issue("--number", keys.number)["number"] == keys.number
    with pytest.raises(CardNumberTaken) as caught:
        producer.close(ORDER, DATES)
    assert caught.value.number == keys.number
    remove(issuer.environment, keys.number)
    producer.close(ORDER, DATES)
    assert find(issuer.environment, keys.number).row.issued_on == DATES.issued_on


@pytest.mark.parametrize("order", ["", "../x", "a/b", "-a", "a" * 65, "a b", "製卡"])
def test_name_that_is_no_orders_is_refused(producer: SoftHSMProducer, order: str) -> None:
    with pytest.raises(ValueError, match="letters, digits and hyphens"):
        producer.make_keys(order)


def _killed_at(step: Callable[[], object], nth: int) -> bool:
    """Do a step in a child process, which is killed as it begins its nth change; say whether it was."""
    child = os.fork()
    if child == 0:
        left = nth

        def hook(event: str, _: tuple[object, ...]) -> None:
            nonlocal left
            if event in CHANGES:
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        try:
            step()
        except BaseException:
            os._exit(2)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert status in (0, signal.SIGKILL)
    return status != 0


@pytest.mark.integration
def test_order_whose_making_is_killed_everywhere_has_one_card(
    producer: SoftHSMProducer, issuer: Issuer
) -> None:
    producer.public_key()
    kills = 0
    for nth in count(1):
        if not _killed_at(lambda: make(producer, issuer.environment), nth):
            break
        kills += 1
    assert kills > 20
    number = producer.make_keys(ORDER).number
    assert [card.number for card in cards(issuer.environment)] == [number]
    assert list(issuer.environment.staging.iterdir()) == []
    assert [path.name for path in issuer.environment.tokens.iterdir()] == [number]
    assert [path.name for path in issuer.environment.orders.iterdir()] == [ORDER]
    assert issuer.activate(number).returncode == 0
    listed = issuer.login(number, "--list-objects", "--type", "cert", pin=PIN).stdout
    assert listed.count(b"Certificate Object") == 4
