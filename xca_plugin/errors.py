# SPDX-License-Identifier: Apache-2.0
"""The errors: one class for each situation that a person can be in, in families.

Each class has facts, a sentence that says what happened, and a next step, both in English and Traditional
Chinese. The next step names no command and no page: each front end has a table of its own for that
(terminal.next_steps, terminal.exit_statuses; agent.pages.next_steps, agent.component.result_codes).
"""

from collections.abc import Mapping, Sequence
from datetime import date
from enum import Enum, IntEnum, auto
from pathlib import Path
from typing import ClassVar

from pkcs11_shim import ConfigurationError, rules
from xca_common.errors import FileError, XcaError
from xca_common.harmless_text import harmless
from xca_common.i18n import Text
from xca_plugin.i18n import plural, text


class ReturnValue(IntEnum):
    """Return values of PKCS#11 2.40 (section 4.2, pkcs11t.h) that a card or its history can show."""

    CKR_OK = 0x00
    CKR_SLOT_ID_INVALID = 0x03
    CKR_GENERAL_ERROR = 0x05
    CKR_FUNCTION_FAILED = 0x06
    CKR_ARGUMENTS_BAD = 0x07
    CKR_ATTRIBUTE_SENSITIVE = 0x11
    CKR_DEVICE_ERROR = 0x30
    CKR_DEVICE_REMOVED = 0x32
    CKR_ENCRYPTED_DATA_INVALID = 0x40
    CKR_FUNCTION_CANCELED = 0x50
    CKR_FUNCTION_NOT_SUPPORTED = 0x54
    CKR_KEY_HANDLE_INVALID = 0x60
    CKR_OPERATION_NOT_INITIALIZED = 0x91
    CKR_PIN_INCORRECT = 0xA0
    CKR_PIN_INVALID = 0xA1
    CKR_PIN_LEN_RANGE = 0xA2
    CKR_PIN_EXPIRED = 0xA3
    CKR_PIN_LOCKED = 0xA4
    CKR_SESSION_HANDLE_INVALID = 0xB3
    CKR_SESSION_READ_ONLY = 0xB5
    CKR_SESSION_READ_ONLY_EXISTS = 0xB7
    CKR_SIGNATURE_INVALID = 0xC0
    CKR_TOKEN_NOT_PRESENT = 0xE0
    CKR_USER_ALREADY_LOGGED_IN = 0x100
    CKR_USER_NOT_LOGGED_IN = 0x101
    CKR_USER_PIN_NOT_INITIALIZED = 0x102
    CKR_USER_TYPE_INVALID = 0x103
    CKR_USER_ANOTHER_ALREADY_LOGGED_IN = 0x104
    CKR_CRYPTOKI_NOT_INITIALIZED = 0x190
    CKR_FUNCTION_REJECTED = 0x200


class CardError(XcaError):
    """Something about a card, its reader or its module.

    Attributes:
        return_value: the PKCS#11 return value behind it, None when no card was asked.
        needs_issuer: only the issuer can help; a front end shows how to reach it (Card.issuer).
    """

    return_value: ClassVar[ReturnValue | None] = None
    needs_issuer: ClassVar[bool] = False


class CmsError(XcaError):
    """Something about a signed or encrypted file, or about a certificate or a CRL that is given with it."""


class ToolError(XcaError):
    """Something about a tool that is to use the module."""


class AgentError(XcaError):
    """Something about the local agent."""


class CentreError(XcaError):
    """Something about the centre that issued a card."""


def where(error: ConfigurationError) -> Text:
    """Name the line of a configuration that is not understood, without its text, which may be a secret."""
    if error.line is None:
        return text("{path} is not UTF-8 text with one value a line").format(path=error.path)
    return text("line {line} of {path} is not understood").format(line=error.line, path=error.path)


# --- the module, the store, the plugins


class NoModule(CardError):
    """There is no PKCS#11 module: neither the project's own nor a card's, named in the configuration."""

    _message = text(
        "There is no PKCS#11 module: xca-pkcs11.so is not installed, and no configuration names the card's."
    )
    _next_step = text(
        "On Linux, install xca-plugin again with its module; on other systems, name the card's module in "
        "pkcs11.conf."
    )


class ModuleFailed(CardError):
    """The PKCS#11 module, or the one that it wraps, does not load."""

    detail: Text | str
    return_value = ReturnValue.CKR_GENERAL_ERROR
    _message = text("The PKCS#11 module does not load: {detail}.")
    _next_step = text(
        "Check its configuration (XCA_PKCS11_CONF names the file) and that the module named there exists."
    )


class NotConfigured(CardError):
    """No configuration names the card's own PKCS#11 module."""

    return_value = ReturnValue.CKR_GENERAL_ERROR
    _message = text("Nothing is set up yet: no configuration names the card's PKCS#11 module.")
    _next_step = text("Write a configuration for your card, or enter the environment of a test card.")


class NoCardModule(CardError):
    """No PKCS#11 module for a real card was found."""

    name: str
    _message = text("No PKCS#11 module for the card was found, such as {name}.")
    _next_step = text("Install the software that the issuer gives out for the card, or name the module.")


class StoreUnreadable(CardError):
    """The card store cannot be read."""

    detail: Text | str
    return_value = ReturnValue.CKR_DEVICE_ERROR
    _message = text("The card store cannot be read: {detail}.")
    _next_step = text("Check the file, and who may read it. No try was spent. Then repeat what you did.")


class StoreNotWritable(CardError):
    """The card store cannot be written."""

    path: str | Path
    return_value = ReturnValue.CKR_DEVICE_ERROR
    _message = text("The card store could not be written, or another program held it too long: {path}.")
    _next_step = text(
        "Make room on the disk if it is full, and check who may write the file and its folder. The card may "
        "have changed all the same: look at it before you repeat what you did."
    )


class PluginFailed(CardError):
    """A plugin cannot be loaded."""

    detail: Text | str
    name: str
    _message = text("The plugin {name} cannot be loaded: {detail}.")
    _next_step = text("Repair that plugin, or uninstall the package that brings it.")


class PluginMisbehaved(CardError):
    """A plugin failed, or answered a hook with something else than the hook says.

    Attributes:
        name: the plugin's.
        hook: what it was asked.
    """

    detail: Text | str
    hook: str
    name: str
    _message = text("The plugin {name} did not do what it was asked ({hook}): {detail}.")
    _next_step = text(
        "What it answered was not used. Look at the card before you repeat what you did. "
        "Repair that plugin, or uninstall the package that brings it."
    )


# --- what a person gives


class OutputExists(FileError):
    """A result would take the place of a file that is there, and nobody said that it may.

    Attributes:
        was_declined: a person answered that it may not.
    """

    path: Text | str | Path
    was_declined: bool = False
    _message = text("The file {path} is there already; it was left as it is.")
    _next_step = text("Choose another name, or say that it may be replaced.")


class SecretMissing(XcaError):
    """A PIN or user code is needed, and there is neither a terminal to ask at nor a usable source."""

    detail: Text | str
    option: str
    _message = text("No value for {option}: {detail}.")
    _next_step = text("Enter it, or say where it can be read.")


# --- which card


class NoReader(CardError):
    """There is no card reader."""

    _message = text("There is no card reader.")
    _next_step = text("Connect the reader, make sure that it works, and detect the cards again.")


class NoCard(CardError):
    """No card is in any reader, or none that is recognised as an organisation card.

    Attributes:
        found: names of what is there instead, each with its reader.
    """

    found: Sequence[str] = ()
    return_value = ReturnValue.CKR_TOKEN_NOT_PRESENT
    _message = text("There is no card in the reader.")
    _message_found: ClassVar[Text] = text(
        "No organisation card is recognised. What is here: {found}. If that is the card, add its name to the "
        "module's configuration: [module] label = NAME"
    )
    _next_step = text("Insert the card the right way round and detect the cards again.")

    def message(self, language: str | None = None) -> str:
        """Return what happened, and what is there instead."""
        if not self.found:
            return super().message(language)
        return self._message_found.format(**self.facts())(language)


class CardNotFound(CardError):
    """The card that was named is not there."""

    number: str
    return_value = ReturnValue.CKR_TOKEN_NOT_PRESENT
    _message = text("The card {number} is not here.")
    _next_step = text("Insert the card again, or choose another one.")


class SeveralCards(CardError):
    """There are several cards and none was named."""

    numbers: Sequence[str]
    _message = text("There are several cards: {numbers}.")
    _next_step = text("Name the one that you mean.")


class CardRemoved(CardError):
    """The card was pulled out."""

    number: str
    return_value = ReturnValue.CKR_DEVICE_REMOVED
    _message = text("The card {number} was removed.")
    _next_step = text("Insert the card again, and repeat what you did.")


class RemovedBeforeProof(CardRemoved):
    """The card was pulled out after it took the new PIN, and before a login proved that PIN."""

    number: str
    _message = text(
        "The card {number} took the new PIN, and was removed before a login with the PIN could prove it."
    )
    _next_step = text("Do not set the PIN again. Insert the card and try the new PIN.")


class CardFault(CardError):
    """The card, its reader or its module answered with an error that no other class stands for."""

    detail: Text | str
    return_value = ReturnValue.CKR_FUNCTION_FAILED
    _message = text("The card or its reader answered with an error: {detail}.")
    _next_step = text("Look at the card before you do it again.")


class Unsupported(CardError):
    """Neither the card nor a plugin can do this."""

    number: str
    return_value = ReturnValue.CKR_FUNCTION_NOT_SUPPORTED
    _message = text("The card {number} cannot do this.")
    _next_step = text("If it is another kind of card, install the plugin for it.")


class KeyEncryptionUnsupported(Unsupported):
    """A content key was encrypted in a way that the card cannot undo."""

    number: str
    scheme: Text | str
    _message = text("The card {number} cannot open a key that was encrypted with {scheme}.")
    _next_step = text(
        "Ask the sender to encrypt the key with RSAES-PKCS1-v1_5 (RSA PKCS #1 v1.5), which every card opens."
    )


# --- the card's state


class NotActivated(CardError):
    """The card has no PIN yet (未開卡)."""

    number: str
    return_value = ReturnValue.CKR_USER_PIN_NOT_INITIALIZED
    _message = text("The card {number} is not activated yet.")
    _next_step = text("Activate it with the user code.")


class AlreadyActive(CardError):
    """The card is activated already (已開卡)."""

    number: str
    _message = text("The card {number} is activated already.")
    _next_step = text("Change its PIN. If the PIN is forgotten or locked, reset it with the user code.")


class CardLapsed(CardError):
    """The card was not activated within its 90 days."""

    number: str
    return_value = ReturnValue.CKR_PIN_EXPIRED
    needs_issuer = True
    _message = text(
        "The card {number} was not activated within 90 days of its issue; "
        "its certificate is revoked because of that."
    )
    _next_step = text("Ask the issuer for a new card.")


# --- PIN and user code


class _WrongSecret(CardError):
    """A wrong value that costs a try.

    Attributes:
        tries_left: wrong values left before it locks, None when the card does not say.
    """

    tries_left: int | None
    return_value = ReturnValue.CKR_PIN_INCORRECT
    _message_unknown: ClassVar[Text]

    def message(self, language: str | None = None) -> str:
        """Return what happened; how many tries are left only where the card says it."""
        return super().message(language) if self.tries_left is not None else self._message_unknown(language)


class WrongUserCode(_WrongSecret):
    """The user code is wrong."""

    _message = plural(
        "The user code is wrong. {tries_left} try is left.",
        "The user code is wrong. {tries_left} tries are left.",
        "tries_left",
    )
    _message_unknown = text("The user code is wrong. The card does not say how many tries are left.")
    _next_step = text(
        "It is the code chosen when the card was applied for; upper and lower case differ. "
        "If it is forgotten, have it reset (用戶代碼重設) before the last try is gone."
    )


class UserCodeLocked(CardError):
    """The user code is locked after too many wrong ones.

    Attributes:
        just_now: the value that was tried locked it.
    """

    number: str
    just_now: bool = False
    return_value = ReturnValue.CKR_PIN_LOCKED
    needs_issuer = True
    _message = text("The user code of the card {number} is locked.")
    _next_step = text("Have the user code reset (用戶代碼重設) by the issuer, then use the new one.")

    def message(self, language: str | None = None) -> str:
        """Return what happened."""
        if self.just_now:
            said = text("The user code is wrong, and that of the card {number} is locked now.")
            return said.format(number=self.number)(language)
        return super().message(language)


class WrongPin(_WrongSecret):
    """The PIN is wrong."""

    _message = plural(
        "The PIN is wrong. {tries_left} try is left.",
        "The PIN is wrong. {tries_left} tries are left.",
        "tries_left",
    )
    _message_unknown = text("The PIN is wrong. The card does not say how many tries are left.")
    _next_step = text("If the PIN is forgotten, reset it with the user code.")


class PinLocked(CardError):
    """The PIN is locked after too many wrong PINs (鎖卡).

    Attributes:
        just_now: the value that was tried locked it.
    """

    number: str
    just_now: bool = False
    return_value = ReturnValue.CKR_PIN_LOCKED
    _message = text("The PIN of the card {number} is locked.")
    _next_step = text("Unlock it and set a new PIN with the user code.")

    def message(self, language: str | None = None) -> str:
        """Return what happened."""
        if self.just_now:
            said = text("The PIN is wrong, and that of the card {number} is locked now.")
            return said.format(number=self.number)(language)
        return super().message(language)


class EntryCancelled(CardError):
    """A PIN or user code was not typed at the keypad of the card reader."""

    return_value = ReturnValue.CKR_FUNCTION_CANCELED
    _message = text("The entry at the card reader was cancelled, or took too long.")
    _next_step = text("Nothing was tried with that entry. Look at the card, and do it again.")


class InvalidUserCode(CardError):
    """The user code has a form that no user code has; no try was spent."""

    shortest: int = rules.USER_CODE_MIN
    longest: int = rules.USER_CODE_MAX
    return_value = ReturnValue.CKR_PIN_LEN_RANGE
    _message = text(
        "A user code has {shortest} to {longest} characters: letters, digits and ASCII signs, no blanks."
    )
    _next_step = text("No try was spent. Enter it again.")


class InvalidPin(CardError):
    """The PIN has a form that no PIN has; no try was spent."""

    shortest: int = rules.PIN_MIN
    longest: int = rules.PIN_MAX
    return_value = ReturnValue.CKR_PIN_LEN_RANGE
    _message = text(
        "A PIN has {shortest} to {longest} characters: letters, digits and ASCII signs, no blanks."
    )
    _next_step = text("No try was spent. Enter it again.")


class SecretFormRefused(CardError):
    """A real card refused the length or the characters of the user code or of the new PIN.

    Many cards look at the user code only when the new PIN is set; their answer does not tell which is meant.

    Attributes:
        shortest: fewest characters of a PIN, as the card reports.
        longest: most characters of a PIN, as the card reports.
    """

    number: str
    shortest: int
    longest: int
    return_value = ReturnValue.CKR_PIN_LEN_RANGE
    _message = text(
        "The card {number} does not take the length or the characters of the user code or of the new one. "
        "It says that its PINs have {shortest} to {longest} characters; it may mean the user code."
    )
    _next_step = text(
        "Look at the card: the user code may have lost a try. Check both values before you go on."
    )


class SecretWiped(CardError):
    """A PIN or user code was wiped from memory before an operation that needs it; no try was spent."""

    secret: Text | str
    _message = text("The {secret} was wiped from memory already. Nothing was tried.")
    _next_step = text(
        "Enter it again for this operation. For several operations with one login, use a session."
    )


class PinRefused(CardError):
    """A plugin objects to the new PIN.

    Attributes:
        reasons: why, one sentence a plugin.
    """

    reasons: Sequence[Text | str]
    _message = text("The new PIN is refused.")
    _next_step = text("Choose another PIN. Nothing was changed and no try was spent.")

    def message(self, language: str | None = None) -> str:
        """Say what happened and every reason; a plugin's plain string is the same in all languages."""
        said = super().message(language)
        for reason in self.reasons:
            more = reason(language) if isinstance(reason, Text) else harmless(reason)
            said = text("{sentence} {reason}").format(sentence=said, reason=more)(language)
        return said


class UserCodeUnchanged(CardError):
    """The new user code is the old one."""

    _message = text("The new user code is the old one.")
    _next_step = text("Choose another user code. Nothing was changed and no try was spent.")


class SessionEnded(CardError):
    """A login that was to last for several operations has ended too early."""

    number: str
    return_value = ReturnValue.CKR_USER_NOT_LOGGED_IN
    _message = text("The login to the card {number} has ended too early.")
    _next_step = text("What was done before is finished. Enter the PIN again for the rest.")


class PinNotProved(CardError):
    """The card took the new PIN, but a login with it failed."""

    number: str
    _message = text("The card {number} took the new PIN, but did not accept it at the login that proves it.")
    _next_step = text("Look at the card, then reset the PIN with the user code.")


class LastTryNotConfirmed(CardError):
    """Only one try is left and nobody said to risk it."""

    return_value = ReturnValue.CKR_FUNCTION_REJECTED
    _message = text("Only one try is left. Nothing was tried.")
    _next_step = text("If you are sure of the value, type the words that confirm the last try.")


class NotAgreed(CardError):
    """Consent was asked for and not given.

    Attributes:
        was_declined: a person answered no.
    """

    was_declined: bool = False
    _message = text("You did not agree. Nothing was done.")
    _next_step = text("Agree to it if you want to go on.")


# --- certificates, keys, signatures, files


class NoSuchCertificate(CardError):
    """The card has no such certificate."""

    label: str
    number: str
    _message = text("The card {number} has no certificate {label}.")
    _next_step = text("Look which certificates the card has.")


class NoSuchKey(CardError):
    """The card has no such private key."""

    key: Text | str
    number: str
    return_value = ReturnValue.CKR_KEY_HANDLE_INVALID
    _message = text("The card {number} has no private key {key}.")
    _next_step = text("Check that it is the right card.")


class NotDecryptable(CardError):
    """The data is not something that the card's key can decrypt."""

    number: str
    return_value = ReturnValue.CKR_ENCRYPTED_DATA_INVALID
    _message = text(
        "The card {number} cannot decrypt this data: it was altered or damaged on its way, or encrypted to "
        "another key."
    )
    _next_step = text(
        "Nothing of it was given out. Ask the sender to send it again, encrypted to this card's certificate "
        "cert2."
    )


class KeyStaysOnCard(CardError):
    """A private key was asked for as numbers, in a file or as a copy; it never leaves its card."""

    number: str
    return_value = ReturnValue.CKR_ATTRIBUTE_SENSITIVE
    _message = text("A private key never leaves the card {number}.")
    _next_step = text("Sign or decrypt with it where the card is, or use a key that was made elsewhere.")


class CertificateExpired(CardError):
    """The signing certificate is no longer valid."""

    day: date
    number: str
    needs_issuer = True
    _message = text(
        "The certificate of the card {number} expired on {day}; no signature made with it would be valid."
    )
    _next_step = text("Ask the issuer for a new card.")


class CertificateNotYetValid(CardError):
    """The signing certificate is not valid yet, or the clock is wrong."""

    day: date
    number: str
    _message = text(
        "The certificate of the card {number} is not valid before {day}; no signature made now would be."
    )
    _next_step = text("Set the computer's clock and its time zone.")


class NotACertificate(CmsError):
    """A file that should hold certificates does not."""

    path: str | Path
    detail: Text | str
    _message = text("{path} holds no certificate that can be used: {detail}.")
    _next_step = text("Give a certificate in DER, PEM or PKCS #7 (.cer, .crt, .pem, .p7b).")


class NotAnAuthority(CmsError):
    """Of the certificates that were given as those to trust, none is that of a CA.

    Attributes:
        holder: whose certificate the first of them is.
    """

    path: str | Path
    holder: str
    _message = text(
        "{path} holds the certificate of {holder}, which is not that of a CA. To trust it would prove "
        "nothing about who issued it."
    )
    _next_step = text("Give the root certificate of the CA that issued the signer's certificate.")


class PdfNotSigned(CmsError):
    """A PDF file cannot be signed."""

    path: str | Path
    detail: Text | str
    _message = text("{path} cannot be signed: {detail}.")
    _next_step = text("Nothing was written. Correct that, then do it again.")


class NotToBeSigned(CmsError):
    """Data would be signed that a signature gives another meaning than the signer sees."""

    reason: Text | str
    _message = text("This is not signed: {reason}.")
    _next_step = text("Nothing was signed. If somebody asked you to sign it, ask them what it is for.")


class Mistake(Enum):
    """What was probably given in place of a signature, or beside it."""

    EXCHANGED = auto()
    """The signature as the file, and the file as its signature."""
    WITHOUT_FILE = auto()
    """A detached signature without its file."""
    WITH_FILE = auto()
    """A signature that holds its content, and a file."""
    WITHOUT_SIGNATURE = auto()
    """A file whose signature is probably the file beside it."""
    UNSIGNED_PDF = auto()
    SIGNED_PDF_BESIDE = auto()
    """A PDF without a signature; the PDF beside it has one."""
    BARE = auto()
    """A bare signature (RFC 8017), which names no signer."""
    ENCRYPTED = auto()
    """An encrypted file."""


class NotASignature(CmsError):
    """A file that should hold a CMS signature does not.

    Attributes:
        mistake: what was probably given; None: that is not known.
        file: the other file that was given, or that probably belongs to it; None: there is none.
    """

    path: str | Path
    detail: Text
    mistake: Mistake | None = None
    file: str | Path | None = None
    _message = text("{path} holds no CMS signature that can be verified: {detail}.")
    _next_step = text("Give a detached signature together with its file; one that holds its content, alone.")
    _after: ClassVar[Mapping[Mistake | None, Text]] = {
        Mistake.EXCHANGED: text(
            "The two files are exchanged: give the signed file first, then its signature."
        ),
        Mistake.WITHOUT_FILE: text("Give the signed file as well."),
        Mistake.WITH_FILE: text("Give it alone: it holds what was signed."),
        Mistake.WITHOUT_SIGNATURE: text("Give its signature as well."),
        Mistake.UNSIGNED_PDF: text(
            "If its signature is a file of its own, give that as well. Otherwise ask the sender for a signed "
            "one."
        ),
        Mistake.SIGNED_PDF_BESIDE: text("The PDF beside it is signed: perhaps you mean that one."),
        Mistake.ENCRYPTED: text("Decrypt it first, and verify what comes out."),
        Mistake.BARE: text(
            "It seems to be a bare signature, which does not say who signed. Ask the sender for one in CMS "
            "(.p7s)."
        ),
    }

    def next_step(self, language: str | None = None) -> str:
        """Return what to do next, as it fits what was given."""
        after = self._after.get(self.mistake)
        return after(language) if after else super().next_step(language)


class SignatureNotValid(CmsError):
    """A signature does not hold."""

    reason: Text | str
    _message = text("The signature is NOT valid: {reason}")
    _next_step = text("Do not rely on this file. Ask the sender for it and its signature again.")


class Undecided(CmsError):
    """A signature that can be called neither valid nor not valid."""

    reason: Text | str


_UNDECIDED = text("It cannot be told whether the signature is valid: {reason}")


class ChainIncomplete(Undecided):
    """A signature cannot be judged: a certificate between the signer's and a trusted one is missing."""

    _message = _UNDECIDED
    _next_step = text(
        "Give the missing certificate: the signer has it, and its CA publishes it. "
        "Until then, do not rely on the file."
    )


class RevocationUnknown(Undecided):
    """A signature cannot be judged: it is not known whether a certificate of its chain is revoked."""

    _message = _UNDECIDED
    _next_step = text(
        "Give a current CRL or OCSP response of the CA, have it asked, or ask again later. "
        "Until then, do not rely on the file."
    )


class NoTimeStamp(CmsError):
    """A time-stamping authority gave no time-stamp that can be used."""

    address: str
    detail: Text | str
    _message = text("There is no time-stamp from {address}: {detail}.")
    _next_step = text(
        "Check the address, then sign again. No signature was written. The PIN was right: no try was spent."
    )


class NoReport(CmsError):
    """The report of a verification cannot be made in this form."""

    path: str | Path
    detail: Text | str
    _message = text("The report {path} cannot be made: {detail}.")
    _next_step = text("Install what is missing, or have the report in HTML: a name that ends in .html.")


class NotEncrypted(CmsError):
    """A file that should hold CMS encrypted data does not.

    Attributes:
        is_signature: it is a CMS signature.
    """

    path: str | Path
    detail: Text
    is_signature: bool = False
    _message = text("{path} holds no CMS encrypted data that can be opened: {detail}.")
    _next_step = text("Give a file that was encrypted to the certificate of a card.")


class NotForThisCard(CmsError):
    """Encrypted data is for other recipients.

    Attributes:
        recipients: who they are: a card that is here, and certificates as the data names them.
    """

    number: str
    path: str | Path
    recipients: Sequence[Text | str]
    _message = text("{path} is not encrypted to the card {number}, but to: {recipients}.")
    _next_step = text(
        "Use the card that it is meant for, or ask for it encrypted to this card's certificate cert2."
    )


class NotForEncryption(CmsError):
    """A certificate cannot be encrypted to."""

    path: str | Path
    reason: Text | str
    _message = text("Nothing was encrypted to what is in {path}: {reason}")
    _next_step = text("Ask the recipient for the current certificate for encryption.")


class CutOff(CmsError):
    """A file ends before the CMS structure in it does.

    Attributes:
        is_empty: there is nothing in it.
    """

    path: str | Path
    is_empty: bool = False
    _message = text("The file {path} is cut off: it ends too early.")
    _next_step = text("Copy or download it again, whole.")

    def message(self, language: str | None = None) -> str:
        """Return what happened."""
        if self.is_empty:
            return text("The file {path} is empty.").format(path=self.path)(language)
        return super().message(language)

    def next_step(self, language: str | None = None) -> str:
        """Return what to do next."""
        if self.is_empty and self.own_step is None:
            return text("Check that it is the right file. If it is, copy or download it again.")(language)
        return super().next_step(language)


class TooMuch(CmsError):
    """A file holds more than is read."""

    detail: Text | str
    path: str | Path
    _message = text("{path} is not read to its end: {detail}.")
    _next_step = text(
        "No program writes such a file for an ordinary purpose: do not rely on it. "
        "Ask the sender for another one."
    )


class NotRevocationData(CmsError):
    """A file that should hold a CRL or an OCSP response does not."""

    path: str | Path
    detail: Text | str
    _message = text("{path} holds no CRL or OCSP response of the kind that was asked for: {detail}.")
    _next_step = text("Give CRLs in DER or PEM, successful OCSP responses in DER.")


# --- sealed bids


class NotOfTheSite(CmsError):
    """A file is not a notice or a receipt that the site of a tender signed."""

    path: str | Path
    detail: Text | str
    _message = text("{path} is not what the site of the tender signed: {detail}.")
    _next_step = text("Get it again from the site, with the certificate with which the site signs.")


class NotABid(CmsError):
    """A file that should be a sealed bid is none."""

    path: str | Path
    detail: Text | str
    _message = text("{path} is no sealed bid: {detail}.")
    _next_step = text("Get it again as it was submitted.")


class BidForOthers(CmsError):
    """A bid is sealed to other cards than those that the notice names."""

    path: str | Path
    _message = text("{path} is not sealed to the cards that the notice names.")
    _next_step = text("Seal the bid again with the current notice. Nobody else has to open it.")


class OtherBidThanReceived(CmsError):
    """A sealed bid is not the one that a receipt is of."""

    path: str | Path
    _message = text("{path} is not the bid that the receipt is of.")
    _next_step = text(
        "Check that both are the right files. If they are, tell the site: one of them was changed."
    )


class OtherBidKey(CmsError):
    """A bid opens with another key than the one that it was submitted with."""

    path: str | Path
    _message = text("{path} opens with another key than the one that it was submitted with.")
    _next_step = text(
        "Nothing was written: such a bid could be opened to two contents. List it as one that cannot be "
        "opened."
    )


class BidContradicts(CmsError):
    """What a bid holds is not the bid that was submitted."""

    path: str | Path
    reason: Text | str
    _message = text("What {path} holds is not the bid that was submitted: {reason}.")
    _next_step = text("Nothing was written. List it as one that cannot be opened, with this reason.")


class BidFileRefused(CmsError):
    """A file cannot be part of a bid."""

    path: str | Path
    reason: Text | str
    _message = text("The file {path} cannot be part of a bid: {reason}.")
    _next_step = text("Give the file another name, then do it again. Nothing was signed.")


class NotABidder(CmsError):
    """A card's certificate names no organisation, so that nobody would know whose bid it is."""

    number: str
    _message = text("The certificate of the card {number} names no organisation that could bid.")
    _next_step = text("Use the card of the organisation that bids.")


class DeadlinePassed(CmsError):
    """The deadline of a tender has passed."""

    deadline: str
    _message = text("The deadline of the tender was {deadline}: a bid would be late.")
    _next_step = text("If the clock of this computer is wrong, set it. Otherwise ask whose tender it is.")


class OpeningClosed(CmsError):
    """Bids are not opened now."""

    opens_from: str
    opens_until: str
    _message = text("The bids of the tender are opened from {opens_from} to {opens_until}, not now.")
    _next_step = text("Wait until then. If the clock of this computer is wrong, set it.")


class BidTooLate(CmsError):
    """A bid came after the deadline of its tender."""

    path: str | Path
    ended: str
    deadline: str
    _message = text("{path} came at {ended}, after the deadline ({deadline}). It was not opened.")
    _next_step = text("List it as one that came too late.")


class NotARehearsal(CmsError):
    """What was opened for a rehearsal is none of the site's."""

    path: str | Path
    detail: Text | str
    _message = text("{path} is no rehearsal for this site: {detail}.")
    _next_step = text("Give nobody what it holds. Get another one from the site of the tender.")


# --- other people's tools


class ToolNotInstalled(ToolError):
    """A tool is not on this machine, or lacks what it needs for the module."""

    detail: Text | str
    name: str
    _message = text("{name} cannot use the module here.")
    _next_step = text("First: {detail}. Then do it again.")


class NotEditable(ToolError):
    """A tool's file is not one that lines can be put into."""

    detail: Text | str
    path: str | Path
    _message = text("{path} cannot be changed safely: {detail}.")
    _next_step = text("Nothing was changed. Repair the file or move it away, then do it again.")


class EditedByHand(ToolError):
    """The lines that were put into a tool's file are no longer what they were."""

    name: str
    path: str | Path
    _message = text("The lines that were put into {path} were changed by hand.")
    _next_step = text(
        "Nothing was changed. Take the lines out yourself, with the comments around them, then do it again."
    )


class OtherInstallation(ToolError):
    """The lines in a tool's file name the module of another installation, which is there.

    Attributes:
        name: the tool.
        path: its file.
        module: the other installation's module.
    """

    name: str
    path: str | Path
    module: str | Path
    _message = text(
        "The lines in {path} belong to another installation of xca-plugin, whose module is {module}."
    )
    _next_step = text(
        "They were kept. Undo the registration with that installation, or have this one take them over."
    )


class ToolInUse(ToolError):
    """A program has the database open that is to be changed."""

    detail: Text | str
    path: str | Path
    _message = text("{detail} is using {path}.")
    _next_step = text("Close that program, then do it again. Nothing was changed.")


class WrongArchitecture(ToolError):
    """A tool and the module are for different machines."""

    detail: Text | str
    _message = text("The architectures differ. {detail}")
    _next_step = text("Choose a tool that can load the module. Nothing was changed.")


class NoUsableProfile(ToolError):
    """A browser has no profile outside a sandbox yet."""

    name: str
    _message = text("{name} has no profile yet that could load the module.")
    _next_step = text("Start the browser once and close it, then do it again; not a snap or flatpak.")


class CardNotSeen(ToolError):
    """Some tools do not see the card."""

    names: Sequence[str]
    _message = text("The card cannot be seen through these tools: {names}.")
    _next_step = text(
        "Read what is shown for each tool. Register those that are not registered, or out of date."
    )


# --- the centre


class BadCentreConfiguration(CentreError):
    """A file that says which centre there is, or one that it names, cannot be used."""

    detail: Text | str
    path: str | Path
    _message = text("The file {path} cannot be used: {detail}.")
    _next_step = text("Correct it as docs/cli.md describes, then do it again.")


class NoCentre(CentreError):
    """No centre is configured that issued the card."""

    number: str
    _message = text("No centre is configured that issued the card {number}, so nobody can be told.")
    _next_step = text("Name the centre in centre.conf, as docs/cli.md describes.")


class TicketRefused(CentreError):
    """A card does not take a ticket of the centre."""

    detail: Text | str
    number: str
    _message = text("The card {number} does not take the ticket (授權票): {detail}.")
    _next_step = text("Get another ticket from the centre that issued the card (用戶代碼重設).")


class NotATicket(CentreError):
    """What should be a ticket of the centre is something else."""

    path: str | Path
    _message = text("{path} is no ticket (授權票).")
    _next_step = text("Choose the file that the centre gave out, user-code.ticket.")


class AcceptanceKept(CentreError):
    """An acceptance is signed, and the centre did not take it yet."""

    detail: Text | str
    number: str
    _message = text(
        "The acceptance for the card {number} is signed and kept; the centre did not take it yet: {detail}."
    )
    _next_step = text(
        "It is sent again while the agent runs, and from the command line. It counts when it arrives: that "
        "must be before the last day to activate the card ends."
    )


class AcceptanceRefused(CentreError):
    """The centre refuses an acceptance for good."""

    detail: Text | str
    number: str
    _message = text("The centre does not accept the certificates of the card {number}: {detail}")
    _next_step = text("Ask the centre, and tell it the card number and this sentence.")


# --- card readers, and a look at everything


class NoReaderSupport(CardError):
    """The extra package that looks at card readers is not installed."""

    _message = text("The card readers cannot be checked: the extra xca-plugin[pcsc] is not installed.")
    _next_step = text("Install that extra.")


class NoReaderDaemon(CardError):
    """The card readers' daemon does not answer: it is not running, or polkit keeps it from this user."""

    _message = text("The daemon of the card readers, pcscd, does not answer.")
    _next_step = text(
        "Install it and start it. If it runs, polkit serves only who sits at this computer (not over ssh): "
        "an administrator allows others the actions org.debian.pcsc-lite.access_pcsc and access_card."
    )


class ReaderFault(CardError):
    """The card readers' daemon or a reader failed in a way that no other class stands for."""

    detail: Text | str
    _message = text("The card readers cannot be checked: {detail}.")
    _next_step = text("Disconnect the reader, start its daemon again, and connect it.")


class CardMute(CardError):
    """A card is in a reader and does not answer."""

    name: str
    _message = text("The card in the reader {name} does not answer.")
    _next_step = text(
        "It is probably upside down: pull it out, turn it over and insert it again, the chip first. "
        "If that does not help, wipe the chip with a dry cloth, or try another reader."
    )


class NotInOrder(XcaError):
    """A check failed: not all is in order."""

    detail: Text | str
    _message = text("Not all is in order: {detail}.")
    _next_step = text("Follow the advice at each check that failed, then check again.")


# --- the agent


class AgentNotInstalled(AgentError):
    """A package that only the agent needs is missing."""

    name: str
    _message = text("The agent needs Python packages that are not installed: {name}.")
    _next_step = text("Install them.")


class PortTaken(AgentError):
    """Another program listens on the agent's port."""

    holder: Text | str
    port: int
    _message = text("The port {port} is taken by {holder}.")
    _next_step = text(
        "End that program (another agent, or the closed component that this one replaces), "
        "then start the agent."
    )


class BadAgentConfiguration(AgentError):
    """A file of the agent's configuration cannot be used."""

    detail: Text | str
    path: str | Path
    _message = text("The file {path} cannot be used: {detail}.")
    _next_step = text("Correct it as docs/agent.md describes, then start the agent.")


class CardWorkerBusy(AgentError):
    """A card operation of the agent did not end in time."""

    _message = text("The card did not answer in time, or others use it.")
    _next_step = text("Look at the card before you repeat it: the operation may have been done.")


class ServiceFailed(AgentError):
    """The agent cannot be set up to start by itself, or no longer to."""

    command: str
    detail: Text | str
    _message = text("The command failed: {command}: {detail}")
    _next_step = text("Correct what it reports, then do it again.")


class AgentNotRunning(AgentError):
    """No agent answers on the port."""

    port: int
    _message = text("The agent is not running: no program listens on the port {port}.")
    _next_step = text("Start it.")


class AgentNotStopped(AgentError):
    """The agent was told to end and did not in time.

    Attributes:
        pid: the number of its process.
    """

    port: int
    pid: int
    _message = text("The agent on the port {port} (process {pid}) was told to end, and still runs.")
    _next_step = text("It may still use a card: wait a moment. Then tell it once more to end.")
