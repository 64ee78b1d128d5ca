# SPDX-License-Identifier: Apache-2.0
"""Questions that people ask, and the answers: on the back of the letter (開卡通知函), and on the pages."""

from collections.abc import Sequence

from xca_centre.i18n import text
from xca_centre.issuer_rules import IssuerRules, Said


def about_cards(rules: IssuerRules) -> Sequence[tuple[Said, Said]]:
    """Return what holders ask about their card, each with its answer, but for until when it is activated."""
    words, menu = rules.wordings, rules.menu
    return [
        (text("I have forgotten the user code."), words.user_code_forgotten),
        (text("The user code was wrong three times."), words.user_code_locked),
        (text("I did not note the PIN, or it is locked."), words.pin_lost),
        (
            text("Can somebody tell me the user code or the PIN?"),
            text("No. Neither your organisation's purchasing office nor the issuer can find them out."),
        ),
        (
            text("How do I see that the activation has worked?"),
            text(
                "Look the certificates up under “{query}”: the card is activated if they are “{valid}”."
            ).format(query=menu.query, valid=rules.labels.valid),
        ),
        (
            text("How long is the card valid, and what if the person in charge changes?"),
            text(
                "Its certificates are valid for {years} years. Nothing about the applicant is on the "
                "card: it goes on working, and is handed over with the post."
            ).format(years=rules.profile.validity.years),
        ),
        (
            text("Does the card need a key registration at the e-procurement site?"),
            text(
                "Not on its own. The first tender that needs the card does the key registration by "
                "itself; what is encrypted later needs no card."
            ),
        ),
        (
            text("The card is lost, or the organisation has another name."),
            text("Suspend the certificates at once under “{suspend}”, and ask for their revocation.").format(
                suspend=menu.suspend_or_resume
            ),
        ),
        (text("Something does not work."), words.call.format(line=rules.about.contact_line)),
    ]


def about_applications(rules: IssuerRules) -> Sequence[tuple[Said, Said]]:
    """Return what organisations ask before they have a card, each with its answer."""
    days, fees = rules.deadlines, rules.fees
    return [
        (
            text("Who may apply?"),
            text(
                "Schools, foundations, associations, administrative corporations, offices of free "
                "professions and other organisations. The organisation applies with an official letter "
                "and its seal."
            ),
        ),
        (
            text("What is the difference between a primary and a secondary card?"),
            text(
                "An organisation has one primary card (正卡) and as many secondary cards (附卡) as it needs. "
                "Procurement uses secondary cards. Each card is applied for on its own."
            ),
        ),
        (
            text("What does it cost, and how long does it take?"),
            text("A card {card} NT dollars, a certificate without a card {certificate}. {delivery}").format(
                card=fees.card.ntd,
                certificate=fees.certificate.ntd,
                delivery=rules.wordings.delivery.format(
                    weeks=days.delivery_from.weeks, months=days.delivery_to.months
                ),
            ),
        ),
        (
            text("How do I apply for a second card?"),
            text(
                "Save the data of the first application, and load the file into the form of the second one "
                "with the user code."
            ),
        ),
        (
            text("The card expires soon. What is to be done?"),
            text(
                "Within the last {days} days apply for a new card with the signature of the old one: no "
                "paper is needed. After that, only the way with letter and form is left."
            ).format(days=days.renewal_window.days),
        ),
        (
            text("Our name or level has changed. What is to be done?"),
            text(
                "Ask for the revocation within {weeks} weeks, and apply for a new card. Otherwise the centre "
                "revokes the certificates."
            ).format(weeks=days.name_change.weeks),
        ),
    ]
