# SPDX-License-Identifier: Apache-2.0
"""Next steps after an error or for a card, with the commands of xcactl for them."""

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import click

from xca_common.errors import XcaError
from xca_common.extras import install_command
from xca_common.i18n import Text
from xca_plugin import card_text, errors
from xca_plugin.action import Action, next_action
from xca_plugin.cards import Cards
from xca_plugin.errors import OutputExists, SecretMissing
from xca_plugin.i18n import _, text
from xca_plugin.model import Card, CardState, CertificateState, CertificateStatus
from xca_plugin.terminal.card_choice import chosen_among_several

NEXT_STEPS: Final[Mapping[type[XcaError], Text]] = {
    SecretMissing: text(
        "Run it in a terminal to be asked, or name a source: {option} env:NAME, file:PATH, fd:NUMBER or stdin"
    ),
    OutputExists: text("Choose another name, or repeat the command with --force to replace it."),
    errors.NotConfigured: text(
        "For a real card: xcactl setup. For a test card: softhsm-card init, softhsm-card issue, then "
        'eval "$(softhsm-card env)". What is missing: xcactl doctor'
    ),
    errors.ModuleFailed: text(
        "Check the configuration (XCA_PKCS11_CONF names the file) and the module in it: xcactl doctor. "
        "A new one for a real card: xcactl setup"
    ),
    errors.NoCardModule: text(
        "Install the software that the issuer gives out for the card, or name the module: "
        "xcactl setup --module PATH"
    ),
    errors.StoreNotWritable: text(
        "Make room on the disk if it is full, and check who may write the file and its folder. The card may "
        "have changed all the same: look at it (xcactl info) before you repeat the command."
    ),
    errors.NoReader: text(
        "Connect the reader, make sure that it works, and detect the cards again: xcactl detect"
    ),
    errors.NoCard: text(
        "Insert the card the right way round and detect the cards again: xcactl detect. "
        "A test card is issued first: softhsm-card issue"
    ),
    errors.CardNotFound: text(
        "Insert it, or choose another one; this shows the cards that are here: xcactl detect"
    ),
    errors.SeveralCards: text("Name the one that you mean: --card NUMBER"),
    errors.CardFault: text("Look at the card (xcactl info) before you repeat the command."),
    errors.NotActivated: text("Activate it with the user code: xcactl activate"),
    errors.AlreadyActive: text(
        "Change its PIN: xcactl pin change. If the PIN is forgotten or locked, reset it: xcactl pin reset"
    ),
    errors.CardLapsed: text("Ask the issuer for a new card (a test card: softhsm-card issue)."),
    errors.UserCodeLocked: text(
        "Have the user code reset (用戶代碼重設) by the issuer (a test card: softhsm-card reset-user-code). "
        "Then use the new user code: xcactl activate, or xcactl pin reset."
    ),
    errors.WrongPin: text("If the PIN is forgotten, reset it with the user code: xcactl pin reset"),
    errors.PinLocked: text("Unlock it and set a new PIN with the user code: xcactl pin reset"),
    errors.PinNotProved: text(
        "Look at the card (xcactl info), then reset the PIN with the user code: xcactl pin reset"
    ),
    errors.LastTryNotConfirmed: text(
        "When you are sure of the value, confirm it in words, or give --last-try."
    ),
    errors.NotAgreed: text("Repeat the command when you want to go on; scripts agree with --yes."),
    errors.NoSuchCertificate: text("This shows the certificates that it has: xcactl cert list"),
    errors.NoSuchKey: text("Check that it is the right card: xcactl info"),
    errors.CertificateNotYetValid: text(
        "Set the computer's clock and its time zone: timedatectl set-ntp true"
    ),
    errors.NotAnAuthority: text(
        "Give the root certificate of the CA instead. The government's root is at https://grca.nat.gov.tw "
        "and on every organisation card: xcactl cert export 'ROOT CA Cert' -o root.pem. "
        "The certificate of a CA between the signer and the root goes with --certfile."
    ),
    errors.NotASignature: text(
        "A detached signature is given after its file: xcactl verify FILE FILE.p7s --ca-file {root}; "
        "one that holds its content stands alone: xcactl verify FILE.p7m --ca-file {root}. "
        "If it was given so, ask the sender for it again."
    ),
    errors.ChainIncomplete: text(
        "Give that certificate: --certfile FILE for a CA between the signer and the root, --ca-file FILE for "
        "a root that you trust. Its CA publishes it. The signer's card holds it: "
        "xcactl cert export 'CA Cert' -o ca.pem, "
        "and the root: xcactl cert export 'ROOT CA Cert' -o root.pem. "
        "Until then, do not rely on the file."
    ),
    errors.RevocationUnknown: text(
        "Ask the CA's own host: --fetch, with --allow-host HOST if that was not asked; if it gave no answer, "
        "try again later. Or give a current CRL of the CA with --crl FILE, or an OCSP response with "
        "--ocsp FILE. Until then, do not rely on the file."
    ),
    errors.NotEncrypted: text("Give a file that was encrypted as xcactl encrypt or openssl cms -encrypt do."),
    errors.NotForThisCard: text(
        "Use the card that it is meant for (--card NUMBER). Or write this card's certificate to a file, and "
        "have the sender encrypt to that one: xcactl cert export cert2 -o cert2.pem"
    ),
    errors.NotForEncryption: text(
        "The recipient runs this and sends you the file, for --to: xcactl cert export cert2 -o cert2.pem"
    ),
    errors.NotRevocationData: text(
        "Give CRLs (DER or PEM) with --crl, successful OCSP responses (DER) with --ocsp."
    ),
    errors.EditedByHand: text(
        "Nothing was changed. Take them out yourself, from the comment with >>> xcactl tools: {name} "
        "to the one with <<<, then repeat the command."
    ),
    errors.OtherInstallation: text(
        "They were kept. Undo the registration with that installation's own xcactl, or have this one take "
        "them over: xcactl tools register {name} --take-over"
    ),
    errors.WrongArchitecture: text(
        "xcactl tools list shows the tools that can load the module. Nothing was changed."
    ),
    errors.CardNotSeen: text(
        "Read what is shown above for each tool. Those that are not registered, or out of date: "
        "xcactl tools register TOOL"
    ),
    errors.NoReaderSupport: text(
        "pip compiles it. First install what that takes (Debian, Ubuntu: apt install gcc python3-dev "
        "libpcsclite-dev; Fedora: dnf install gcc python3-devel pcsc-lite-devel), then: {command}"
    ),
    errors.NoReaderDaemon: text(
        "Install it (Debian, Ubuntu: apt install pcscd) and start it: systemctl start pcscd.socket. If it "
        "runs, polkit serves only who sits at this computer (not over ssh): an administrator allows others "
        "the actions org.debian.pcsc-lite.access_pcsc and access_card."
    ),
    errors.ReaderFault: text(
        "Disconnect the reader, start its daemon again (systemctl restart pcscd), and connect it."
    ),
    errors.NotInOrder: text("Follow the advice at each check that failed, then run it again: xcactl doctor"),
    errors.AgentNotInstalled: text("Install what is missing: {command}"),
    errors.AcceptanceKept: text(
        "It is sent again whenever xcactl is used, and by: xcactl accept --deliver. It counts "
        "when it arrives: that must be before the last day to activate the card ends."
    ),
    errors.ServiceFailed: text("Correct what it reports, then repeat xcactl agent install or uninstall."),
    errors.AgentNotRunning: text(
        "Start it: xcactl agent run. To have it started at every login: xcactl agent install"
    ),
}
"""Errors that a command can mend; for any other, the library's own next step is shown."""

_CARD_COMMANDS: Final = re.compile(
    r"xcactl (?:accept(?! --deliver)|activate|info|pin (?:change|reset|verify)|user-code (?:change|reset)|"
    r"cert (?:list|show|export)|sign|decrypt|events)\b"
)
"""Commands that take --card."""
_EXTRAS: Final[Mapping[type[XcaError], str]] = {
    errors.NoReaderSupport: "pcsc",
    errors.AgentNotInstalled: "agent",
}
"""The extra that is missing after an error."""

_AFTER_A_LOOK: Final = {
    Action.ACTIVATE: text("Next: activate it with the user code: xcactl activate"),
    Action.CHANGE_PIN: text("Next: change the PIN that somebody else set: xcactl pin change"),
    Action.RESET_PIN: text("Next: unlock it and set a new PIN with the user code: xcactl pin reset"),
    Action.SEE_ISSUER: text(
        "Next: have the user code reset (用戶代碼重設) by the issuer "
        "(a test card: softhsm-card reset-user-code)."
    ),
    Action.RENEW: text(
        "Next: its certificate has expired or cannot be read, so the card can no longer sign; ask"
        " the issuer for a new card."
    ),
    Action.CHECK_CLOCK: text("Next: its certificate is not valid yet; check the computer's clock"),
    Action.NOTHING: text("Ready to use."),
}


_AFTER_A_STATUS: Final = {
    CertificateState.NOT_ACCEPTED: text("Next: send the acceptance that is kept: xcactl accept --deliver"),
    CertificateState.ON_HOLD: text(
        "Next: accept the certificates, if that was not done: xcactl accept. If they were suspended, have "
        "them resumed (復用) by the issuer."
    ),
    CertificateState.SUSPENDED: text("Next: have the certificates resumed (復用) by the issuer."),
    CertificateState.REVOKED: text("Next: the certificates are revoked; ask the issuer for a new card."),
}

_AFTER_THE_DEADLINE: Final = text("Next: ask the issuer for a new card (a test card: softhsm-card issue).")

_AFTER_A_MISTAKE: Final[Mapping[errors.Mistake, Text]] = {
    errors.Mistake.EXCHANGED: text(
        "The two files are exchanged. Give the signed file first, then its signature: "
        "xcactl verify {path} {file} --ca-file {root}"
    ),
    errors.Mistake.WITHOUT_FILE: text(
        "Give the signed file first: xcactl verify {file} {path} --ca-file {root}"
    ),
    errors.Mistake.WITH_FILE: text(
        "It holds what was signed. Give it alone: xcactl verify {path} --ca-file {root}"
    ),
    errors.Mistake.WITHOUT_SIGNATURE: text(
        "Its signature seems to be the file beside it: xcactl verify {path} {file} --ca-file {root}"
    ),
    errors.Mistake.ENCRYPTED: text("Decrypt it first, and verify what comes out: xcactl decrypt {path}"),
    errors.Mistake.SIGNED_PDF_BESIDE: text(
        "The PDF beside it is signed. If you mean that one: xcactl verify {file} --ca-file {root}"
    ),
    errors.Mistake.UNSIGNED_PDF: text(
        "If its signature is a file of its own, give that as well: "
        "xcactl verify {path} FILE.p7s --ca-file {root}. "
        "Otherwise ask the sender for a signed one."
    ),
}
_FETCHED_IN_VAIN: Final = text(
    "The CA's own host gave no usable answer, or was not asked (then add --allow-host HOST): try again "
    "later. Or give a current CRL of the CA with --crl FILE, or an OCSP response with --ocsp FILE. "
    "Until then, do not rely on the file."
)
_AT_ANOTHER_PORT: Final = text("Start it at that port: xcactl agent run --port {port}")
_FILE: Final = text("FILE")
_ROOT: Final = text("ROOT")
_ROOT_GIVEN: Final = "xca_plugin.root"
"""Key in click's Context.meta; its value is the file of --ca-file."""
_FETCHED: Final = "xca_plugin.fetched"
"""Key in click's Context.meta; its value is that of --fetch."""
_VERIFY_IT: Final = text(
    "Verify it with the signed file, or alone if it holds that: xcactl verify FILE {path} --ca-file {root}, "
    "xcactl verify {path} --ca-file {root}"
)


def next_step(error: XcaError) -> str:
    """Return what to do after an error; if only the issuer can help, also how to reach it."""
    if isinstance(error, errors.NotASignature) and isinstance(error.mistake, errors.Mistake):
        return _after_a_mistake(error, error.mistake)
    if isinstance(error, errors.NotEncrypted) and error.is_signature is True:
        return _VERIFY_IT.format(path=shlex.quote(str(error.path)), root=_root())()
    step = step_after(error)
    if chosen := chosen_among_several():
        step = for_card(step, chosen)
    elif isinstance(number := error.facts().get("number"), str):
        step = with_number(step, number)
    if not (isinstance(error, errors.CardError) and error.needs_issuer):
        return step
    return with_issuer(step, _card(error.facts().get("number")))


def step_after(error: XcaError) -> str:
    """Return what to do after an error, with the commands for it; they name no card, and no issuer."""
    kind = errors.UserCodeLocked if _is_for_the_issuer(error) else type(error)
    said = None if error.own_step else NEXT_STEPS.get(kind)
    if isinstance(error, errors.AgentNotRunning):
        from xca_plugin.agent_port import PORT  # here, because few errors need it

        said = said if error.port == PORT else _AT_ANOTHER_PORT
    if isinstance(error, errors.RevocationUnknown) and _noted(_FETCHED):
        said = _FETCHED_IN_VAIN
    if said is None:
        return error.next_step()
    facts = {**error.facts(), "root": _root()}
    if extra := _EXTRAS.get(type(error)):
        facts["command"] = install_command("xca-plugin", extra)
    return said.format(**facts)()


def _after_a_mistake(error: errors.NotASignature, mistake: errors.Mistake) -> str:
    said = _AFTER_A_MISTAKE.get(mistake)
    if said is None:
        return error.next_step()
    file = _FILE if error.file is None else shlex.quote(str(error.file))
    return said.format(path=shlex.quote(str(error.path)), file=file, root=_root())()


def note_verification(root: Path, *, fetched: bool) -> None:
    """Note what this command was told, for its next steps: the root, and whether hosts are asked."""
    click.get_current_context().meta.update({_ROOT_GIVEN: root, _FETCHED: fetched})


def _noted(key: str) -> Any:
    """Return what this command noted; None: nothing."""
    context = click.get_current_context(silent=True)
    return context.meta.get(key) if context else None


def _root() -> str | Text:
    """Return the value of --ca-file for a next step: that of this command, else a placeholder."""
    path = _noted(_ROOT_GIVEN)
    return _ROOT if path is None else shlex.quote(str(path))


def next_step_of(card: Card, status: CertificateStatus | None = None) -> str:
    """Return what a card needs next; if only the issuer can help, also how to reach it.

    Args:
        card: the card.
        status: how its certificates stand; None: that is not known.
    """
    action = next_action(card)
    if action is Action.NOTHING and status is not None and status.state in _AFTER_A_STATUS:
        step = _AFTER_A_STATUS[status.state]()
        return for_card(step, card.number) if chosen_among_several() == card.number else step
    if action is Action.NOTHING and card.pin_tries is None:
        return card_text.READY_IF_NOT_LOCKED()
    if action is Action.NOTHING and card.pin_tries == 1:
        step = _("Ready to use, with care: one more wrong PIN locks the card.")
    elif action is Action.SEE_ISSUER and card.state is CardState.LAPSED:
        step = _AFTER_THE_DEADLINE()
    else:
        step = _AFTER_A_LOOK[action]()
    named = for_card if chosen_among_several() == card.number else with_number
    step = named(step, card.number)
    return with_issuer(step, card) if action in (Action.SEE_ISSUER, Action.RENEW) else step


def _is_for_the_issuer(error: XcaError) -> bool:
    """Tell whether an error leads to a reset of the PIN, and the user code for that is locked too."""
    if not isinstance(error, (errors.PinLocked, errors.AlreadyActive)):
        return False
    card = _card(error.number)
    return card is not None and card.user_code_tries == 0 and card.pin_tries == 0


def for_card(step: str, number: str) -> str:
    """Add --card to the commands of a next step that take it, so that they act on this card."""
    named = f" --card {shlex.quote(number)}"  # a real card may have a number of any characters
    return with_number(_CARD_COMMANDS.sub(lambda command: command[0] + named, step), number)


def with_number(step: str, number: str) -> str:
    """Add the card's number to the commands of a next step that do not run without it."""
    return step.replace("softhsm-card reset-user-code", f"softhsm-card reset-user-code {shlex.quote(number)}")


def with_issuer(step: str, card: Card | None) -> str:
    """Add the contact of the card's issuer to a next step, if a plugin gives one."""
    if not (card and card.issuer):
        return step
    return text("{sentence} {reason}").format(sentence=step, reason=card_text.issuer(card.issuer))()


def _card(number: object) -> Card | None:
    try:
        return next((card for card in Cards().detect() if card.number == number), None)
    except XcaError:
        return None  # the error to be shown matters more than a plugin's
