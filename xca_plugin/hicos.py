# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: D102  # the hooks are described where they are specified
"""Built-in plugin: HiCOS cards, through python-pkcs11 over the PKCS#11 module.

The module enforces the card's rules. This plugin calls it and translates the return values of PKCS#11 2.40
into errors.
"""

import hashlib
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import replace
from enum import Enum, auto
from threading import RLock
from typing import Any, Final, TypeVar

import pkcs11
from pkcs11 import (
    MGF,
    PROTECTED_AUTH,
    Attribute,
    DecryptMixin,
    Mechanism,
    Object,
    ObjectClass,
    PKCS11Error,
    Session,
    SignMixin,
    Slot,
    Token,
    TokenFlag,
)
from pkcs11 import exceptions as p11
from pkcs11._pkcs11 import lib as Library  # noqa: N812  # a class
from pkcs11.util.x509 import decode_x509_certificate

from pkcs11_shim import (
    CardRow,
    ConfigurationError,
    Store,
    StoreError,
    card_labels,
    library_path,
    rules,
    store_is_configured,
)
from xca_common.pki.certificate import Certificate
from xca_common.pki.digest_info import digest_info
from xca_common.secret import Secret, TypedAtReader
from xca_plugin import errors, module_failure, pcsc, stand_in
from xca_plugin.history_note import noted
from xca_plugin.hookspecs import hookimpl
from xca_plugin.i18n import text
from xca_plugin.last_try import kept
from xca_plugin.model import (
    Card,
    CardSession,
    CardState,
    Event,
    Hash,
    IssuerContact,
    Key,
    OddCertificate,
    Padding,
    digest_name,
)
from xca_plugin.named_file import of_the_system
from xca_plugin.token_info import SetAtReader, is_logged_in, loads, pin_lengths, set_at_reader

FAMILY: Final = "hicos"
"""Card.family of these cards."""

_ISSUER: Final = "O=行政院,OU=組織及團體"
"""In the issuer's name in every certificate of the XCA, of the stand-in's too."""
_OWN_CERTIFICATES: Final = ("cert1", "cert2")
"""CKA_LABEL of the certificates of the keys SIGN and KEYX."""
_XCA: Final = IssuerContact(
    text("Organisation and group certification authority (XCA)"), "https://xca.nat.gov.tw", "02-2192-7111"
)

_T = TypeVar("_T")
_Work = Callable[[Library, Token], _T]

# The vendor's module says "wrong PIN" so too: CKR_VENDOR_DEFINED | tries left (1 or 2), or sign-extended.
_UNMAPPED: Final = re.compile(r"Unmapped error code 0x(?:f{8})?8000000([12])$")
_REMOVED: Final = (
    p11.DeviceRemoved,
    p11.TokenNotPresent,
    p11.TokenNotRecognised,
    p11.SlotIDInvalid,
    p11.SessionHandleInvalid,
    p11.SessionClosed,
)
_NOTICED: Final = 1.0
"""Seconds in which a card that was pulled out is noticed: pcscd looks at its readers every 0.4 seconds."""
_UNCLEAR: Final = (p11.DeviceError, p11.GeneralError, p11.FunctionFailed)
"""Answers that some modules also give when the card was pulled out, or another program used it."""
_ENDED: Final = (p11.UserNotLoggedIn, p11.SessionHandleInvalid, p11.SessionClosed)
_NOT_DECRYPTED: Final = (
    p11.EncryptedDataInvalid,
    p11.EncryptedDataLenRange,
    p11.GeneralError,
    p11.FunctionFailed,
    p11.DataInvalid,
    p11.DataLenRange,
)
_CANNOT: Final = (
    p11.MechanismInvalid,
    p11.MechanismParamInvalid,
    p11.FunctionNotSupported,
    p11.ArgumentsBad,
    p11.TokenWriteProtected,
)
# CKR_USER_TYPE_INVALID (the card has no SO) and CKR_KEY_FUNCTION_NOT_PERMITTED, which have no class.
_CANNOT_IN_WORDS: Final = re.compile(r"User type invalid|Unmapped error code 0x68$")
_REMARK: Final = " Should never see this."  # of the library, to its programmers
_MECHANISMS: Final = {
    Hash.SHA1: (Mechanism.SHA_1, MGF.SHA1),
    Hash.SHA256: (Mechanism.SHA256, MGF.SHA256),
    Hash.SHA384: (Mechanism.SHA384, MGF.SHA384),
    Hash.SHA512: (Mechanism.SHA512, MGF.SHA512),
}


class _Asked(Enum):
    """Which secret a call was about: the same return value means another situation for each."""

    USER_CODE = auto()
    PIN = auto()
    NEW_PIN = auto()  # C_InitPIN, after a login with the user code
    NEW_USER_CODE = auto()  # C_SetPIN in an SO session, likewise


class Hicos:
    """The plugin. One call at a time: a login belongs to the whole process, not to a thread (section 5.6)."""

    _lock = RLock()

    def __init__(self) -> None:
        self._secret_tried = False  # in the call under way

    # --- what is there

    @hookimpl
    def xca_refresh(self) -> None:
        with self._lock, _explained():
            # A running process never sees tokens that were issued after C_Initialize (SoftHSM), or readers
            # that were connected since (the vendor's module).
            _library().reinitialize()
            _recognised.clear()

    @hookimpl
    def xca_readers(self) -> list[str]:
        return self._look(lambda library: [slot.slot_description for slot in _slots(library)])

    @hookimpl
    def xca_detect(self) -> list[Card]:
        def detect(library: Library) -> list[Card]:
            rows = _rows()
            return [_card(library, token, rows) for token in _tokens(library)]

        return self._look(detect)

    @hookimpl
    def xca_other_cards(self) -> list[str]:
        return self._look(lambda library: [_name(token) for token, ours in _all_tokens(library) if not ours])

    @hookimpl
    def xca_read(self, card: Card) -> Card | None:
        return self._ask(card, _card)

    @hookimpl
    def xca_certificates(self, card: Card) -> Sequence[Certificate | OddCertificate] | None:
        return self._ask(card, _certificates)

    @hookimpl
    def xca_issuer_contact(self, card: Card) -> IssuerContact | None:
        if card.family != FAMILY or (card.certificate and _ISSUER not in card.certificate.issuer):
            return None
        return _XCA

    @hookimpl
    def xca_history(self, number: str | None) -> list[Event]:
        with _store_errors():
            store = Store()
            if not store.path.exists():
                return []
            return [
                Event(entry.at, entry.card, entry.event, entry.result, entry.program)
                for entry in store.events(number)
            ]

    # --- what a holder does

    @hookimpl
    def xca_activate(self, card: Card, user_code: Secret, new_pin: Secret) -> Card | None:
        return self._init_pin(card, user_code, new_pin)

    @hookimpl
    def xca_reset_pin(self, card: Card, user_code: Secret, new_pin: Secret) -> Card | None:
        return self._init_pin(card, user_code, new_pin)

    @hookimpl
    def xca_change_pin(self, card: Card, pin: Secret, new_pin: Secret) -> Card | None:
        def change(library: Library, token: Token) -> None:
            # A public session: C_SetPIN tries the old PIN itself, a login before it would try it twice.
            with _session(library, token) as session, _means(_Asked.PIN, card, token):
                self._secret_tried = True
                _set_pin(session, pin, new_pin)

        return self._change(card, change)

    @hookimpl
    def xca_verify_pin(self, card: Card, pin: Secret) -> Card | None:
        def verify(library: Library, token: Token) -> None:
            with self._logged_in(library, token, card, pin=pin):
                pass

        return self._change(card, verify)

    @hookimpl
    def xca_verify_user_code(self, card: Card, user_code: Secret) -> Card | None:
        def verify(library: Library, token: Token) -> None:
            with self._logged_in(library, token, card, user_code=user_code):
                pass

        return self._change(card, verify)

    @hookimpl
    def xca_change_user_code(self, card: Card, user_code: Secret, new_user_code: Secret) -> Card | None:
        def change(library: Library, token: Token) -> None:
            with (
                self._logged_in(library, token, card, user_code=user_code) as session,
                _means(_Asked.NEW_USER_CODE, card, token),
            ):
                _set_pin(session, user_code, new_user_code)

        return self._change(card, change)

    @hookimpl
    def xca_reset_user_code(self, card: Card, ticket: bytes, new_user_code: Secret) -> bool | None:
        if card.family != FAMILY or card.real or isinstance(new_user_code, TypedAtReader):
            return None  # what a real card takes is not known
        stand_in.reset_user_code(card.number, ticket, new_user_code)
        return True

    # --- what the keys do

    @hookimpl
    def xca_session(self, card: Card, pin: Secret) -> AbstractContextManager[CardSession] | None:
        return self._log_in(card, pin) if card.family == FAMILY else None

    @hookimpl
    def xca_sign(
        self, card: Card, pin: Secret, key: Key, digest: bytes, digest_hash: Hash, padding: Padding
    ) -> bytes | None:
        if card.family != FAMILY:
            return None
        with self._log_in(card, pin) as session:
            return session.sign(digest, key=key, digest_hash=digest_hash, padding=padding)

    @hookimpl
    def xca_decrypt(
        self, card: Card, pin: Secret, key: Key, ciphertext: bytes, digest_hash: Hash, padding: Padding
    ) -> bytes | None:
        if card.family != FAMILY:
            return None
        with self._log_in(card, pin) as session:
            return session.decrypt(ciphertext, key=key, digest_hash=digest_hash, padding=padding)

    # --- what certifies them

    @hookimpl
    def xca_write_certificate(self, card: Card, pin: Secret, certificate: Certificate) -> Card | None:
        def write(library: Library, token: Token) -> None:
            with self._logged_in(library, token, card, pin=pin) as session:
                named = {Attribute.CLASS: ObjectClass.CERTIFICATE, Attribute.ID: certificate.id.encode()}
                earlier = list(session.get_objects(named))
                session.create_object(
                    decode_x509_certificate(certificate.der)
                    | named
                    | {Attribute.TOKEN: True, Attribute.PRIVATE: False, Attribute.LABEL: certificate.label}
                )
                for item in earlier:
                    with suppress(PKCS11Error):  # the issuer's own stay
                        item.destroy()

        return self._change(card, write)

    # --- inside

    def _init_pin(self, card: Card, user_code: Secret, new_pin: Secret) -> Card | None:
        def init(library: Library, token: Token) -> None:
            with (
                self._logged_in(library, token, card, user_code=user_code) as session,
                _means(_Asked.NEW_PIN, card, token),
            ):
                _init_pin(session, new_pin)

        def prove(library: Library, token: Token) -> None:
            try:
                with self._logged_in(library, token, card, pin=new_pin):
                    pass
            except (errors.WrongPin, errors.PinLocked, errors.NotActivated) as error:
                raise errors.PinNotProved(number=card.number) from error

        if card.family != FAMILY:
            return None
        self._ask(card, init)
        try:
            return self._change(card, prove)
        except errors.CardRemoved as error:
            raise errors.RemovedBeforeProof(number=card.number) from error

    @contextmanager
    def _log_in(self, card: Card, pin: Secret) -> Iterator[CardSession]:
        """Log in with the PIN, for as long as the context lasts; others wait meanwhile."""
        with self._lock, ExitStack() as stack:

            def enter(library: Library, token: Token) -> Session:
                return stack.enter_context(self._logged_in(library, token, card, pin=pin))

            # Only the login's errors are translated here; the session translates its own.
            yield _HicosSession(self._worked(card, enter), card)

    def _change(self, card: Card, work: _Work[None]) -> Card | None:
        """Do the work and return the card as it is afterwards."""
        self._ask(card, work)
        return self.xca_read(card)

    def _ask(self, card: Card, work: _Work[_T]) -> _T | None:
        """Do the work with the card's token; None for a card of another family."""
        return self._worked(card, work) if card.family == FAMILY else None

    def _worked(self, card: Card, work: _Work[_T]) -> _T:
        with self._lock, _explained(card), noted():
            library = _library()
            self._secret_tried = False
            try:
                return work(library, _token(library, card))
            except (*_REMOVED, *_UNCLEAR, errors.CardRemoved) as error:
                if not self._is_to_repeat(error, card):
                    raise
                library.reinitialize()
                return work(library, _token(library, card))

    def _is_to_repeat(self, error: Exception, card: Card) -> bool:
        """Tell whether the work is to be done once more, after a new look at readers and cards."""
        if not card.real:
            # Another process changed a secret of the card; the module says so before it tries any.
            return isinstance(error, p11.DeviceRemoved)
        # Some modules answer so once after another program used the card. No secret is tried twice.
        return not self._secret_tried

    def _look(self, look: Callable[[Library], _T]) -> _T:
        """Look at what is there, and once more where the module has to look at its readers anew."""
        with self._lock, _explained():
            library = _library()
            try:
                return look(library)
            except (*_REMOVED, *_UNCLEAR):
                library.reinitialize()
                return look(library)

    @contextmanager
    def _logged_in(
        self,
        library: Library,
        token: Token,
        card: Card,
        *,
        pin: Secret | None = None,
        user_code: Secret | None = None,
    ) -> Iterator[Session]:
        if card.real:
            # What fails here fails before a secret is tried, and may be repeated.
            with _session(library, token):
                pass
        with ExitStack() as stack:
            with _means(_Asked.PIN if pin else _Asked.USER_CODE, card, token):
                self._secret_tried = True
                session = stack.enter_context(_session(library, token, pin=pin, user_code=user_code))
            yield session


class _HicosSession:
    """A login with the PIN. It keeps the PKCS#11 session, and not the PIN."""

    def __init__(self, session: Session, card: Card) -> None:
        self._session, self._card = session, card
        self._module = library_path()
        self._keys: dict[tuple[Key, type], Any] = {}

    def sign(
        self,
        digest: bytes,
        *,
        key: Key = Key.SIGN,
        digest_hash: Hash = Hash.SHA256,
        padding: Padding = Padding.PKCS1V15,
    ) -> bytes:
        """As CardSession."""
        # A ready DigestInfo, not CKM_SHA256_RSA_PKCS: the vendor's module fails the combined mechanisms with
        # CKR_BUFFER_TOO_SMALL.
        if padding is Padding.PKCS1V15:
            data, mechanism, parameter = digest_info(digest_hash.value, digest), Mechanism.RSA_PKCS, None
        elif padding is Padding.PSS:
            salt = hashlib.new(digest_hash).digest_size
            data, mechanism, parameter = digest, Mechanism.RSA_PKCS_PSS, (*_MECHANISMS[digest_hash], salt)
        else:
            raise errors.Unsupported(number=self._card.number)
        with self._used():
            private = self._key(key, SignMixin)
            return bytes(private.sign(data, mechanism=mechanism, mechanism_param=parameter))

    def decrypt(
        self,
        ciphertext: bytes,
        *,
        key: Key = Key.KEYX,
        digest_hash: Hash = Hash.SHA1,
        padding: Padding = Padding.OAEP,
    ) -> bytes:
        """As CardSession."""
        if padding is Padding.PKCS1V15:
            mechanism, parameter = Mechanism.RSA_PKCS, None
        elif padding is Padding.OAEP:
            mechanism, parameter = Mechanism.RSA_PKCS_OAEP, (*_MECHANISMS[digest_hash], None)
        else:
            raise errors.Unsupported(number=self._card.number)
        with self._used():
            private = self._key(key, DecryptMixin)
            try:
                return bytes(private.decrypt(ciphertext, mechanism=mechanism, mechanism_param=parameter))
            except _NOT_DECRYPTED:
                if self._card.real:
                    _check_presence(self._card)
                # One answer for every reason (and no cause): telling them apart is a padding oracle.
                raise errors.NotDecryptable(number=self._card.number) from None
            except _CANNOT as error:
                if padding is not Padding.OAEP:
                    raise
                scheme = f"RSAES-OAEP, {digest_name(digest_hash)}"
                raise errors.KeyEncryptionUnsupported(number=self._card.number, scheme=scheme) from error

    def _key(self, key: Key, use: type) -> Any:
        """Return a key that may be used so. It is looked for once in a session."""
        if (key, use) not in self._keys:
            self._keys[key, use] = _private_key(self._session, self._card, key, use)
        return self._keys[key, use]

    @contextmanager
    def _used(self) -> Iterator[None]:
        """Translate what a call in the session answers; a login that has ended is not repeated."""
        # First the login: without one no private key is visible, and NoSuchKey would be the wrong answer.
        if not is_logged_in(self._module, self._session.handle):  # type: ignore[attr-defined]  # not in its stub
            raise self._end()
        try:
            yield
        except _ENDED as error:
            raise self._end() from error
        except PKCS11Error as error:
            raise _fault(error, self._card) from error

    def _end(self) -> errors.CardError:
        """Return why the login ended: the card is gone, or only the login."""
        try:
            _token(_library(), self._card)
        except (errors.CardError, PKCS11Error):
            return errors.CardRemoved(number=self._card.number)
        return errors.SessionEnded(number=self._card.number)


# --- the module


def _library() -> Library:
    """Return the loaded and initialised module, as python-pkcs11 keeps it."""
    try:
        path = library_path()
    except FileNotFoundError as error:
        raise errors.NoModule from error
    except ConfigurationError as error:
        raise errors.ModuleFailed(detail=errors.where(error)) from error
    try:
        return pkcs11.lib(str(path))
    except PKCS11Error as error:
        # Some modules cannot initialise without the readers' daemon.
        if loads(path):
            _check_daemon()
        raise module_failure.why(path, _detail(error)) from error


def _check_daemon() -> None:
    """Raise NoReaderDaemon if the daemon does not answer, unless the store has cards of the stand-in."""
    if not _rows():
        with suppress(errors.NoReaderSupport, errors.ReaderFault):
            pcsc.readers()


def _slots(library: Library, *, token_present: bool = False) -> list[Slot]:
    try:
        return list(library.get_slots(token_present=token_present))
    except p11.DeviceError as error:
        # Slots are shown whatever their token answers, unless it is a card of the stand-in without its store.
        raise _store_fault() from error


def _all_tokens(library: Library) -> Iterator[tuple[Token, bool]]:
    """Yield every initialised token, and whether it is a card of this family."""
    labels = (rules.CARD_LABEL, *_configured_labels())
    for slot in _slots(library, token_present=True):
        # The last: what another kind of token calls itself is no UTF-8.
        with suppress(p11.TokenNotPresent, p11.TokenNotRecognised, UnicodeDecodeError):
            token = slot.get_token()
            if token.label.strip("\0\t ") in labels:
                yield token, True
            elif TokenFlag.TOKEN_INITIALIZED in token.flags:
                yield token, _is_recognised(token)


def _tokens(library: Library) -> Iterator[Token]:
    return (token for token, ours in _all_tokens(library) if ours)


def _configured_labels() -> Sequence[str]:
    with _store_errors():
        return card_labels()


_recognised: Final[dict[tuple[str, str, bytes], bool]] = {}
"""Whether tokens of another label are cards, by reader, label and serial number, until the next refresh."""


def _is_recognised(token: Token) -> bool:
    """Tell by its certificates whether a token of another label is an organisation card."""
    key = (token.slot.slot_description, token.label, token.serial)
    if key not in _recognised:
        try:
            # Read-only: other tokens may be write-protected.
            with token.open() as session:
                held = _certificates_in(session, {})
        except PKCS11Error:
            return False
        _recognised[key] = any(
            _ISSUER in each.issuer and (each.id in list(Key) or each.label in _OWN_CERTIFICATES)
            for each in held
            if isinstance(each, Certificate)
        )
    return _recognised[key]


def _name(token: Token) -> str:
    label, reader = token.label.strip("\0\t "), token.slot.slot_description.strip("\0\t ")
    return f"{label} ({reader})"


def _token(library: Library, card: Card) -> Token:
    for token in _tokens(library):
        if _number(token) == card.number:
            return token
    raise errors.CardRemoved(number=card.number)


@contextmanager
def _session(
    library: Library, token: Token, *, pin: Secret | None = None, user_code: Secret | None = None
) -> Iterator[Session]:
    try:
        # Always R/W: no SO can log in while a R/O session is open.
        session = token.open(
            rw=True,
            user_pin=_given(pin),
            so_pin=_given(user_code),
        )
    except PKCS11Error:
        # A login that fails in open() leaves its session open, and nothing else can close it.
        with suppress(PKCS11Error):
            library.reinitialize()
        raise
    try:
        yield session
    finally:
        try:
            session.close()
        except PKCS11Error:
            # Pulled out: the answer, if any, stands. Still there: nobody may stay logged in.
            with suppress(PKCS11Error):
                library.reinitialize()


def _given(secret: Secret | None) -> object | None:
    """Return a secret as python-pkcs11 takes it for a login."""
    if secret is None:
        return None
    return PROTECTED_AUTH if isinstance(secret, TypedAtReader) else secret.reveal()


def _init_pin(session: Session, new: Secret) -> None:
    """Set the PIN in a session of the SO (C_InitPIN)."""
    if isinstance(new, TypedAtReader):
        set_at_reader(library_path(), session.handle, SetAtReader.FIRST)  # type: ignore[attr-defined]  # not in its stub
    else:
        session.init_pin(new.reveal())


def _set_pin(session: Session, old: Secret, new: Secret) -> None:
    """Change the secret of the session's user (C_SetPIN); both values are typed in the same place."""
    if isinstance(old, TypedAtReader) != isinstance(new, TypedAtReader):
        raise p11.ArgumentsBad
    if isinstance(new, TypedAtReader):
        set_at_reader(library_path(), session.handle, SetAtReader.NEXT)  # type: ignore[attr-defined]  # not in its stub
    else:
        session.set_pin(old.reveal(), new.reveal())


# --- what the card holds


def _card(library: Library, token: Token, rows: dict[str, CardRow] | None = None) -> Card:
    number = _number(token)
    held = _certificates(library, token, {Attribute.ID: Key.SIGN.encode()})
    certificate = next((each for each in held if isinstance(each, Certificate)), None)
    pin_min, pin_max = pin_lengths(library_path(), token.slot.slot_id)
    card = Card(
        number=number,
        reader=token.slot.slot_description.strip(),
        model=token.model.strip("\0\t "),
        family=FAMILY,
        state=CardState.ACTIVE if TokenFlag.USER_PIN_INITIALIZED in token.flags else CardState.NOT_ACTIVATED,
        pin_tries=_tries(token.flags, TokenFlag.USER_PIN_FINAL_TRY, TokenFlag.USER_PIN_LOCKED),
        user_code_tries=_tries(token.flags, TokenFlag.SO_PIN_FINAL_TRY, TokenFlag.SO_PIN_LOCKED),
        certificate=certificate,
        pin_to_be_changed=TokenFlag.USER_PIN_TO_BE_CHANGED in token.flags,
        pin_min=pin_min,
        pin_max=pin_max,
        certificate_odd=certificate is None and bool(held),
        pin_count_low=TokenFlag.USER_PIN_COUNT_LOW in token.flags,
        user_code_count_low=TokenFlag.SO_PIN_COUNT_LOW in token.flags,
        has_keypad=TokenFlag.PROTECTED_AUTHENTICATION_PATH in token.flags,
    )
    row = _row(number) if rows is None else rows.get(number)
    if row is None:
        return card
    state = CardState.LAPSED if row.lapsed else CardState.NOT_ACTIVATED
    return replace(
        card,
        state=CardState.ACTIVE if row.activated_at else state,
        pin_tries=row.pin_tries,
        user_code_tries=row.user_code_tries,
        activate_by=row.activate_by,
        days_left=row.days_left,
        real=False,
        has_keypad=False,  # its module takes no secret from a reader
    )


def _number(token: Token) -> str:
    return token.serial.decode("ascii", "replace").strip("\0 ")


def _tries(flags: TokenFlag, final_try: TokenFlag, locked: TokenFlag) -> int | None:
    """Return the tries left as far as CK_TOKEN_INFO.flags tells them (section 3.2); None: unknown."""
    if locked in flags:
        return 0
    return 1 if final_try in flags else None


def _certificates(
    library: Library, token: Token, matching: dict[Attribute, bytes] | None = None
) -> list[Certificate | OddCertificate]:
    with _session(library, token) as session:
        return _certificates_in(session, matching or {})


def _certificates_in(
    session: Session, matching: dict[Attribute, bytes]
) -> list[Certificate | OddCertificate]:
    template = {Attribute.CLASS: ObjectClass.CERTIFICATE, **matching}
    found: list[Certificate] = []
    odd: list[OddCertificate] = []
    for item in list(session.get_objects(template)):
        label = _attribute(item, Attribute.LABEL, "\N{REPLACEMENT CHARACTER}")
        identifier = _attribute(item, Attribute.ID, b"").decode("ascii", "replace")
        der = _attribute(item, Attribute.VALUE, b"")
        try:
            found.append(Certificate.parse(label, identifier, der))
        except ValueError:
            odd.append(OddCertificate(label, identifier, der))
    # First the holder's, the newest if a key has several; then the issuers'.
    own = {each.id: each for each in sorted(found, key=lambda each: each.not_before) if each.id in list(Key)}
    issuers = [each for each in found if each.id not in own]
    return [*sorted(own.values(), key=_label), *sorted(issuers, key=_label), *sorted(odd, key=_label)]


def _attribute(item: Object, attribute: Attribute, otherwise: _T) -> _T:
    """Return an attribute of an object; `otherwise` if the object has none, or it is no text."""
    try:
        value: _T = item[attribute]
    except (p11.AttributeTypeInvalid, p11.AttributeSensitive, UnicodeDecodeError):
        return otherwise
    return value


def _label(certificate: Certificate | OddCertificate) -> str:
    return certificate.label


def _private_key(session: Session, card: Card, key: Key, use: type) -> Any:
    """Return a key that may be used so: python-pkcs11 adds the methods that the key's attributes allow."""
    try:
        private = session.get_key(object_class=ObjectClass.PRIVATE_KEY, id=key.encode())
    except p11.NoSuchKey as error:
        if card.real:
            _check_presence(card)
        raise errors.NoSuchKey(number=card.number, key=key.value) from error
    if not isinstance(private, use):
        raise errors.Unsupported(number=card.number)
    return private


def _row(number: str) -> CardRow | None:
    """Return the card's row in the store; None for a real card, which has none."""
    with _store_errors():
        store = Store()
        return store.card(number) if store.path.exists() else None


def _rows() -> dict[str, CardRow]:
    """Return all rows of the store by card number, read once for many cards."""
    with _store_errors():
        store = Store()
        return {row.number: row for row in store.cards()} if store.path.exists() else {}


# --- return values


@contextmanager
def _means(asked: _Asked, card: Card, token: Token) -> Iterator[None]:
    """Translate the return values that concern a secret; any other passes.

    The last try is spent only if the card that the caller gave shows one try left.
    """
    seen = card.pin_tries if asked is _Asked.PIN else card.user_code_tries
    try:
        with nullcontext() if seen == 1 else kept():
            yield
    except PKCS11Error as error:
        situation = _situation(asked, error, card, token)
        if situation is None:
            raise
        raise situation from error


def _situation(asked: _Asked, error: PKCS11Error, card: Card, token: Token) -> errors.CardError | None:
    number = card.number
    about_pin = asked is _Asked.PIN
    locked = errors.PinLocked if about_pin else errors.UserCodeLocked
    vendor = _UNMAPPED.search(str(error))
    if isinstance(error, p11.PinIncorrect) or vendor:
        # After C_InitPIN too this is the user code: a real card may verify it only then.
        left = int(vendor[1]) if vendor else _tries_left(asked, number, token)
        if left == 0:
            return locked(number=number, just_now=True)
        return errors.WrongPin(tries_left=left) if about_pin else errors.WrongUserCode(tries_left=left)
    if isinstance(error, p11.PinLocked):
        # Only who saw one try left spends it.
        seen = card.pin_tries if about_pin else card.user_code_tries
        return locked(number=number, just_now=seen == 1)
    if isinstance(error, p11.PinExpired) and not card.real:
        return errors.CardLapsed(number=number)
    if isinstance(error, (p11.PinLenRange, p11.PinInvalid, p11.PinTooWeak)):
        if card.real and not about_pin:
            return errors.SecretFormRefused(number=number, shortest=card.pin_min, longest=card.pin_max)
        if asked in (_Asked.USER_CODE, _Asked.NEW_USER_CODE):
            return errors.InvalidUserCode()
        return errors.InvalidPin(shortest=card.pin_min, longest=card.pin_max)
    if isinstance(error, p11.FunctionCancelled):
        return errors.EntryCancelled()
    if isinstance(error, p11.FunctionRejected):
        return errors.LastTryNotConfirmed()
    if isinstance(error, p11.UserPinNotInitialized):
        # Only of the PIN does it say that the card is not activated; activating cannot mend the others.
        return errors.NotActivated(number=number) if about_pin else errors.Unsupported(number=number)
    return None


def _tries_left(asked: _Asked, number: str, token: Token) -> int | None:
    if row := _row(number):
        return row.pin_tries if asked is _Asked.PIN else row.user_code_tries
    with suppress(PKCS11Error):
        flags = token.slot.get_token().flags
        if asked is _Asked.PIN:
            return _tries(flags, TokenFlag.USER_PIN_FINAL_TRY, TokenFlag.USER_PIN_LOCKED)
        return _tries(flags, TokenFlag.SO_PIN_FINAL_TRY, TokenFlag.SO_PIN_LOCKED)
    return None


@contextmanager
def _explained(card: Card | None = None) -> Iterator[None]:
    """Translate every other return value into a situation."""
    try:
        yield
    except PKCS11Error as error:
        raise _fault(error, card) from error
    except UnicodeDecodeError as error:
        raise errors.CardFault(detail=type(error).__name__) from error


def _fault(error: PKCS11Error, card: Card | None) -> errors.CardError:
    if card is None:
        try:
            _check_daemon()
        except errors.CardError as problem:
            return problem
        return errors.CardFault(detail=_detail(error))
    if isinstance(error, _CANNOT) or _CANNOT_IN_WORDS.match(str(error)):
        return errors.Unsupported(number=card.number)
    if not card.real:
        # A card of the stand-in is removed together with its row. While it has one, these two mean the store.
        if _row(card.number) is None:
            return errors.CardRemoved(number=card.number)
        if isinstance(error, (p11.DeviceError, p11.DeviceRemoved)):
            return errors.StoreNotWritable(path=Store().path)
    if isinstance(error, (*_REMOVED, *_UNCLEAR)) and card.real:
        try:
            _check_presence(card)
        except errors.CardError as absence:
            return absence
    if isinstance(error, _REMOVED):
        return errors.CardRemoved(number=card.number)
    return errors.CardFault(detail=_detail(error))


def _check_presence(card: Card) -> None:
    """Look whether a real card is still there, after an answer that may mean that it is not.

    Raises:
        CardRemoved: it is gone, or another one is there.
        NoReaderDaemon: the readers' daemon has ended.
    """
    # The daemon notices a pulled card after a while, and a module only after the daemon.
    end = time.monotonic() + _NOTICED
    while True:
        try:
            _token(_library(), card)
        except (errors.CardError, PKCS11Error):
            _check_daemon()
            raise errors.CardRemoved(number=card.number) from None
        if time.monotonic() > end:
            return
        time.sleep(_NOTICED / 10)


def _store_fault() -> errors.CardError:
    """Look what is wrong with the store when the module answers CKR_DEVICE_ERROR about a slot."""
    with _store_errors():
        store = Store()
        if not store.path.exists() and not store_is_configured():
            return errors.CardFault(detail=p11.DeviceError.__name__)
        store.cards()
    return errors.StoreUnreadable(detail=text("it is busy, or a card is here that it does not know"))


@contextmanager
def _store_errors() -> Iterator[None]:
    try:
        yield
    except ConfigurationError as error:
        raise errors.StoreUnreadable(detail=errors.where(error)) from error
    except OSError as error:
        raise errors.StoreUnreadable(detail=of_the_system(error)) from error
    except StoreError as error:
        raise errors.StoreUnreadable(detail=str(error)) from error


def _detail(error: PKCS11Error) -> str:
    return str(error).removesuffix(_REMARK) or type(error).__name__
