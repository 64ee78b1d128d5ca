# SPDX-License-Identifier: Apache-2.0
"""The facade: the operations of programs on cards, done by the plugins. It never talks to a person."""

import heapq
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import replace
from functools import cache, partial
from importlib.metadata import entry_points
from typing import Any, Final, TypeVar

import pluggy

from pkcs11_shim import rules
from xca_common.errors import place_of
from xca_common.harmless_text import harmless
from xca_common.pki.certificate import Certificate
from xca_common.secret import Secret, TypedAtReader
from xca_plugin import errors, hookspecs, pcsc, weak_pin
from xca_plugin.history_note import Purpose, done_to
from xca_plugin.i18n import text
from xca_plugin.model import (
    CERTIFICATE_LABELS,
    Acceptance,
    Card,
    CardSession,
    CardState,
    CertificateStatus,
    Event,
    Hash,
    Key,
    OddCertificate,
    Padding,
)
from xca_plugin.plugin_guard import Guard, blotted

REAL_CARD_WARNING: Final = text(
    "This is a real card. The issuers warn that changing its PIN with unofficial software may disable it "
    "for good, and that a card used by other programs before its activation is damaged. "
    "Wrong PINs and wrong user codes lock it. What happens to it is at your own risk."
)
"""What the holder of a real card (Card.real) must agree to before anything that asks for a secret."""

BUILT_IN: Final = ("hicos", "weak_pin", "centre")
"""Names of the plugins that are part of this package."""

STATUS_SECONDS: Final = 15.0
"""How long a centre may be asked how certificates stand."""

_FREE_SLOT: Final = "SoftHSM slot ID "
"""How SoftHSM names a slot without a token begins like this."""
_log = logging.getLogger(__name__)
_T = TypeVar("_T")


class Cards:
    """The cards that the plugins know.

    Plugins are the built-in ones, those given, and those installed in the entry-point group `xca_plugin`.
    Operations take a card as detect() or read() returned it, and return it as it is afterwards. They spend
    the last try only if the card that was given shows one try left: the caller knows of it then.

    Args:
        plugins: more plugins.
        confirm_last_try: called when only one try is left and the card that was given does not show it,
            because another program has spent the others. Nothing was tried yet. It raises
            LastTryNotConfirmed to end the operation; if it returns, the operation goes on. Without it such an
            operation ends with LastTryNotConfirmed.

    Raises:
        PluginFailed: an installed plugin cannot be loaded.
    """

    def __init__(
        self, plugins: Iterable[object] = (), *, confirm_last_try: Callable[[], None] | None = None
    ) -> None:
        # Here, not above: it loads python-pkcs11, which a program that only needs our types need not.
        from xca_plugin import hicos
        from xca_plugin.centre.client import CentreClient

        self._plugins = pluggy.PluginManager(hookspecs.PROJECT)
        self._plugins.add_hookspecs(hookspecs)
        self._guard = Guard(self._plugins, list(BUILT_IN))
        for name, plugin in zip(BUILT_IN, (hicos.Hicos(), weak_pin, CentreClient()), strict=True):
            self._register(plugin, name)
        for given in plugins:
            name = getattr(given, "__name__", type(given).__name__)
            self._register(given, None if self._plugins.has_plugin(name) else name)
        for entry in entry_points(group=hookspecs.PROJECT):
            try:
                self._register(entry.load(), entry.name)
                self._plugins.check_pending()
            except (Exception, SystemExit) as error:  # whatever a stranger's module does while it is imported
                detail = " ".join(
                    f"{type(error).__name__}: {error}".split()
                )  # pluggy says it in several lines
                raise errors.PluginFailed(name=entry.name, detail=detail) from error
        self._seen: set[str] = set()
        self._confirm_last_try = confirm_last_try

    # --- what is there

    def refresh(self) -> None:
        """Have the plugins find new readers and cards (hook xca_refresh), between two operations."""
        self._guard.ask("xca_refresh")

    def readers(self) -> list[str]:
        """Return the names of the card readers, with or without a card in them."""
        return _flat(self._guard.ask("xca_readers"))

    def detect(self) -> list[Card]:
        """Return the cards that are there now, ordered by number; tell the plugins about new ones."""
        found: list[Card] = _flat(self._guard.ask("xca_detect"))
        cards = [self._with_issuer(card) for card in sorted(found, key=lambda card: card.number)]
        for card in cards:
            if card.number not in self._seen:
                self._tell("xca_card_found", card)
        self._seen = {card.number for card in cards}
        return cards

    def missing(self) -> errors.CardError:
        """Say why there is no card, after detect() returned none.

        Returns:
            NoCard, NoReader, or NoReaderDaemon.
        """
        if others := _flat(self._guard.ask("xca_other_cards")):
            return errors.NoCard(found=others)
        if self.readers():
            return errors.NoCard()
        try:
            pcsc.readers()
        except errors.NoReaderDaemon as error:
            return error
        except (errors.NoReaderSupport, errors.ReaderFault):
            pass
        return errors.NoReader()

    def find(self, number: str) -> Card:
        """Return the card of that number.

        Raises:
            CardNotFound: it is not there.
        """
        for card in self.detect():
            if card.number == number:
                return card
        raise errors.CardNotFound(number=number)

    def read(self, card: Card) -> Card:
        """Return the card as it is now (hook xca_read)."""
        return self._with_issuer(_answered(card, self._guard.ask("xca_read", card=card)))

    def certificates(self, card: Card) -> Sequence[Certificate]:
        """Return the card's certificates that can be read (hook xca_certificates)."""
        return [each for each in self._held(card) if isinstance(each, Certificate)]

    def odd_certificates(self, card: Card) -> Sequence[OddCertificate]:
        """Return the card's certificates that cannot be read (hook xca_certificates)."""
        return [each for each in self._held(card) if isinstance(each, OddCertificate)]

    def history(self, number: str | None = None) -> list[Event]:
        """Return what happened to one card or to all, oldest first (hook xca_history)."""
        histories: list[list[Event]] = self._guard.ask("xca_history", number=number)
        # The events of a plugin stay in their order, even if a clock was wrong.
        return list(heapq.merge(*histories, key=lambda event: event.at))

    # --- what a holder does

    def check_new_pin(
        self, card: Card, new_pin: Secret, *, pin: Secret | None = None, user_code: Secret | None = None
    ) -> None:
        """Ask whether this PIN may be the card's new one (hook xca_veto_new_pin), without a try.

        Raises:
            InvalidPin, PinRefused.
        """
        check_pin(card, new_pin)
        if isinstance(new_pin, TypedAtReader):
            return
        pin, user_code = (None if isinstance(each, TypedAtReader) else each for each in (pin, user_code))
        veto = partial(self._guard.ask, "xca_veto_new_pin")
        if objections := veto(card=card, new_pin=new_pin, pin=pin, user_code=user_code):
            secrets = [each for each in (new_pin, pin, user_code) if each is not None]
            raise errors.PinRefused(reasons=[blotted(each, secrets) for each in objections])

    def check_activation(
        self, card: Card, user_code: Secret | None = None, new_pin: Secret | None = None
    ) -> Card:
        """Check an activation as far as it costs no try: the state, the form of the values, the objections.

        Raises:
            AlreadyActive, CardLapsed, UserCodeLocked, InvalidUserCode, InvalidPin, PinRefused.
        """
        card = self.read(card)
        if card.state is CardState.ACTIVE:
            raise errors.AlreadyActive(number=card.number)
        self._check_user_code_usable(card)
        if user_code is not None:
            check_user_code(user_code)
        if new_pin is not None:
            self.check_new_pin(card, new_pin, user_code=user_code)
        return card

    def activate(self, card: Card, user_code: Secret, new_pin: Secret) -> Card:
        """Activate the card and set its first PIN (hook xca_activate).

        Raises:
            As check_activation and xca_activate.
        """
        self.check_activation(card, user_code, new_pin)
        hook = partial(self._guard.ask, "xca_activate")
        after = self._ask_card(
            card, _user_code_tries, lambda now: hook(card=now, user_code=user_code, new_pin=new_pin)
        )
        self._tell("xca_activated", after)
        return after

    def change_pin(self, card: Card, pin: Secret, new_pin: Secret) -> Card:
        """Change the PIN (hook xca_change_pin).

        Raises:
            PinRefused, and as xca_change_pin.
        """
        check_pin(card, pin)
        self.check_new_pin(card, new_pin, pin=pin)
        hook = partial(self._guard.ask, "xca_change_pin")
        after = self._ask_card(card, _pin_tries, lambda now: hook(card=now, pin=pin, new_pin=new_pin))
        self._tell("xca_pin_changed", after)
        return after

    def reset_pin(self, card: Card, user_code: Secret, new_pin: Secret) -> Card:
        """Set a new PIN on an activated card with the user code (hook xca_reset_pin).

        Raises:
            NotActivated, PinRefused, and as xca_reset_pin.
        """
        now = self.read(card)
        if now.state is CardState.NOT_ACTIVATED:
            raise errors.NotActivated(number=card.number)
        self._check_user_code_usable(now)
        check_user_code(user_code)
        self.check_new_pin(card, new_pin, user_code=user_code)
        hook = partial(self._guard.ask, "xca_reset_pin")
        after = self._ask_card(
            card, _user_code_tries, lambda now: hook(card=now, user_code=user_code, new_pin=new_pin)
        )
        self._tell("xca_pin_changed", after)
        return after

    def verify_pin(self, card: Card, pin: Secret) -> Card:
        """Try the PIN (hook xca_verify_pin)."""
        check_pin(card, pin)
        hook = partial(self._guard.ask, "xca_verify_pin")
        return self._ask_card(card, _pin_tries, lambda now: hook(card=now, pin=pin))

    def verify_user_code(self, card: Card, user_code: Secret) -> Card:
        """Try the user code, and change nothing (hook xca_verify_user_code).

        For a real card success proves nothing.
        """
        self._check_user_code_usable(self.read(card))
        check_user_code(user_code)
        hook = partial(self._guard.ask, "xca_verify_user_code")
        return self._ask_card(card, _user_code_tries, lambda now: hook(card=now, user_code=user_code))

    def change_user_code(self, card: Card, user_code: Secret, new_user_code: Secret) -> Card:
        """Change the user code (hook xca_change_user_code).

        Raises:
            UserCodeUnchanged, and as xca_change_user_code.
        """
        check_user_code(user_code)
        self.check_new_user_code(new_user_code, user_code)
        hook = partial(self._guard.ask, "xca_change_user_code")
        return self._ask_card(
            card,
            _user_code_tries,
            lambda now: hook(card=now, user_code=user_code, new_user_code=new_user_code),
        )

    def reset_user_code(self, card: Card, ticket: bytes, new_user_code: Secret) -> Card:
        """Set a new user code with a ticket of the card's centre (hook xca_reset_user_code).

        Raises:
            InvalidUserCode: the new one has a form that no user code has.
            Unsupported: the card takes no tickets.
            As xca_reset_user_code.
        """
        check_user_code(new_user_code)
        took = self._guard.ask("xca_reset_user_code", card=card, ticket=ticket, new_user_code=new_user_code)
        if not took:
            raise errors.Unsupported(number=card.number)
        self.refresh()
        return self.find(card.number)

    def check_new_user_code(self, new_user_code: Secret, user_code: Secret) -> None:
        """Check whether this may be the new user code, without a try.

        Raises:
            InvalidUserCode, UserCodeUnchanged.
        """
        check_user_code(new_user_code)
        if new_user_code == user_code:
            raise errors.UserCodeUnchanged

    # --- what the keys do

    @contextmanager
    def session(self, card: Card, pin: Secret, purpose: Purpose | None = None) -> Iterator["CheckedSession"]:
        """Log in once, for many signatures or decryptions (hook xca_session).

        Args:
            card: an activated card.
            pin: its PIN; wiped as soon as it was tried, or could not be.
            purpose: what the card's history tells of the login; None: that it was one.

        Raises:
            As xca_verify_pin, when the context is entered.
        """
        hook = partial(self._guard.ask, "xca_session")
        with ExitStack() as stack:
            with pin, done_to(purpose) if purpose else nullcontext():
                check_pin(card, pin)
                session = self._ask(
                    card, _pin_tries, lambda now: self._entered(stack, now, hook(card=now, pin=pin))
                )
            yield session

    def _entered(
        self, stack: ExitStack, card: Card, context: AbstractContextManager[CardSession] | None
    ) -> "CheckedSession":
        """Enter a plugin's session; the stack leaves it, and no error of the block is lost there."""
        context = _answered(card, context)
        name = self._guard.answered_by

        def leave(kind: Any, error: BaseException | None, trace: Any) -> None:
            with self._guard.blaming(name, "xca_session"):
                type(context).__exit__(context, kind, error, trace)

        with self._guard.blaming(name, "xca_session"):
            session = type(context).__enter__(context)
        stack.push(leave)
        return CheckedSession(session, self._guard, name, partial(self._certificate_of, card))

    def sign(
        self,
        card: Card,
        pin: Secret,
        digest: bytes,
        *,
        key: Key = Key.SIGN,
        digest_hash: Hash = Hash.SHA256,
        padding: Padding = Padding.PKCS1V15,
    ) -> bytes:
        """Sign a digest with a key of the card (hook xca_sign), and verify the signature.

        Raises:
            CardFault, PluginMisbehaved: the signature does not fit the key's certificate.
            NoSuchCertificate: the key has none.
            As xca_sign.
        """
        check_pin(card, pin)
        certificate = self._certificate_of(card, key)
        hook = partial(self._guard.ask, "xca_sign")
        with done_to(Purpose.SIGN):
            signature = self._ask(
                card,
                _pin_tries,
                lambda now: hook(
                    card=now, pin=pin, key=key, digest=digest, digest_hash=digest_hash, padding=padding
                ),
            )
        return self._guard.check_signature(
            self._guard.answered_by, signature, certificate, digest, (digest_hash, padding)
        )

    def decrypt(
        self,
        card: Card,
        pin: Secret,
        ciphertext: bytes,
        *,
        key: Key = Key.KEYX,
        digest_hash: Hash = Hash.SHA1,
        padding: Padding = Padding.OAEP,
    ) -> bytes:
        """Decrypt with a key of the card (hook xca_decrypt)."""
        check_pin(card, pin)
        hook = partial(self._guard.ask, "xca_decrypt")
        with done_to(Purpose.DECRYPT):
            plaintext: bytes = self._ask(
                card,
                _pin_tries,
                lambda now: hook(
                    card=now,
                    pin=pin,
                    key=key,
                    ciphertext=ciphertext,
                    digest_hash=digest_hash,
                    padding=padding,
                ),
            )
        return plaintext

    # --- certificates of the keys

    def certificate_for(self, card: Card, given: Iterable[Certificate]) -> Certificate:
        """Return the first given certificate whose key is on the card, with the card's label and id for it.

        Raises:
            NoSuchKey: none of them is.
        """
        own = {held.public_key: held for held in self.certificates(card) if held.id in list(Key)}
        for certificate in given:
            if held := own.get(certificate.public_key):
                return replace(certificate, label=held.label, id=held.id)
        raise errors.NoSuchKey(number=card.number, key=text("of the given certificate"))

    def write_certificate(self, card: Card, pin: Secret, certificate: Certificate) -> Card:
        """Write a certificate that certificate_for() returned to the card (hook xca_write_certificate)."""
        check_pin(card, pin)
        hook = partial(self._guard.ask, "xca_write_certificate")
        return self._ask_card(card, _pin_tries, lambda now: hook(card=now, pin=pin, certificate=certificate))

    # --- the centre that issued a card

    def certificate_status(self, card: Card, *, seconds: float = STATUS_SECONDS) -> CertificateStatus | None:
        """Return how the card's certificates stand with its centre (hook xca_certificate_status).

        Args:
            card: the card.
            seconds: that the centre may be asked over the network; 0: it is not.

        Returns:
            None: no centre is configured that issued the card.
        """
        status: CertificateStatus | None = self._guard.ask(
            "xca_certificate_status", card=card, certificates=self.certificates(card), seconds=seconds
        )
        return status

    def accept(self, card: Card, session: "CheckedSession") -> Acceptance:
        """Have the card sign that its certificates are right, and keep that (hook xca_accept).

        Args:
            card: an activated card, whose holder said so.
            session: of the card.

        Raises:
            NoCentre: no centre is configured that issued the card.
        """
        accepted: Acceptance | None = self._guard.ask(
            "xca_accept", card=card, certificates=self.certificates(card), session=session
        )
        if accepted is None:
            raise errors.NoCentre(number=card.number)
        return accepted

    def deliver_acceptances(self, number: str | None = None, *, due: bool = False) -> list[Acceptance]:
        """Send acceptances that are kept to their centre (hook xca_deliver_acceptances).

        Args:
            number: only that for this card.
            due: only those that the centre may be asked about again, and without a long wait.
        """
        return _flat(self._guard.ask("xca_deliver_acceptances", number=number, due=due))

    # --- inside

    def _register(self, plugin: object, name: str | None) -> None:
        if registered := self._plugins.register(plugin, name):
            self._guard.watch(registered)

    def _certificate_of(self, card: Card, key: Key) -> Certificate:
        """Return the certificate of a key, which its signatures are verified with.

        Raises:
            NoSuchCertificate: there is none that can be read.
        """
        if key is Key.SIGN and card.certificate is not None:
            return card.certificate
        for certificate in self.certificates(card):
            if certificate.id == key:
                return certificate
        raise errors.NoSuchCertificate(number=card.number, label=CERTIFICATE_LABELS[key])

    def _with_issuer(self, card: Card) -> Card:
        return replace(card, issuer=self._guard.ask("xca_issuer_contact", card=card))

    def _held(self, card: Card) -> Sequence[Certificate | OddCertificate]:
        return _answered(card, self._guard.ask("xca_certificates", card=card))

    def _ask(self, card: Card, tries: Callable[[Card], int | None], hook: Callable[[Card], _T | None]) -> _T:
        """Ask for an operation with a secret; a last try that the caller does not know of is confirmed."""
        try:
            return self._ask_once(card, hook)
        except errors.LastTryNotConfirmed:
            if self._confirm_last_try is None or tries(card) == 1:
                raise
            now = self.read(card)
            if tries(now) == 1:
                self._confirm_last_try()
            return self._ask_once(now, hook)

    def _ask_card(
        self, card: Card, tries: Callable[[Card], int | None], hook: Callable[[Card], Card | None]
    ) -> Card:
        return self._with_issuer(self._ask(card, tries, hook))

    def _ask_once(self, card: Card, hook: Callable[[Card], _T | None]) -> _T:
        """Ask for an operation with a secret; when that locks the secret, tell the plugins."""
        try:
            return _answered(card, hook(card))
        except errors.PinLocked:
            if card.pin_tries != 0:
                self._tell("xca_pin_locked", self.read(card))
            raise
        except errors.UserCodeLocked:
            if card.user_code_tries != 0:
                self._tell("xca_user_code_locked", self.read(card))
            raise

    def _tell(self, hook: str, card: Card) -> None:
        """Tell every plugin what happened; a plugin that fails here is logged."""
        plugins: set[Any] = self._plugins.get_plugins()
        for plugin in plugins:
            try:
                self._plugins.subset_hook_caller(hook, plugins - {plugin})(card=card)
            except Exception as error:
                name = self._plugins.get_name(plugin) or ""
                # Not its text, which may hold a secret.
                where = place_of(error.__cause__ or error)
                _log.warning("plugin %s failed at %s: %s", harmless(name), hook, where)

    def _check_user_code_usable(self, card: Card) -> None:
        if card.state is CardState.LAPSED:
            raise errors.CardLapsed(number=card.number)
        if card.user_code_tries == 0:
            raise errors.UserCodeLocked(number=card.number)


def named_readers(readers: Iterable[str], filled: Collection[str]) -> list[str]:
    """Return the readers, without the free slots of SoftHSM, which stand for none.

    Args:
        readers: as Cards.readers returns them.
        filled: those that hold a card.
    """
    return [each for each in readers if each in filled or not each.startswith(_FREE_SLOT)]


class CheckedSession:
    """A plugin's session (CardSession); its answers are checked."""

    def __init__(
        self, session: CardSession, guard: Guard, name: str, certificate_of: Callable[[Key], Certificate]
    ) -> None:
        self._session, self._guard, self._name = session, guard, name
        self._certificate_of = cache(certificate_of)

    def sign(
        self,
        digest: bytes,
        *,
        key: Key = Key.SIGN,
        digest_hash: Hash = Hash.SHA256,
        padding: Padding = Padding.PKCS1V15,
    ) -> bytes:
        """As CardSession."""
        signature, verify = self.sign_unverified(digest, key=key, digest_hash=digest_hash, padding=padding)
        verify()
        return signature

    def sign_unverified(
        self,
        digest: bytes,
        *,
        key: Key = Key.SIGN,
        digest_hash: Hash = Hash.SHA256,
        padding: Padding = Padding.PKCS1V15,
    ) -> tuple[bytes, Callable[[], object]]:
        """Sign as sign() does, for a caller that has the signature verified in another thread.

        Returns:
            The signature, and what verifies it: to be called, in any thread, before the signature is given
            out. It raises CardFault or PluginMisbehaved.
        """
        certificate = self._certificate_of(key)
        with self._guard.blaming(self._name, "xca_session"):
            signature = self._session.sign(digest, key=key, digest_hash=digest_hash, padding=padding)
        verify = partial(
            self._guard.check_signature, self._name, signature, certificate, digest, (digest_hash, padding)
        )
        if not isinstance(signature, bytes):
            verify()
        return signature, verify

    def decrypt(
        self,
        ciphertext: bytes,
        *,
        key: Key = Key.KEYX,
        digest_hash: Hash = Hash.SHA1,
        padding: Padding = Padding.OAEP,
    ) -> bytes:
        """As CardSession."""
        with self._guard.blaming(self._name, "xca_session"):
            content = self._session.decrypt(ciphertext, key=key, digest_hash=digest_hash, padding=padding)
        return self._guard.check_bytes(self._name, "xca_session", content)


def signing_certificate(card: Card) -> Certificate:
    """Return the certificate of the key that signs.

    Raises:
        NoSuchCertificate: there is none.
        CardFault: it cannot be read.
    """
    if card.certificate_odd:
        raise errors.CardFault(detail=text("the certificate {label} cannot be read").format(label="cert1"))
    if card.certificate is None:
        raise errors.NoSuchCertificate(number=card.number, label="cert1")
    return card.certificate


def check_pin_usable(card: Card) -> None:
    """Refuse a card whose PIN cannot be tried now.

    Raises:
        CardLapsed, NotActivated, PinLocked.
    """
    if card.state is CardState.LAPSED:
        raise errors.CardLapsed(number=card.number)
    if card.state is CardState.NOT_ACTIVATED:
        raise errors.NotActivated(number=card.number)
    if card.pin_tries == 0:
        raise errors.PinLocked(number=card.number)


def check_pin(card: Card, pin: Secret) -> None:
    """Refuse a value that cannot be a PIN of the card, before the card is asked.

    Raises:
        SecretWiped: it was wiped.
        InvalidPin: wrong length or characters.
    """
    if pin.is_wiped:
        raise errors.SecretWiped(secret=text("PIN"))
    if not isinstance(pin, TypedAtReader) and not _has_form(pin, card.pin_min, card.pin_max):
        raise errors.InvalidPin(shortest=card.pin_min, longest=card.pin_max)


def check_user_code(user_code: Secret) -> None:
    """Refuse a value that cannot be a user code, before a card is asked.

    Raises:
        SecretWiped: it was wiped.
        InvalidUserCode: wrong length or characters.
    """
    if user_code.is_wiped:
        raise errors.SecretWiped(secret=text("user code"))
    is_here = not isinstance(user_code, TypedAtReader)
    if is_here and not _has_form(user_code, rules.USER_CODE_MIN, rules.USER_CODE_MAX):
        raise errors.InvalidUserCode


def _has_form(secret: Secret, shortest: int, longest: int) -> bool:
    value = secret.reveal()
    characters_fit = all(rules.CHAR_FIRST <= ord(character) <= rules.CHAR_LAST for character in value)
    return shortest <= len(value) <= longest and characters_fit


def _pin_tries(card: Card) -> int | None:
    return card.pin_tries


def _user_code_tries(card: Card) -> int | None:
    return card.user_code_tries


def _flat(answers: Iterable[Iterable[_T]]) -> list[_T]:
    return [item for answer in answers for item in answer]


def _answered(card: Card, answer: _T | None) -> _T:
    if answer is None:
        raise errors.Unsupported(number=card.number)
    return answer
