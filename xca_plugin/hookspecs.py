# SPDX-License-Identifier: Apache-2.0
"""The public contract: everything that xca_plugin does, as hooks.

A plugin is a module or an object with some of these functions, each marked @hookimpl, found by the
entry-point group `xca_plugin`. It may leave out arguments that it does not need. Everything that the command
line does goes through these hooks, and the product's own card family (xca_plugin.hicos) is written against
them too.

- Hooks that return a list are asked of every plugin, and the answers are added up.
- Hooks about one card are asked until one plugin answers: return None for a card of another family.
- Hooks named after something that happened are told to every plugin; one that fails there is logged and
  changes nothing.

A hook spends the last try only if the card that it is given shows one try left, which tells that the caller
knows. Otherwise it raises LastTryNotConfirmed.

Failures are exceptions of xca_plugin.errors. Secrets are xca_plugin.Secret; call reveal() only to hand one
on. For a card with Card.has_keypad a secret may be xca_plugin.TypedAtReader: the reader asks for it.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Final

import pluggy

from xca_common.i18n import Text
from xca_common.pki.certificate import Certificate
from xca_common.secret import Secret
from xca_plugin.model import (
    Acceptance,
    Card,
    CardSession,
    CertificateStatus,
    Event,
    Hash,
    IssuerContact,
    Key,
    OddCertificate,
    Padding,
)

PROJECT: Final = "xca_plugin"
"""Name of pluggy's project and of the entry-point group."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)

# --- what is there


@hookspec
def xca_refresh() -> None:
    """Forget the readers and cards that were found, so that the next detection finds new ones.

    Programs that run for long ask for it between two operations.
    """


@hookspec
def xca_readers() -> list[str] | None:
    """Return the names of the card readers, with or without a card in them."""


@hookspec
def xca_detect() -> list[Card] | None:
    """Return the cards that are there now (偵測卡片)."""


@hookspec
def xca_other_cards() -> list[str] | None:
    """Return names of the tokens that are there and are no cards of this family; shown where no card is."""


@hookspec(firstresult=True)
def xca_read(card: Card) -> Card | None:
    """Return the card as it is now: state, tries left of both secrets, days left to activate it.

    Raises:
        CardRemoved: it is gone.
    """


@hookspec(firstresult=True)
def xca_certificates(card: Card) -> Sequence[Certificate | OddCertificate] | None:
    """Return all certificates on the card, the issuers' too; what cannot be read as an OddCertificate."""


@hookspec(firstresult=True)
def xca_issuer_contact(card: Card) -> IssuerContact | None:
    """Return how to reach the card's issuer. It becomes Card.issuer, which front ends show."""


@hookspec
def xca_history(number: str | None) -> list[Event] | None:
    """Return what happened to the card of that number, or to all cards, oldest first."""


# --- what a holder does; each returns the card as it is afterwards


@hookspec(firstresult=True)
def xca_activate(card: Card, user_code: Secret, new_pin: Secret) -> Card | None:
    """Activate the card (開卡) with its user code, set its first PIN, and prove it with a login.

    Raises:
        WrongUserCode, UserCodeLocked, CardLapsed, InvalidUserCode, InvalidPin, SecretFormRefused,
        PinNotProved, CardRemoved, RemovedBeforeProof.
    """


@hookspec(firstresult=True)
def xca_change_pin(card: Card, pin: Secret, new_pin: Secret) -> Card | None:
    """Change the PIN, knowing it (更改PIN碼).

    Raises:
        WrongPin, PinLocked, NotActivated, InvalidPin, CardRemoved.
    """


@hookspec(firstresult=True)
def xca_reset_pin(card: Card, user_code: Secret, new_pin: Secret) -> Card | None:
    """Unlock the card and set a new PIN with the user code (鎖卡解碼／重設PIN碼), and prove it with a login.

    Raises:
        As xca_activate.
    """


@hookspec(firstresult=True)
def xca_verify_pin(card: Card, pin: Secret) -> Card | None:
    """Try the PIN.

    Raises:
        WrongPin, PinLocked, NotActivated, InvalidPin, CardRemoved.
    """


@hookspec(firstresult=True)
def xca_verify_user_code(card: Card, user_code: Secret) -> Card | None:
    """Try the user code with a login, and change nothing.

    For a real card (Card.real) success proves nothing: it may accept any user code at a login, and check it
    only when a PIN is set.

    Raises:
        WrongUserCode, UserCodeLocked, CardLapsed, InvalidUserCode, CardRemoved.
    """


@hookspec(firstresult=True)
def xca_change_user_code(card: Card, user_code: Secret, new_user_code: Secret) -> Card | None:
    """Change the user code, knowing it.

    Raises:
        WrongUserCode, UserCodeLocked, CardLapsed, InvalidUserCode, CardRemoved.
    """


# --- what the keys do


@hookspec(firstresult=True)
def xca_session(card: Card, pin: Secret) -> AbstractContextManager[CardSession] | None:
    """Return a context manager that logs in with the PIN when it is entered, and logs out when it is left.

    The session signs and decrypts without another login. Only entering needs the PIN, which is not kept: a
    login that ends too early is not repeated. The session belongs to the thread that entered it; other
    threads' operations on the card wait until it is left.

    Raises:
        As xca_verify_pin, when it is entered.
    """


@hookspec(firstresult=True)
def xca_sign(
    card: Card, pin: Secret, key: Key, digest: bytes, digest_hash: Hash, padding: Padding
) -> bytes | None:
    """Sign a digest made with digest_hash, padded PKCS1V15 or PSS; the signature as RFC 8017 encodes it.

    Raises:
        As xca_verify_pin; NoSuchKey; Unsupported: not with this hash or padding.
    """


@hookspec(firstresult=True)
def xca_decrypt(
    card: Card, pin: Secret, key: Key, ciphertext: bytes, digest_hash: Hash, padding: Padding
) -> bytes | None:
    """Decrypt what was encrypted to the key, with PKCS1V15 (digest_hash is ignored) or OAEP.

    With PKCS1V15 some cards answer random bytes instead of an error when the ciphertext does not fit the key.
    This "implicit rejection" keeps an attacker from decrypting by many questions. OpenSSL 3.2 and newer
    does it, and SoftHSM with it.

    Raises:
        As xca_verify_pin; NoSuchKey; NotDecryptable; Unsupported: not with this hash or padding.
    """


# --- the certificates of the keys


@hookspec(firstresult=True)
def xca_write_certificate(card: Card, pin: Secret, certificate: Certificate) -> Card | None:
    """Write a certificate for a key of the card, with the certificate's label and id; return the card.

    It replaces the key's earlier certificate, which is removed if the card permits and no longer shown.

    Raises:
        As xca_verify_pin; CardFault: the card does not take it.
    """


# --- the centre that issued a card


@hookspec(firstresult=True)
def xca_certificate_status(
    card: Card, certificates: Sequence[Certificate], seconds: float
) -> CertificateStatus | None:
    """Return how a card's certificates stand with its centre; None: it is another centre's card.

    The network is asked for so many seconds; with 0 it is not used, and the status is what is known here.

    Raises:
        BadCentreConfiguration.
    """


@hookspec(firstresult=True)
def xca_accept(card: Card, certificates: Sequence[Certificate], session: CardSession) -> Acceptance | None:
    """Have a card sign that its certificates are right (憑證接受), and keep that until its centre answers.

    The holder has said so. The network is not used. None: it is another centre's card.

    Raises:
        BadCentreConfiguration, NoSuchCertificate, FileProblem; as CardSession.sign.
    """


@hookspec(firstresult=True)
def xca_reset_user_code(card: Card, ticket: bytes, new_user_code: Secret) -> bool | None:
    """Set a new user code with a ticket (授權票) of the centre that issued the card (用戶代碼重設).

    Return True when the card has it; no PIN is valid then. None: the card takes no tickets.

    Raises:
        TicketRefused: the card does not take this one.
    """


@hookspec
def xca_deliver_acceptances(number: str | None, due: bool) -> list[Acceptance] | None:
    """Send the acceptances that are kept to their centre; return each, as it is then.

    Only that for the card of a number is sent, if one is given. With due, only those are that the centre may
    be asked about again, and none of them is waited for long.

    Raises:
        BadCentreConfiguration, FileProblem.
    """


# --- what a plugin may object to


@hookspec
def xca_veto_new_pin(
    card: Card, new_pin: Secret, pin: Secret | None, user_code: Secret | None
) -> Text | str | None:
    """Return why this new PIN is not allowed, to be shown to the person; None: no objection.

    Asked before the card is, so that an objection costs no try. The old PIN is given for a change of the
    PIN, the user code for an activation or a reset.
    """


# --- what happened


@hookspec
def xca_card_found(card: Card) -> None:
    """Called after a card appeared."""


@hookspec
def xca_activated(card: Card) -> None:
    """Called after a card was activated."""


@hookspec
def xca_pin_changed(card: Card) -> None:
    """Called after a PIN was changed or reset."""


@hookspec
def xca_pin_locked(card: Card) -> None:
    """Called after a wrong PIN locked the PIN."""


@hookspec
def xca_user_code_locked(card: Card) -> None:
    """Called after a wrong user code locked the user code."""
