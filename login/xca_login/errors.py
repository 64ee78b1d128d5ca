# SPDX-License-Identifier: Apache-2.0
"""Why a login is refused, or a site cannot let anybody in: one class for each situation.

Each class of LoginRefused has a code that never changes, for programs. message() and next_step() are what the
site tells the person, in English or Traditional Chinese; facts() go to the site's log.
"""

from datetime import date
from pathlib import Path
from typing import ClassVar

from xca_common.errors import XcaError
from xca_common.i18n import Text
from xca_login.i18n import text

_LOG_IN_AGAIN = text("Log in again.")
_TELL_THE_SITE = text("Log in again. If it happens again, tell the operator of this site.")
_OTHER_CARD = text("Log in with another card.")
_REGISTER_AGAIN = text("Register the key again. If it happens again, tell the operator of this site.")
_RECIPIENT_REGISTERS = text("Ask the holder to log in with a card that is valid, and to register its key.")


class Misconfigured(XcaError):
    """The site's own settings let nobody in."""


class BadOrigin(Misconfigured):
    """The origin of a site is none that browsers write, or not a secure one."""

    origin: str
    _message = text("The site's origin {origin} cannot be used.")
    _next_step = text(
        "Write it as a browser does: https://, the host in lower case, a port only if it is not 443, no "
        "slash at the end. http:// is for localhost and 127.0.0.1 alone."
    )


class BadTrust(Misconfigured):
    """The certificates that a site trusts cannot be used."""

    detail: Text | str
    _message = text("The site's CA certificates cannot be used: {detail}.")
    _next_step = text("Give the certificates of the issuing CAs and of the roots above them.")


class BadTrustFile(Misconfigured):
    """A file of certificates that a site trusts cannot be used."""

    path: Path
    detail: Text | str
    _message = text("The file {path} with CA certificates cannot be used: {detail}.")
    _next_step = text("Put a file with certificates in its place, or take it away.")


class BadTrustFolder(BadTrustFile):
    """The folder of certificates that a site trusts cannot be read."""

    _message = text("The folder {path} with CA certificates cannot be used: {detail}.")
    _next_step = text(
        "Make it, and put the certificates of the issuing CAs and of the roots above them into it."
    )


class EvidenceUnusable(XcaError):
    """A file with evidence of a login cannot be used."""

    path: Path
    detail: Text | str
    _message = text("The evidence in {path} cannot be used: {detail}.")
    _next_step = text("Give the file as the site kept it, with the folder lists beside it.")


class ArchiveUnusable(XcaError):
    """A file with an archive of bids cannot be used."""

    path: Path
    detail: Text | str
    _message = text("The archive in {path} cannot be used: {detail}.")
    _next_step = text("Give the file as the site wrote it.")


class ArchiveNotProved(XcaError):
    """An archive of bids does not prove that nothing was added or taken away."""

    path: Path
    detail: Text | str
    _message = text("The archive in {path} proves nothing: {detail}.")
    _next_step = text("Do not rely on it. Ask the site for the archive again, and keep this file.")


class ProgramProblem(XcaError):
    """A program cannot do its part."""


class CannotListen(ProgramProblem):
    """A program cannot take connections at an address."""

    address: str
    detail: Text | str
    _message = text("Nothing can listen at {address}: {detail}.")
    _next_step = text("Choose another address or port, or end the program that has it.")


class ProgramMissing(ProgramProblem):
    """A program of xca-plugin is not installed."""

    name: str
    _message = text("The program {name} is not installed.")
    _next_step = text(
        "Install xca-plugin with its extra agent, as the chapter Install of its README says, and SoftHSM: "
        "apt install softhsm2."
    )


class ProgramFailed(ProgramProblem):
    """A program of xca-plugin failed, or ended too early."""

    name: str
    detail: Text | str
    _message = text("The program {name} failed: {detail}")
    _next_step = text("Do what it says. Then do it again.")


class LoginRefused(XcaError):
    """A login is refused.

    Attributes:
        code: names the situation; it never changes.
        hint: what the site's operator may have to change, in English, for the log; "": nothing. It may use
            the facts in braces.
    """

    code: ClassVar[str]
    hint: ClassVar[str] = ""


class ChallengeProblem(LoginRefused):
    """Something about the challenge that was to be signed."""


class ChallengeUnknown(ChallengeProblem):
    """The session has no such challenge: it was used, is another session's, or was never made."""

    code = "challenge_unknown"
    hint = (
        "If this happens by chance, the site's processes do not share their challenges: give them SqlStore, "
        "or DjangoChallenges."
    )
    _message = text("This login was used already, or did not begin in this browser.")
    _next_step = _LOG_IN_AGAIN


class ChallengeExpired(ChallengeProblem):
    """The challenge was signed too late."""

    code = "challenge_expired"
    _message = text("This login took too long.")
    _next_step = _LOG_IN_AGAIN


class TooManyChallenges(ChallengeProblem):
    """The store is full of open challenges of other sessions."""

    code = "too_many_challenges"
    hint = "Limit at the proxy how often a network may post to begin."
    _message = text("Too many people are logging in at this moment.")
    _next_step = text("Wait some minutes. Then log in again.")


class StoreUnavailable(ChallengeProblem):
    """The store of challenges cannot be reached. Nothing was used up."""

    code = "store_unavailable"
    hint = "See that the database is there, and that its tables were made."
    _message = text("This site cannot take logins at this moment.")
    _next_step = text("Wait some minutes. Then log in again.")


class RequestProblem(LoginRefused):
    """Something about the request that the browser sent."""


class RequestUnknown(RequestProblem):
    """Nothing is there to be asked for, or not in this way."""

    code = "request_unknown"
    _message = text("This address takes no such request.")
    _next_step = _TELL_THE_SITE


class RequestForeign(RequestProblem):
    """A page of another site sent the request, or it does not say whose page did.

    Attributes:
        origin: the site's own.
        said: what the request says (Origin), without harm; "": nothing.
    """

    origin: str
    said: str
    code = "request_foreign"
    hint = (
        'The request says "{said}". If people open this site there, give Site that origin; a proxy has to '
        "hand the header Origin on as it is."
    )
    _message = text("The page that sent this request is not one of {origin}.")
    _next_step = text("Open {origin} yourself, and log in there.")


class RequestMalformed(RequestProblem):
    """The body is not the JSON that it should be."""

    code = "request_malformed"
    _message = text("This request is not part of a login.")
    _next_step = _TELL_THE_SITE


class RequestTooLong(RequestProblem):
    """The body has more bytes than are read."""

    most: int
    code = "request_too_long"
    _message = text("The request is longer than {most} bytes.")
    _next_step = _TELL_THE_SITE


class RequestTooSlow(RequestProblem):
    """The body did not arrive in time."""

    code = "request_too_slow"
    _message = text("The request did not arrive in time.")
    _next_step = _LOG_IN_AGAIN


class SiteMisconfigured(RequestProblem):
    """The site's own settings let nobody in (Misconfigured); its log says why."""

    code = "site_misconfigured"
    _message = text("This site cannot take logins because of its settings.")
    _next_step = text("Tell the operator of this site.")


class NotLoggedIn(RequestProblem):
    """What is asked for is only for those who are logged in."""

    code = "not_logged_in"
    _message = text("You are not logged in.")
    _next_step = text("Log in with your card.")


class AccountClosed(LoginRefused):
    """The signature is right, and the site lets nobody in with this account."""

    code = "account_closed"
    _message = text("This site does not let you in with this card.")
    _next_step = text("Tell the operator of this site.")


class TokenProblem(LoginRefused):
    """What came back is not what the holder's card signs to log in."""


class TokenTooLong(TokenProblem):
    """The token has more bytes than are read."""

    most: int
    code = "token_too_long"
    _message = text("The answer of the local component is longer than {most} bytes.")
    _next_step = _TELL_THE_SITE


class TokenMalformed(TokenProblem):
    """The token is no CMS SignedData in DER (RFC 5652, section 5)."""

    code = "token_malformed"
    _message = text("The answer of the local component is no signature.")
    _next_step = _TELL_THE_SITE


class SignerCountWrong(TokenProblem):
    """The token has no signer, or several."""

    count: int
    code = "signer_count"
    _message = text("The answer of the local component has {count} signers, not one.")
    _next_step = _TELL_THE_SITE


class AttributesWrong(TokenProblem):
    """The signed attributes are not those of a login, or some attributes are not signed."""

    detail: Text
    code = "attributes"
    _message = text("This is not the signature of a login: {detail}.")
    _next_step = _TELL_THE_SITE


class ContentWrong(TokenProblem):
    """Another text was signed than the challenge."""

    code = "content"
    _message = text("Another text was signed than the one of this login.")
    _next_step = _LOG_IN_AGAIN


class OriginForeign(TokenProblem):
    """The holder's program saw another site than this one ask for the signature."""

    origin: str
    code = "origin_foreign"
    hint = "If {origin} is not this site under another address, it may be imitating this site."
    _message = text("Another site asked for this signature: {origin}.")
    _next_step = text("That site may be deceiving you. Log in here, and tell the operator of this site.")


class OriginNotVerified(TokenProblem):
    """The site demands a verified origin, and the holder's program adds none."""

    code = "origin_not_verified"
    _message = text("Your local component does not confirm which site asks.")
    _next_step = text("Log in with a local component that does.")


class OriginWeaker(TokenProblem):
    """The account logged in with a verified origin before, and this login's origin is declared.

    Attributes:
        day: when the account first logged in with a verified origin.
    """

    day: date
    code = "origin_weaker"
    _message = text(
        "You logged in here on {day} with a local component that confirms which site asks. This one does not."
    )
    _next_step = text(
        "Log in with a local component that confirms it. If you cannot, ask the operator of this site."
    )


class AlgorithmRefused(TokenProblem):
    """The signature was made with an algorithm that is not accepted."""

    algorithm: str
    code = "algorithm"
    _message = text("The signature was made with {algorithm}, which is not accepted.")
    _next_step = text("Update the local component. Then log in again.")


class SignatureWrong(TokenProblem):
    """The signature does not fit the text and the certificate."""

    code = "signature"
    _message = text("The signature is wrong.")
    _next_step = _TELL_THE_SITE


class CertificateProblem(LoginRefused):
    """The certificate of who signed is not one to log in with."""


class CertificateMissing(CertificateProblem):
    """The token does not hold its signer's certificate."""

    code = "certificate_missing"
    _message = text("The answer of the local component does not hold the card's certificate.")
    _next_step = _TELL_THE_SITE


class CertificateMalformed(CertificateProblem):
    """A part of the certificate cannot be read."""

    detail: Text
    code = "certificate_malformed"
    _message = text("The card's certificate cannot be read: {detail}.")
    _next_step = _OTHER_CARD


class KeyRefused(CertificateProblem):
    """The certified key is not RSA, of 2048 to 4096 bits, with the exponent 65537."""

    code = "key"
    _message = text("The key of the card is not accepted.")
    _next_step = _OTHER_CARD


class IssuerUnknown(CertificateProblem):
    """No CA that the site trusts issued the certificate."""

    issuer: str
    code = "issuer_unknown"
    hint = "If its cards are to be let in, put its certificate among the CA certificates."
    _message = text("This site does not know the issuer of the card: {issuer}.")
    _next_step = _OTHER_CARD


class IssuerNotValid(CertificateProblem):
    """The certificate of the issuing CA, or of the root above it, is not valid now."""

    issuer: str
    code = "issuer_not_valid"
    hint = "See that this machine's clock is right; else get the issuer's new certificate."
    _message = text("The certificate of the issuer {issuer} is not valid at this time.")
    _next_step = text("Tell the operator of this site.")


class CertificateNotYetValid(CertificateProblem):
    """The certificate is not valid yet."""

    day: date
    code = "certificate_not_yet_valid"
    hint = "See that this machine's clock is right."
    _message = text("The card's certificate is valid only from {day}.")
    _next_step = _OTHER_CARD


class CertificateExpired(CertificateProblem):
    """The certificate is not valid any more."""

    day: date
    code = "certificate_expired"
    _message = text("The card's certificate expired on {day}.")
    _next_step = text("Log in with another card, or apply for a new one.")


class NotForLogin(CertificateProblem):
    """The certificate's key usage, purposes or constraints do not allow signatures for a login."""

    code = "not_for_login"
    _message = text("The certificate is not for signatures.")
    _next_step = _TELL_THE_SITE


class PolicyRefused(CertificateProblem):
    """The certificate was issued under another policy than the site accepts."""

    policies: str
    code = "policy"
    hint = "A site for test cards names their policy in Policy.certificate_policies. Other sites never do."
    _message = text("This site does not accept certificates of the policy {policies}.")
    _next_step = _OTHER_CARD


class HolderUnclear(CertificateProblem):
    """The certificate does not say whom it is for, or says it twice (subjectDirectoryAttributes)."""

    detail: Text
    code = "holder_unclear"
    _message = text("The card's certificate does not say clearly whom it is for: {detail}.")
    _next_step = _OTHER_CARD


class HolderRefused(CertificateProblem):
    """The site lets in other kinds of holders only."""

    kind: str
    code = "holder_kind"
    _message = text("This site does not let in holders of this kind: {kind}.")
    _next_step = _OTHER_CARD


class RankRefused(CertificateProblem):
    """The site lets in the other rank of cards only."""

    rank: str
    code = "card_rank"
    _message = text("This site does not let in cards of this rank: {rank}.")
    _next_step = _OTHER_CARD


class RevocationProblem(LoginRefused):
    """The certificate does not stand."""


class CertificateRevoked(RevocationProblem):
    """The issuer revoked the certificate for good."""

    day: date
    code = "certificate_revoked"
    _message = text("The card's certificate was revoked on {day}.")
    _next_step = text("Log in with another card, or apply for a new one.")


class CertificateSuspended(RevocationProblem):
    """The certificate is suspended, or was not accepted yet: from outside both look alike."""

    code = "certificate_suspended"
    _message = text("The card's certificate is suspended, or was not activated yet.")
    _next_step = text("Activate the card, or ask the issuer to resume it. Then log in again.")


class RevocationUnknown(RevocationProblem):
    """Nothing current is known of the certificate's revocation."""

    detail: Text | str
    code = "revocation_unknown"
    hint = (
        "See that this machine reaches the issuer's lists and responders, and that its clock is right. Hosts "
        "outside the government's are named in Revocation."
    )
    _message = text("It cannot be told now whether the card's certificate is revoked: {detail}.")
    _next_step = text("Wait some minutes. Then log in again.")


class RegistrationProblem(LoginRefused):
    """A key for encryption is not registered, or its possession not proved. The login itself stands."""


class CardDifferent(RegistrationProblem):
    """The certificates are not those of the card that logged in."""

    code = "card_different"
    _message = text("This is another card than the one that you logged in with.")
    _next_step = text("Put the card in that you logged in with, or log in with this one.")


class PairWrong(RegistrationProblem):
    """The two certificates are not those of one card."""

    detail: Text
    code = "key_pair"
    _message = text("The two certificates are not those of one card: {detail}.")
    _next_step = _REGISTER_AGAIN


class NotForEncryption(RegistrationProblem):
    """The certificate's key usage, purposes or constraints do not allow encryption to it."""

    code = "not_for_encryption"
    _message = text("The certificate is not one for encryption.")
    _next_step = _REGISTER_AGAIN


class KeyOlder(RegistrationProblem):
    """A newer certificate for encryption is registered for the same card."""

    code = "key_older"
    _message = text("This site has a newer certificate for encryption of this card.")
    _next_step = text("Log in with your newest card. The newer certificate stays registered.")


class KeyUnregistered(RegistrationProblem):
    """No key for encryption is registered for the card that logged in."""

    code = "key_unregistered"
    _message = text("No key for encryption of this card is registered at this site.")
    _next_step = text("Register the key of your card.")


class PossessionUnknown(RegistrationProblem):
    """The answer is not what the envelope holds, or was used already, or the envelope is another card's."""

    code = "possession_unknown"
    _message = text("This does not prove that your card can open what is encrypted to it.")
    _next_step = text("Open the envelope again, with the card that you logged in with.")


class PossessionExpired(RegistrationProblem):
    """The envelope was opened too late."""

    code = "possession_expired"
    _message = text("Opening the envelope took too long.")
    _next_step = text("Open the envelope again, with the card that you logged in with.")


class EncryptionRefused(XcaError):
    """Nothing is encrypted to a registered key, because it could not be opened, or by somebody else.

    Attributes:
        code: names the situation; it never changes.
    """

    code: ClassVar[str]


class OrganisationUnregistered(EncryptionRefused):
    """The organisation has registered no key for encryption."""

    organisation: str
    code = "organisation_unregistered"
    _message = text("The organisation {organisation} has registered no key for encryption.")
    _next_step = text("Ask it to log in with its card, and to register the key.")


class RecipientExpired(EncryptionRefused):
    """The certificate for encryption expired."""

    holder: str
    day: date
    code = "recipient_expired"
    _message = text("The certificate of {holder} for encryption expired on {day}. Nothing was encrypted.")
    _next_step = _RECIPIENT_REGISTERS


class RecipientSuspended(EncryptionRefused):
    """The certificate for encryption is suspended, or was not accepted yet: from outside both look alike."""

    holder: str
    code = "recipient_suspended"
    _message = text(
        "The certificate of {holder} for encryption is suspended, or was not activated yet. "
        "Nothing was encrypted."
    )
    _next_step = text("Ask the holder to activate the card, or to have it resumed. Then encrypt again.")


class RecipientRevoked(EncryptionRefused):
    """The issuer revoked the certificate for encryption for good."""

    holder: str
    day: date
    code = "recipient_revoked"
    _message = text("The certificate of {holder} for encryption was revoked on {day}. Nothing was encrypted.")
    _next_step = _RECIPIENT_REGISTERS


class RecipientUnknown(EncryptionRefused):
    """Nothing current is known of the revocation of the certificate for encryption."""

    holder: str
    detail: Text | str
    code = "recipient_unknown"
    _message = text(
        "It cannot be told now whether the certificate of {holder} for encryption is revoked: {detail}. "
        "Nothing was encrypted."
    )
    _next_step = text("Wait some minutes. Then encrypt again.")


class RecipientNotAccepted(EncryptionRefused):
    """The site does not accept the certificate for encryption any more.

    Attributes:
        reason: the code of the LoginRefused that a registration of it would raise now.
    """

    holder: str
    reason: str
    code = "recipient_not_accepted"
    _message = text(
        "The certificate of {holder} for encryption is not accepted here any more ({reason}). "
        "Nothing was encrypted."
    )
    _next_step = _RECIPIENT_REGISTERS
