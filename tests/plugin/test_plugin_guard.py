# SPDX-License-Identifier: Apache-2.0
"""Plugins that answer nonsense, fail or want to end the program."""

import hashlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

import pytest

from support import card_family
from xca_common.pki.certificate import Certificate
from xca_plugin import Card, Cards, CardState, Hash, Secret, errors, hookimpl
from xca_plugin.hicos import Hicos
from xca_plugin.i18n import text
from xca_plugin.model import Event, IssuerContact

CARD: Final = Card("MT00000000000001", "reader", "model", "memory", CardState.ACTIVE, 3, 3)
DIGEST: Final = hashlib.sha256(b"tender").digest()
OTHER: Final = hashlib.sha256(b"another tender").digest()


def pin() -> Secret:
    return Secret("k4r7q9z1")


class Family:
    """A card family of another package; what it answers is set by the tests."""

    def __init__(self, answer: Callable[[], Any]) -> None:
        self.answer = answer

    @hookimpl
    def xca_detect(self) -> list[Card]:
        return [CARD]

    @hookimpl
    def xca_read(self, card: Card) -> Card:
        return CARD

    @hookimpl
    def xca_certificates(self, card: Card) -> list[Certificate]:
        return [card_family.certificate()]

    @hookimpl
    def xca_verify_pin(self, card: Card) -> Any:
        return self.answer()

    @hookimpl
    def xca_sign(self, card: Card) -> Any:
        return self.answer()

    @hookimpl
    def xca_decrypt(self, card: Card) -> Any:
        return self.answer()

    @hookimpl
    def xca_session(self, card: Card) -> Any:
        return self.answer()


class Session:
    """A session whose answers are set by the tests."""

    def __init__(self, answer: Callable[[], Any]) -> None:
        self.answer = answer

    def sign(self, digest: bytes, **_: object) -> Any:
        return self.answer()

    def decrypt(self, ciphertext: bytes, **_: object) -> Any:
        return self.answer()


def ends() -> None:
    sys.exit(0)


def breaks() -> None:
    raise RuntimeError("k4r7q9z1")


def session_of(answer: Callable[[], Any]) -> Callable[[], Any]:
    @contextmanager
    def entered() -> Iterator[Session]:
        yield Session(answer)

    return entered


@pytest.fixture(autouse=True)
def no_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Hicos, "xca_detect", hookimpl(lambda self: []))


@pytest.mark.parametrize("answer", [False, 42, "yes", b"", [CARD]])
def test_pin_is_not_right_because_a_plugin_answers_something(answer: object) -> None:
    with pytest.raises(errors.PluginMisbehaved) as refused:
        Cards([Family(lambda: answer)]).verify_pin(CARD, pin())
    assert (refused.value.name, refused.value.hook) == ("Family", "xca_verify_pin")
    assert "Family" in refused.value.message("en")


def test_answer_about_another_card_is_refused() -> None:
    other = Card("MT00000000000002", "reader", "model", "memory", CardState.ACTIVE, 3, 3)
    with pytest.raises(errors.PluginMisbehaved):
        Cards([Family(lambda: other)]).verify_pin(CARD, pin())


@pytest.mark.parametrize("answer", [b"", b"x" * 256, "signature", card_family.sign(OTHER, Hash.SHA256)])
def test_signature_that_does_not_fit_the_certificate_is_not_given_out(answer: object) -> None:
    with pytest.raises(errors.PluginMisbehaved) as refused:
        Cards([Family(lambda: answer)]).sign(CARD, pin(), DIGEST)
    assert refused.value.name == "Family"
    cards = Cards([Family(session_of(lambda: answer))])
    with cards.session(CARD, pin()) as session, pytest.raises(errors.PluginMisbehaved):
        session.sign(DIGEST)


def test_signature_that_fits_the_certificate_is_given_out() -> None:
    right = card_family.sign(DIGEST, Hash.SHA256)
    assert Cards([Family(lambda: right)]).sign(CARD, pin(), DIGEST) == right
    with Cards([Family(session_of(lambda: right))]).session(CARD, pin()) as session:
        assert session.sign(DIGEST) == right


def test_content_that_is_no_bytes_is_not_given_out() -> None:
    with pytest.raises(errors.PluginMisbehaved):
        Cards([Family(lambda: "content")]).decrypt(CARD, pin(), b"")
    cards = Cards([Family(session_of(lambda: None))])
    with cards.session(CARD, pin()) as session, pytest.raises(errors.PluginMisbehaved):
        session.decrypt(b"")


@pytest.mark.parametrize("fails", [ends, breaks])
def test_plugin_that_fails_or_ends_the_program_is_named_without_its_words(
    fails: Callable[[], None],
) -> None:
    cards = Cards([Family(fails)])
    asked: list[Callable[[], object]] = [
        lambda: cards.verify_pin(CARD, pin()),
        lambda: cards.sign(CARD, pin(), DIGEST),
    ]
    for ask in asked:
        with pytest.raises(errors.PluginMisbehaved) as refused:
            ask()
        assert refused.value.name == "Family"
        assert "k4r7q9z1" not in str(refused.value)


def test_session_that_swallows_errors_hides_none_of_its_user() -> None:
    class Swallowing(Session):
        def __enter__(self) -> Session:
            return self

        def __exit__(self, *_: object) -> bool:
            return True

    cards = Cards([Family(lambda: Swallowing(lambda: b""))])
    with pytest.raises(KeyError), cards.session(CARD, pin()):
        raise KeyError


def test_plugin_that_ends_the_program_when_it_hears_of_a_card_is_only_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Listener:
        @hookimpl
        def xca_card_found(self, card: Card) -> None:
            sys.exit(0)

    assert Cards([Family(breaks), Listener()]).detect() == [CARD]
    assert "Listener" in caplog.text


@pytest.mark.parametrize(
    ("hook", "ask"),
    [
        ("xca_detect", lambda cards: cards.detect()),
        ("xca_readers", lambda cards: cards.readers()),
        ("xca_history", lambda cards: cards.history()),
        ("xca_certificates", lambda cards: cards.certificates(CARD)),
        ("xca_issuer_contact", lambda cards: cards.read(CARD)),
        ("xca_veto_new_pin", lambda cards: cards.check_new_pin(CARD, pin())),
    ],
)
def test_answer_of_another_type_is_refused_by_the_name_of_its_plugin(
    hook: str, ask: Callable[[Cards], object]
) -> None:
    def answers(self: object) -> object:
        return [42]

    stranger = type("Stranger", (), {hook: hookimpl(answers)})()
    with pytest.raises(errors.PluginMisbehaved) as refused:
        ask(Cards([Family(breaks), stranger]))
    assert (refused.value.name, refused.value.hook) == ("Stranger", hook)


def test_answer_that_a_wrapper_changed_is_refused() -> None:
    class Wrapper:
        @hookimpl(wrapper=True)
        def xca_verify_pin(self, card: Card) -> Any:
            yield
            return True

    with pytest.raises(errors.PluginMisbehaved):
        Cards([Family(lambda: CARD), Wrapper()]).verify_pin(CARD, pin())


def test_secret_that_was_wiped_is_said_to_be_and_reaches_no_plugin() -> None:
    secret = pin()
    secret.wipe()
    with pytest.raises(errors.SecretWiped) as refused:
        Cards([Family(breaks)]).verify_pin(CARD, secret)
    assert "PIN" in refused.value.message("en")


def test_member_of_another_type_is_named() -> None:
    class Stranger:
        @hookimpl
        def xca_readers(self) -> list[object]:
            return ["reader", 42]

    with pytest.raises(errors.PluginMisbehaved) as refused:
        Cards([Family(breaks), Stranger()]).readers()
    assert "a list that holds something else than it should, of the type str, int" in str(refused.value)


@pytest.mark.parametrize(
    ("hook", "answer"),
    [
        ("xca_readers", "reader"),
        ("xca_history", [Event(datetime(2026, 1, 1), "MT", "verify-pin", 0, "x")]),
        ("xca_history", [Event("now", "MT", "verify-pin", 0, "x")]),  # type: ignore[arg-type]
        ("xca_issuer_contact", IssuerContact("name", "website", 42)),  # type: ignore[arg-type]
        ("xca_detect", [replace(CARD, reader=None)]),  # type: ignore[arg-type]
        ("xca_detect", [replace(CARD, pin_tries=True)]),
        ("xca_other_cards", [42]),
    ],
)
def test_answer_with_a_value_of_another_type_is_refused(hook: str, answer: object) -> None:
    def answers(self: object) -> object:
        return answer

    stranger = type("Stranger", (), {hook: hookimpl(answers)})()
    cards = Cards([stranger] if hook == "xca_other_cards" else [Family(breaks), stranger])
    asks: dict[str, Callable[[], object]] = {
        "xca_readers": cards.readers,
        "xca_history": cards.history,
        "xca_issuer_contact": lambda: cards.read(CARD),
        "xca_detect": cards.detect,
        "xca_other_cards": cards.missing,
    }
    with pytest.raises(errors.PluginMisbehaved) as refused:
        asks[hook]()
    assert refused.value.name == "Stranger"


def test_error_of_a_plugin_that_quotes_a_secret_is_not_shown() -> None:
    def quotes() -> None:
        raise errors.CardFault(detail="k4r7q9z1 is wrong")

    with pytest.raises(errors.PluginMisbehaved) as refused:
        Cards([Family(quotes)]).verify_pin(CARD, pin())
    assert "quoted a secret" in str(refused.value)
    assert "k4r7q9z1" not in str(refused.value)


def test_sentence_of_a_plugin_that_quotes_a_secret_is_blotted_in_every_language() -> None:
    class Gossip:
        @hookimpl
        def xca_veto_new_pin(self, new_pin: Secret) -> Any:
            return text("Error: {message}").format(message=new_pin.reveal())

    with pytest.raises(errors.PinRefused) as refused:
        Cards([Family(breaks), Gossip()]).check_new_pin(CARD, pin())
    assert "Error: …" in refused.value.message("en")
    assert "k4r7q9z1" not in refused.value.message("en") + refused.value.message("zh_TW")


def test_words_of_a_plugin_that_fails_after_a_change_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    class Listener:
        @hookimpl
        def xca_card_found(self, card: Card) -> None:
            raise RuntimeError("k4r7q9z1")

    Cards([Family(breaks), Listener()]).detect()
    assert "RuntimeError" in caplog.text
    assert "k4r7q9z1" not in caplog.text
