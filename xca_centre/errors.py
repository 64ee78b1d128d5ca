# SPDX-License-Identifier: Apache-2.0
"""Why the centre refuses, or cannot do, what somebody asked for: one class for each situation."""

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import ClassVar

from xca_centre.i18n import plural, text
from xca_common.errors import XcaError
from xca_common.i18n import Text


class CentreError(XcaError):
    """Something that an applicant, a holder, an officer or an operator of the centre has to know."""


class KeyTokenError(CentreError):
    """A token with keys of the centre cannot do its part.

    Attributes:
        label: the token's label.
    """

    label: str


class TokenUnavailable(KeyTokenError):
    """The token is not there, or does not work."""

    detail: str
    _message = text("The token {label}, which holds keys of the centre, cannot be used: {detail}.")
    _next_step = text("See that the token is connected and its PKCS#11 module set up. Then do it again.")


class TokenPinRefused(KeyTokenError):
    """The token refused its PIN, which is not tried again."""

    detail: str
    _message = text("The token {label}, which holds keys of the centre, refused its PIN ({detail}).")
    _next_step = text("Set the right PIN, and start the program again. Too many wrong ones lock the token.")


class NoTokenKey(KeyTokenError):
    """The token has no key of a name, or several."""

    name: str
    _message = text("The token {label} does not have exactly one key named {name}.")
    _next_step = text("Connect the token on which the centre was begun.")


class KeyStaysInToken(KeyTokenError):
    """Somebody asked for the private numbers of a key in a token."""

    name: str
    _message = text("The key {name} does not leave the token {label}.")
    _next_step = text("Have the token sign or decrypt.")


class BadCaseNumber(CentreError):
    """What was typed is no case number; nothing was looked up."""

    _message = text(
        "That is no case number: it has 25 digits in five groups, and one of them is wrong or missing."
    )
    _next_step = text("Copy it from the printed application, or read its QR code. No try was spent.")


class OrganisationFileError(CentreError):
    """A file of organisations cannot be imported; nothing of it was."""


class OrganisationFileTooBig(OrganisationFileError):
    """The file has more bytes or lines than are read."""

    bytes: int
    lines: int
    _message = text(
        "The file of organisations has more than {bytes} MiB or {lines} lines. Nothing was imported."
    )
    _next_step = text("Divide it into smaller files.")


class OrganisationFileInOtherEncoding(OrganisationFileError):
    """The file is not in UTF-8."""

    encoding: Text | str
    _message = text(
        "The file of organisations is not in UTF-8; its encoding looks like {encoding}. Nothing was imported."
    )
    _next_step = text("Save it as CSV UTF-8; a spreadsheet offers that under Save As. Then import it again.")


class OrganisationFileWithoutHeader(OrganisationFileError):
    """The first line does not name the columns."""

    columns: str
    _message = text(
        "The first line of the file of organisations does not name its columns. Nothing was imported."
    )
    _next_step = text("Write as its first line: {columns}")


class BadOrganisationLines(OrganisationFileError):
    """Lines of the file cannot be imported."""

    count: int
    lines: Sequence[Text]
    _message = plural(
        "{count} line cannot be imported, so nothing was: {lines}",
        "{count} lines cannot be imported, so nothing was: {lines}",
        "count",
    )
    _next_step = text("Correct them in the file. Then import it again.")


class BadIssuerRules(CentreError):
    """A file with the rules of an issuer cannot be used."""

    path: str
    key: str
    detail: Text | str
    _message = text("The rules of the issuer in {path} cannot be used. {key}: {detail}.")
    _next_step = text("Correct it: the files that come with the program show the form of each value.")


class Refused(CentreError):
    """What somebody asked for is not done, and nothing has changed.

    Attributes:
        code: names the situation, for programs; it never changes.
    """

    code: ClassVar[str]


class WrongState(Refused):
    """In its present state nothing of that kind happens to a thing."""

    state: Text
    event: Text
    code = "wrong_state"
    _message = text("{event}: not possible, for the state is “{state}”.")
    _next_step = text("Look at the state again: what is possible now is shown with it.")


class NotYours(Refused):
    """Others may do it."""

    event: Text
    role: Text
    code = "not_yours"
    _message = text("{event}: {role} may not do this.")
    _next_step = text("Ask the registration counter, which does it or tells who does.")


class NotOffered(Refused):
    """This issuer has taken the transition away from its table."""

    event: Text
    code = "not_offered"
    _message = text("{event}: this issuer does not offer it.")
    _next_step = text("Ask the issuer for another way.")


class CertificateRefused(Refused):
    """Something does not happen to a certificate."""


class CertificateRevoked(CertificateRefused):
    """The certificate is revoked, for good."""

    code = "certificate_revoked"
    _message = text("The certificate is revoked; that is final.")
    _next_step = text("Apply for a new card.")


class CertificateSuperseded(CertificateRefused):
    """Another certificate took the place of this one."""

    code = "certificate_superseded"
    _message = text("A new certificate for the same key took the place of this one.")
    _next_step = text("Use the new certificate. If it is not on the card yet, have it written there.")


class CertificateExpired(CertificateRefused):
    """The certificate is past its last day."""

    code = "certificate_expired"
    _message = text("The certificate has expired.")
    _next_step = text("Apply for a new card.")


class CertificateSuspended(CertificateRefused):
    """The certificate is suspended."""

    code = "certificate_suspended"
    _message = text("The certificate is suspended.")
    _next_step = text("Resume it first.")


class AlreadyAccepted(CertificateRefused):
    """The holder has accepted the certificate before."""

    code = "already_accepted"
    _message = text("The certificate was accepted already: the card is open.")
    _next_step = text(
        "Nothing is left to do. To end it, apply for its revocation at the registration counter."
    )


class AcceptanceLapsed(CertificateRefused):
    """The days for the acceptance are over."""

    last_day: date
    code = "acceptance_lapsed"
    _message = text("The certificate had to be accepted by {last_day}.")
    _next_step = text("Apply for a new card. The issuer may make you wait for some months.")


class NotAccepted(CertificateRefused):
    """The holder has not accepted the certificate yet."""

    code = "not_accepted"
    _message = text("The certificate is not accepted yet.")
    _next_step = text("Activate the card and accept its certificates first.")


class NotSuspended(CertificateRefused):
    """Only what is suspended can be resumed."""

    code = "not_suspended"
    _message = text("The certificate is not suspended.")
    _next_step = text("Nothing is left to do.")


class HeldByOthers(CertificateRefused):
    """Who suspended the certificate has to resume it."""

    by: Sequence[Text]
    code = "held_by_others"
    _message = text("The certificate stays suspended. By: {by}.")
    _next_step = text("Ask the registration counter who can have it resumed.")


class ReasonNotYours(CertificateRefused):
    """A certificate is not revoked for this reason, or by others."""

    reason: Text
    code = "reason_not_yours"
    _message = text("The certificate cannot be revoked by you for this reason: {reason}.")
    _next_step = text("Choose another reason.")


class DeadlineNotReached(CertificateRefused):
    """A job came too early."""

    day: date
    code = "deadline_not_reached"
    _message = text("Nothing happens before the end of {day}.")
    _next_step = text("Do it again after that day.")


class AcceptanceRefused(Refused):
    """What was sent accepts no certificates."""


_ACCEPT_AGAIN = text("Accept the certificates again, with an up-to-date program and the new card.")


class AcceptanceTooLong(AcceptanceRefused):
    """An acceptance has more bytes than are read."""

    most: int
    code = "acceptance_too_long"
    _message = text("What was sent is longer than {most} bytes.")
    _next_step = _ACCEPT_AGAIN


class AcceptanceMalformed(AcceptanceRefused):
    """What was sent is no acceptance, such as a login, or is not signed as one."""

    code = "acceptance_malformed"
    _message = text("What was sent is not an acceptance of certificates that a card has signed.")
    _next_step = _ACCEPT_AGAIN


class AcceptanceForeign(AcceptanceRefused):
    """An acceptance is for another site, or a page of another site asked for it."""

    origin: str
    code = "acceptance_foreign"
    _message = text("This acceptance was asked for by another site: {origin}.")
    _next_step = text("Accept the certificates at the centre's own site. The other one may be deceiving you.")


class AcceptanceSignatureWrong(AcceptanceRefused):
    """The card's key for signatures did not sign the acceptance."""

    code = "acceptance_signature"
    _message = text("The acceptance is not signed with the card's key for signatures.")
    _next_step = _ACCEPT_AGAIN


class AcceptanceDiffers(AcceptanceRefused):
    """The centre did not issue what is accepted, or not together; which of them is not told."""

    code = "acceptance_differs"
    _message = text("This acceptance does not name the certificates that this centre issued for the card.")
    _next_step = text("See that the card came from this centre. Then accept its certificates again.")


class NotCertified(CentreError):
    """The centre does not issue a certificate for this."""


class BadHolder(NotCertified):
    """A name, an OID or an e-mail address is none that a certificate can have."""

    value: str
    _message = text("A certificate cannot say “{value}” of its holder.")
    _next_step = text("Correct the name, the OID or the e-mail address in the application.")


class KeyRefused(NotCertified):
    """The public key is not of the kind that is certified, or one key is there twice."""

    _message = text(
        "The key is not certified: it must be an RSA key of 2048 bits of its own, with exponent 65537."
    )
    _next_step = text("Make such a key, and a request with it.")


class KeyWeak(NotCertified):
    """The public key is one that anybody can break."""

    _message = text("The key is not certified: it was made by a faulty program, and others can compute it.")
    _next_step = text("Make another key with an up-to-date program, and a request with it.")


class KeyTaken(NotCertified):
    """The public key has a certificate already, or had one: who knows the key, knows it for both."""

    _message = text("The key has a certificate already, or had one.")
    _next_step = text("Make a new key, and a request with it.")


class KeyAskedFor(NotCertified):
    """Another application that is open asks for a certificate of the same public key."""

    _message = text("Another application asks for a certificate of this key.")
    _next_step = text("Withdraw that application, or make a new key, and a request with it.")


class RequestUnreadable(NotCertified):
    """What was uploaded is no certificate request."""

    _message = text("This is not a certificate request (PKCS #10).")
    _next_step = text(
        "Make one with your own tool, and upload the file that begins with BEGIN CERTIFICATE REQUEST."
    )


class PossessionUnproved(NotCertified):
    """The key in a certificate request did not sign it."""

    _message = text("The request is not signed with its own key, or with an algorithm that is too weak.")
    _next_step = text("Make the request again, signed with SHA-256.")


class IssuerEnds(NotCertified):
    """The CA's own certificate ends before the one that it should issue."""

    last: date
    _message = text("This generation of the CA issues nothing that is valid after {last}.")
    _next_step = text("Begin a new generation of the CA, and issue with that.")


class FormIncomplete(CentreError):
    """Fields of a form are missing or wrong; nothing was kept.

    Attributes:
        problems: what is wrong, by the names of the fields.
        reasons: the same in their order.
    """

    count: int
    problems: Mapping[str, Text]
    reasons: Sequence[Text]
    _message = plural(
        "{count} field is to be corrected: {reasons}.",
        "{count} fields are to be corrected: {reasons}.",
        "count",
    )
    _next_step = text("Correct what is named. Then send the form again.")


class NoSuchCertificates(CentreError):
    """There are no such certificates."""

    _message = text("There is no such certificate.")
    _next_step = text("Copy the card number or the serial number again, all of it.")


class StoreProblem(CentreError):
    """Something about the centre's database."""


class StoreUnavailable(StoreProblem):
    """The database did not answer. Nothing was changed."""

    _message = text("The centre's database does not answer at this moment. Nothing was changed.")
    _next_step = text("Wait some minutes. Then do it again.")


class TextNotKept(CentreError):
    """A text has characters that a database does not take, such as NUL, or is longer than any of its kind."""

    _message = text("What was entered has characters that cannot be kept, or too many. Nothing was changed.")
    _next_step = text("Enter it again, without anything that cannot be seen.")


class ChangeUncertain(StoreProblem):
    """The database did not answer to a commit. Whether the change was made is unknown."""

    _message = text(
        "The centre's database stopped while it was writing: the change may have been made, or not."
    )
    _next_step = text("Wait some minutes, and look whether it was made. If not, do it again.")


class DatabaseUnknown(StoreProblem):
    """The address of the database is none that the centre can use. It may hold a password."""

    _message = text("The address of the centre's database cannot be used.")
    _next_step = text("Give sqlite:///FILE or postgresql://USER@HOST/NAME.")


class DatabaseExposed(StoreProblem):
    """Others may read the file of the database."""

    path: Path
    _message = text("Other users of this computer may read the centre's database {path}.")
    _next_step = text("Give the file mode 0600.")


class SchemaMissing(StoreProblem):
    """The database has no tables."""

    _message = text("The centre's database has no tables.")
    _next_step = text("Set up the centre first.")


class SchemaOlder(StoreProblem):
    """An older program made the tables of the database."""

    _message = text("The centre's database was made by an older version of this program.")
    _next_step = text("Back up the database. Then bring it up to date.")


class SchemaNewer(StoreProblem):
    """A newer program made the tables of the database."""

    _message = text("The centre's database was made by a newer version of this program.")
    _next_step = text("Install that version here, too. Nothing was changed.")


class ApplicationRefused(Refused):
    """Something does not happen to an application or its payment."""


class OrganisationBlocked(ApplicationRefused):
    """Certificates of the organisation lapsed a short time ago."""

    last_day: date
    code = "organisation_blocked"
    _message = text(
        "A card of this organisation was not activated in time: until {last_day} it gets no new one."
    )
    _next_step = text("Apply after that day.")


class ChangeInFuture(Refused):
    """What has not happened yet is not recorded."""

    day: date
    code = "change_in_future"
    _message = text("{day} has not come yet.")
    _next_step = text("Give the day on which the change took effect.")


class TooLateToChange(ApplicationRefused):
    """The card is being made, or is there already."""

    code = "too_late_to_change"
    _message = text("The card of this application is being made already: it cannot be changed any more.")
    _next_step = text(
        "If something in it is wrong, refuse the certificates when the card comes, and apply for another."
    )


class SameReviewer(ApplicationRefused):
    """The first and the second review need two persons with two cards."""

    code = "same_reviewer"
    _message = text("Who made the first review does not make the second.")
    _next_step = text("Leave it to another officer, who has another card.")


class NotWithoutACard(ApplicationRefused):
    """A card is made or mailed only for an application that asks for one."""

    code = "not_without_a_card"
    _message = text("This application asks for a certificate without a card.")
    _next_step = text("Nothing is to be made or mailed.")


class NotACard(ApplicationRefused):
    """The certificates of a card are issued when it is made."""

    code = "not_a_card"
    _message = text("This application asks for a card.")
    _next_step = text("Have the card made: its certificates are issued then.")


class WrongAmount(ApplicationRefused):
    """Another amount was paid than was due."""

    due: int
    paid: int
    code = "wrong_amount"
    _message = text("NT$ {due} were due, and NT$ {paid} were paid.")
    _next_step = text("Clear it up with the payment provider.")


class SlipStillOpen(ApplicationRefused):
    """A job came too early."""

    code = "slip_still_open"
    _message = text("The payment slip can still be paid.")
    _next_step = text("Do it again after its last day.")


class CertificatesIssued(ApplicationRefused):
    """Once certificates are issued, no fee is paid back."""

    code = "certificates_issued"
    _message = text("The certificates were issued: the fee is not paid back.")
    _next_step = text("Nothing is left to do.")


class NoSuchProducer(CentreError):
    """No installed package makes cards under this name."""

    name: str
    offered: list[str]
    _message = text("No installed package offers the producer of cards {name}; there are: {offered}.")
    _next_step = text("Install the package that offers it, or set the name of another one.")


class PaymentProviderError(CentreError):
    """The payment provider does not tell clearly what was paid: no slip counts as paid for that."""


class NoSuchPaymentProvider(PaymentProviderError):
    """No installed package collects fees under this name."""

    name: str
    offered: list[str]
    _message = text("No installed package offers the payment provider {name}; there are: {offered}.")
    _next_step = text("Install the package that offers it, or set the name of another provider.")


class PaymentProviderUnavailable(PaymentProviderError):
    """It cannot do its part now. Later it may."""

    reason: Text | str
    _message = text("The payment provider cannot be asked now: {reason}. Nothing counts as paid for that.")
    _next_step = text("Mend what the reason names. The centre asks again by itself.")


class PaymentDoubtful(PaymentProviderError):
    """It tells of a payment without an amount or a moment, or of one that is still to come."""

    number: str
    _message = text(
        "What the payment provider tells of the slip {number} is no payment. The slip stays unpaid."
    )
    _next_step = text("Compare the provider's record and clock. Then let the job be tried again.")


class UserCodeError(CentreError):
    """Something about a user code that was entered online, or chosen."""


class BadUserCode(UserCodeError):
    """What was entered cannot be a user code; no try was spent."""

    shortest: int
    longest: int
    _message = text(
        "A user code has {shortest} to {longest} characters: letters, digits and ASCII signs, no blanks."
    )
    _next_step = text("No try was spent. Enter it again; upper and lower case differ.")


class UserCodeRefused(UserCodeError):
    """There is no such number, or the code is wrong, or locked: which of them is not told."""

    _message = text("The number and the user code do not belong together, or the user code is locked.")
    _next_step = text(
        "Compare the number with your papers, and mind upper and lower case. Three wrong user codes in a row "
        "lock it: then follow the link in the mail to the contact person, or have the user code reset."
    )


class TooManyTries(UserCodeError):
    """Too many wrong codes came from one network; no try was spent."""

    minutes: int
    _message = text("Too many wrong user codes were entered from your network.")
    _next_step = text("No try was spent. Wait {minutes} minutes, or use another network.")


class LinkUnusable(UserCodeError):
    """A link in a mail that lifts a lock was used, or is too old."""

    _message = text("This link was used already, or is too old.")
    _next_step = text("Have the lock lifted with the PIN of the card, or by a registration officer.")


class JobProblem(CentreError):
    """Something about a job of the centre."""


class JobLost(JobProblem):
    """A worker took longer than its lease, and another one has the job."""

    kind: str
    _message = text("Another worker has taken up this job ({kind}). Nothing was changed.")
    _next_step = text("There is nothing to do: the other one goes on with it.")


class JobNotParked(JobProblem):
    """There is no such job among those that wait for an operator."""

    _message = text("No job of that number waits for an operator.")
    _next_step = text("List the parked jobs, and copy the number from there.")


class JournalUnavailable(StoreProblem):
    """The journal cannot be written or read. Nothing was changed."""

    path: Path
    _message = text("The centre's journal in {path} cannot be used. Nothing was changed.")
    _next_step = text("See that the disk is there and has room. Then do it again.")


class JournalMissing(JournalUnavailable):
    """No journal was begun in the folder: the disk that it is on may not be mounted."""

    _message = text("There is no journal of the centre in {path}. Nothing was changed.")
    _next_step = text("Mount the disk that the journal is on. Do not begin another one in its place.")


class NotJournalled(StoreProblem):
    """A change was made, and its events are not in the journal yet."""

    _message = text("It was done, but the centre's journal could not be written.")
    _next_step = text("Do not do it again. Tell the operator that the journal's disk is to be looked at.")


class JournalAhead(StoreProblem):
    """The journal has events that the database lacks: it was restored from a backup."""

    _message = text("The centre's journal has events that the database lacks: it was restored from a backup.")
    _next_step = text("Merge the journal into the database. Until then the centre does nothing.")


class HierarchyError(CentreError):
    """The CAs of the centre are not as they must be.

    Attributes:
        path: the folder of their certificates, or the file in it.
    """

    path: Path


class HierarchyMissing(HierarchyError):
    """The CAs were not begun, or not to their end."""

    _message = text("The CAs of the centre in {path} are not there, or not complete.")
    _next_step = text("Begin them, or go on with it: what was made is kept.")


class HierarchyDiffers(HierarchyError):
    """Something else was begun in the folder."""

    _message = text("In {path} the CAs of a centre were begun with other names, keys or tokens.")
    _next_step = text("Go on with the same ones, or begin in another folder.")


class HierarchyDamaged(HierarchyError):
    """A file of the CAs cannot be read, or is not that of its key."""

    _message = text("The file {path} cannot be read, or is not the one that belongs to its key.")
    _next_step = text(
        "Bring it back from a copy. Certificates of CAs are in no other place but their repository."
    )


class LetterNotMade(CentreError):
    """A letter, a list or labels for the post cannot be written."""

    detail: Text
    _message = text("The letter cannot be written: {detail}.")
    _next_step = text("Install a font with these characters, or shorten what is too long. Then do it again.")


class SavedApplicationUnusable(CentreError):
    """A file is no application that was saved here, or is damaged; no try was spent."""

    _message = text("This file is no application that was saved at this centre, or it is damaged.")
    _next_step = text("Choose the file that you saved here, or fill in the form anew. No try was spent.")


class MailError(CentreError):
    """A mail was not taken by whatever takes the centre's mails.

    Attributes:
        server: its name.
    """

    server: str


class MailUnavailable(MailError):
    """It takes no mail now."""

    detail: Text | str
    _message = text("The mail server {server} does not take a mail now: {detail}.")
    _next_step = text("It is tried again. If it lasts, look at the server and at the settings for it.")


class MailRefused(MailError):
    """It will not take this mail, however often it is tried."""

    code: int
    _message = text("The mail server {server} refused a mail (SMTP {code}).")
    _next_step = text("Ask the person by telephone for another e-mail address.")


class TaxIdTaken(OrganisationFileError):
    """The register has a 統一編號 of the file under another OID."""

    tax_id: str
    name: str
    _message = text("The register has 統一編號 {tax_id} as that of {name}. Nothing was imported.")
    _next_step = text("Find out whose it is, and correct the file.")


class OrganisationRefused(CentreError):
    """No application is taken for an organisation."""


class OrganisationUnknown(OrganisationRefused):
    """The register has no such organisation."""

    _message = text("The register has no such organisation.")
    _next_step = text("Search for its name, or ask its competent authority to have it added.")


class OrganisationDissolved(OrganisationRefused):
    """The organisation has ended."""

    name: str
    _message = text("{name} has been dissolved, and gets no card.")
    _next_step = text("If that is wrong, ask the competent authority.")


class BadOrganisationName(OrganisationRefused):
    """A name cannot stand in a certificate."""

    detail: Text
    _message = text("The name cannot be recorded: {detail}.")
    _next_step = text("Correct it, and do it again.")


class DayMissing(OrganisationRefused):
    """A change of an organisation was recorded without its day."""

    _message = text("The day of the change is missing, or is none.")
    _next_step = text("Give the day on which the change took effect.")


class ApplicationError(CentreError):
    """An application cannot be made as it was asked for."""


class PrimaryCardTaken(ApplicationError):
    """The organisation has, or waits for, as many primary cards as it may have."""

    name: str
    _message = text("{name} has its primary card already, or has applied for it.")
    _next_step = text("Apply for a secondary card, or withdraw the other application first.")


class NotRenewable(ApplicationError):
    """A card cannot be renewed with its signature now."""

    first_day: date
    _message = text("The card can be renewed with its signature from {first_day} until it expires.")
    _next_step = text("Apply on paper, or wait until that day.")


class RenewalDiffers(ApplicationError):
    """A renewal asks for something else than the old card is."""

    _message = text(
        "A renewal is for the same organisation and rank as the old card, and stays as that card signed it."
    )
    _next_step = text("Sign with the card that is to be renewed, or apply on paper.")


class RenewalUnsigned(ApplicationError):
    """A renewal came without a signature of the old card that counts."""

    reason: Text
    _message = text("The signature of the old card was not taken. {reason}")
    _next_step = text("Insert the card that is to be renewed, and sign again.")


class RenewedNotValid(ApplicationError):
    """The certificate that signed a renewal is none of a valid card of this centre."""

    _message = text("The card that signed is not valid at this centre, so it renews nothing.")
    _next_step = text("Look its certificates up: resume what is suspended, or apply on paper.")


class AlreadyRenewed(ApplicationError):
    """A new card was asked for with this one already."""

    _message = text("A new card has been applied for with this one already.")
    _next_step = text("Look at the progress of that application, or withdraw it first.")


class DraftGone(ApplicationError):
    """There is no such draft, or not any more, or another browser began it."""

    hours: int
    _message = text("What you filled in is not here any more, or was begun in another browser.")
    _next_step = text(
        "A form is kept for {hours} hours. Begin again; if you saved what you had filled in, load it there."
    )


class ChoiceMissing(ApplicationError):
    """It was not chosen which card or certificate is applied for."""

    _message = text("It was not chosen which card or certificate you apply for.")
    _next_step = text("Go back, and choose one of what is offered.")


class NotAgreed(ApplicationError):
    """Nobody has agreed to the terms of use as they are now."""

    _message = text("You have not agreed to the terms of use.")
    _next_step = text("Read them, and tick that you agree. Without that no application is taken.")


class CardsNotMade(ApplicationError):
    """Nobody makes cards for this centre."""

    _message = text("This centre takes no applications for cards at present.")
    _next_step = text("Apply for a certificate without a card, or ask the issuer.")


class CaseClosedToBrowser(ApplicationError):
    """A browser asks for a case whose number and user code it did not give, or too long ago."""

    minutes: int
    _message = text("This page is open for {minutes} minutes after you entered case number and user code.")
    _next_step = text("Enter both again.")


class ReasonMissing(ApplicationError):
    """Something that the applicant is told lacks its reason, or has an unusable one."""

    detail: Text
    _message = text("The reason cannot be sent: {detail}.")
    _next_step = text("Write in one line what the applicant has to do.")


class ForeignCounter(ApplicationError):
    """An officer reviews for another registration counter."""

    counter: str
    _message = text("Applications of this organisation are reviewed at the counter {counter}.")
    _next_step = text("Leave it to an officer of that counter.")


class ApplicationUnknown(ApplicationError):
    """There is no such application."""

    _message = text("There is no such application.")
    _next_step = text("Open it again from the list.")


class ApplicationChanged(ApplicationError):
    """An application is not any more as somebody saw it who acts on it."""

    _message = text("This application has changed since you saw it. Nothing was done.")
    _next_step = text("Look at it as it is now, and decide again.")


class ScanUnusable(ApplicationError):
    """A file is no scan that can be kept."""

    megabytes: int
    _message = text("This file cannot be kept as a scan.")
    _next_step = text("Choose a PDF, PNG or JPEG file of {megabytes} MiB at most.")


class TooManyScans(ApplicationError):
    """An application has as many scans as it may have."""

    most: int
    _message = text("An application has {most} scans at most.")
    _next_step = text("Put what is missing on paper into the file of the case.")


class NoScan(ApplicationError):
    """There is no such scan."""

    _message = text("There is no such scan.")
    _next_step = text("Open it again from the application.")


class NoFeeDue(ApplicationError):
    """An application waits for no fee."""

    _message = text("No fee is to be paid for this application now.")
    _next_step = text("Look at its progress.")


class SlipUnknown(ApplicationError):
    """A provider told of a payment to a slip that was never issued."""

    _message = text("There is no payment slip with this number.")
    _next_step = text("Compare the number with the provider's record.")


class CertificatesChanged(Refused):
    """Certificates are not any more as somebody saw them who acts on them."""

    code = "certificates_changed"
    _message = text("These certificates have changed since you saw them. Nothing was done.")
    _next_step = text("Look at them as they are now, and decide again.")


class LetterNumberMissing(Refused):
    """What is asked for by letter has no number that can be kept."""

    detail: Text
    code = "letter_number_missing"
    _message = text("The number of the letter cannot be kept: {detail}.")
    _next_step = text("Copy the number of the letter that asks for it.")


class NoCardChosen(CentreError):
    """Nothing, or too much, is to be printed or mailed."""

    most: int
    _message = text("No card was chosen, or more than {most}.")
    _next_step = text("Tick the cards that go to the post together.")


class NoSuchOrder(CentreError):
    """No card was made under this number, or for this application."""

    _message = text("No such card was made here.")
    _next_step = text("Compare the number with the letter that came with the card.")


class OfficerError(CentreError):
    """Something is wrong with an officer."""


class BadOfficer(OfficerError):
    """An officer cannot be recorded as it was asked for."""

    detail: Text
    _message = text("The officer cannot be recorded: {detail}.")
    _next_step = text("Correct it, and do it again.")


class OfficerIdTaken(OfficerError):
    """An officer is to be appointed under the id of another one."""

    officer: str
    _message = text("{officer} is the id of an officer already.")
    _next_step = text("Choose another id; who comes back is appointed anew on the page of that officer.")


class OfficerUnknown(OfficerError):
    """There is no such officer."""

    officer: str
    _message = text("There is no officer {officer}.")
    _next_step = text("Look at the list of officers.")


class OfficerCardTaken(OfficerError):
    """A card is another officer's."""

    officer: str
    _message = text("This card is that of the officer {officer}.")
    _next_step = text("Each officer has a card of his own: give another one.")


class OfficerCardUnusable(OfficerError):
    """A card is none with which an officer can log in."""

    card: str
    _message = text("{card} is no card of this centre with valid certificates.")
    _next_step = text("Have the card activated and its certificates accepted first, or give another one.")


class StaffChangeRefused(OfficerError):
    """Somebody is not appointed or dismissed."""


class AboutYourself(StaffChangeRefused):
    """An officer has no say about himself."""

    _message = text("Nobody is appointed or dismissed by himself.")
    _next_step = text("Leave it to two other officers, or to an operator.")


class StaffChangeNotYours(StaffChangeRefused):
    """An officer has no say about another one."""

    _message = text("You have no say about this officer.")
    _next_step = text(
        "Leave it to officers of the same registration counter or of the second review, or to an operator."
    )


class SameProposer(StaffChangeRefused):
    """Two persons with two cards are needed."""

    _message = text("Who proposed it does not support it.")
    _next_step = text("Leave it to another officer, who has another card.")


class StaffChangeOpen(StaffChangeRefused):
    """Something else about the officer waits for its supporter."""

    officer: str
    _message = text("Another proposal about the officer {officer} waits for its supporter.")
    _next_step = text("Support or drop that one first.")


class StaffChangeGone(StaffChangeRefused):
    """A proposal does not wait any more."""

    _message = text("This proposal took effect already, was dropped, or has ended.")
    _next_step = text("Look at the list of officers.")


class RequestRefused(CentreError):
    """A request to the centre's pages is not carried out, whatever it asks for."""


class AddressUnknown(RequestRefused):
    """There is no such page."""

    _message = text("There is nothing at this address.")
    _next_step = text("Check the address, or begin at the home page.")


class MethodRefused(RequestRefused):
    """The address exists, and takes other methods of HTTP."""

    _message = text("This address does not take requests of this method. Nothing was done.")
    _next_step = text("Begin at the home page.")


class HostUnknown(RequestRefused):
    """The request names another host than the centre's."""

    _message = text("This is not the address of the certificate centre. Nothing was done.")
    _next_step = text("Type the address of the centre yourself.")


class ForeignPage(RequestRefused):
    """A page of another site sent the request."""

    _message = text("Another web site sent this request. Nothing was done.")
    _next_step = text("If you want to do this, open the page of the centre yourself.")


_AGAIN = text("Open the page again and repeat it.")


class FormTypeWrong(RequestRefused):
    """The body is not of a type that the address takes."""

    _message = text("What was sent is not a form of this site. Nothing was done.")
    _next_step = _AGAIN


class FormMalformed(RequestRefused):
    """The body cannot be read as a form."""

    _message = text("What was sent cannot be read as a form. Nothing was done.")
    _next_step = _AGAIN


class IdempotencyKeyMalformed(RequestRefused):
    """The header Idempotency-Key is no string of the length that is taken, or is there twice."""

    shortest: int
    longest: int
    _message = text("The header Idempotency-Key cannot be used. Nothing was done.")
    _next_step = text(
        "Send it once, as {shortest} to {longest} ASCII characters in quotation marks, such as a new UUID."
    )


class IdempotencyKeyReused(RequestRefused):
    """Another request came with the same key, not long ago."""

    hours: int
    _message = text("Something else was asked with this Idempotency-Key. Nothing was done.")
    _next_step = text(
        "Make up a new key for a new request; for the same one send the same document, within {hours} hours."
    )


class FormTooLarge(RequestRefused):
    """The body has more bytes than the address takes."""

    _message = text("What was sent is too large. Nothing was done.")
    _next_step = text("Send a smaller file.")


class FormTooSlow(RequestRefused):
    """The body did not arrive in time."""

    _message = text("The form did not arrive in time. Nothing was done.")
    _next_step = _AGAIN


class Unexpected(RequestRefused):
    """The program failed."""

    _message = text("An unexpected problem occurred.")
    _next_step = text("See what the state is now before you repeat anything. If it happens again, call us.")


class PageStale(RequestRefused):
    """A form that does something once was sent again, or was open for too long."""

    _message = text("This form was sent already, or was open for too long. It did nothing now.")
    _next_step = text("See what the state is now. If it was not done, open the page again and repeat it.")


class TooManyRequests(RequestRefused):
    """A network asks for more than it is given."""

    minutes: int
    _message = text("Too many requests come from your network.")
    _next_step = plural(
        "Wait {minutes} minute. Then do it again.", "Wait {minutes} minutes. Then do it again.", "minutes"
    )


class NotLoggedIn(RequestRefused):
    """The page is for those who logged in."""

    _message = text("This page is for those who logged in with their card.")
    _next_step = text("Log in with the card.")


class LoginTooOld(RequestRefused):
    """What cannot be undone is done by who has just shown the card."""

    minutes: int
    _message = text("You logged in more than {minutes} minutes ago. Nothing was done.")
    _next_step = text("Log in with the card again, and repeat it.")


class OtherLoginNeeded(RequestRefused):
    """Somebody else's card is logged in than the page is for."""

    _message = text("With this card you may not see this page.")
    _next_step = text("Log out. Then log in with the card that you have for this task.")


class CodeResetError(CentreError):
    """Something about a request for a new user code of a card."""


class CodeResetUnknown(CodeResetError):
    """There is no such request, or an officer of another counter decides about it."""

    _message = text("There is no such request for a user code reset at your counter.")
    _next_step = text("Compare the number with the letter.")


class CodeResetOver(CodeResetError):
    """A request was decided, or it ended: by a newer one, or because of what happened to the card."""

    state: Text
    _message = text("This request for a user code reset is over: {state}.")
    _next_step = text("If a reset is still needed, the holder asks for it again.")


class TicketRefused(CodeResetError):
    """Link and secret do not belong together, or the ticket is over: which of them is not told."""

    _message = text("The link and the secret do not belong together, or they can no longer be used.")
    _next_step = text(
        "Mind upper and lower case. Three wrong secrets in a row end the request, and so do the activation "
        "of the card, a revocation and a newer request: then ask for a user code reset again."
    )


class SettingsError(CentreError):
    """The settings of a centre cannot be used."""


class BadSettings(SettingsError):
    """A file of settings, or one that they name, cannot be used."""

    path: Path
    key: str
    detail: Text | str
    _message = text("{path} cannot be used ({key}): {detail}.")
    _next_step = text("Correct it. `xca-centre settings` shows settings to begin with.")


class SecretExposed(SettingsError):
    """Others may read a file with a secret."""

    path: Path
    _message = text("Others may read {path}, which holds a secret.")
    _next_step = text("Take their rights away: chmod 600. If others could read it before, change the secret.")


class SoftHSMMissing(SettingsError):
    """SoftHSM is to be the token, and is not installed."""

    _message = text("SoftHSM is not installed.")
    _next_step = text("Install it (apt: softhsm2), or name another PKCS#11 module in the settings.")


class ClockNotMoved(CentreError):
    """A clock for trials cannot be moved like that."""

    _message = text("The clock can only be moved ahead, and by 40 years at most.")
    _next_step = text("Move it ahead, or begin a new sandbox.")


class BeginningError(CentreError):
    """A centre cannot be begun."""


class AlreadyBegun(BeginningError):
    """The centre was begun already, to the end."""

    path: Path
    _message = text("The centre in {path} was begun already. Nothing was changed.")
    _next_step = text("Begin another one in a folder of its own.")


class NotBegun(BeginningError):
    """The centre was not begun, or not to the end."""

    path: Path
    _message = text("The centre in {path} was not begun, or not to its end.")
    _next_step = text("Begin it, or go on where it was cut off: xca-centre init")


class OtherOfficers(BeginningError):
    """A beginning goes on with other officers than it had."""

    officers: Sequence[str]
    _message = text("The centre was begun with the officers {officers}.")
    _next_step = text("Go on with the same ones. Others are recorded when it is begun.")


class CannotListen(CentreError):
    """The centre's web server cannot listen where it should."""

    address: str
    detail: Text | str
    _message = text("Nothing can listen at {address}: {detail}.")
    _next_step = text("End the program that has it, or choose another one with --port.")


class GroundMissing(CentreError):
    """A revocation was asked for without a ground, or with another than the issuer's form has."""

    _message = text("Say why the certificates are to be revoked.")
    _next_step = text("Choose one of the grounds.")


class NotOnACard(CentreError):
    """Something is done to a card, and these certificates are on none."""

    _message = text("The key of these certificates is on no card.")
    _next_step = text("Use the program that made the key.")


class BadSecureEmail(CentreError):
    """What is to be written into the certificates is no e-mail address."""

    _message = text("That is no e-mail address that a certificate can have.")
    _next_step = text("Enter one in the form name@example.org.")


class CodesDiffer(UserCodeError):
    """What was to be entered twice differs; nothing was set."""

    _message = text("The two entries are not the same.")
    _next_step = text("Enter it twice alike. Nothing was changed, and no try was spent.")


class UnreadableList(CentreError):
    """A file is no revocation list."""

    path: Path
    _message = text("{path} is no revocation list (CRL) in DER.")
    _next_step = text("Fetch the list again, from where it was published or from a mirror.")


class ForeignList(CentreError):
    """A revocation list is not the centre's, or somebody has changed it, as who runs a mirror can."""

    path: Path
    _message = text("No CA of this centre signed the revocation list {path}. Nothing was merged.")
    _next_step = text("Fetch the list again, from where it was published or from a mirror.")
