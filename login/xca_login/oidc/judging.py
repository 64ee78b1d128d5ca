# SPDX-License-Identifier: Apache-2.0
"""Which cards the provider lets in: those of trusted CAs, or the stand-in's test cards."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from xca_common.errors import os_reason
from xca_common.i18n import Text
from xca_common.pki import profile, strict_certificate
from xca_common.pki.malformed import Malformed, TooMuchError
from xca_login.accounts import AccountStore
from xca_login.errors import Misconfigured
from xca_login.i18n import text
from xca_login.login import Binding
from xca_login.oidc.settings import Settings
from xca_login.policy import Policy
from xca_login.revocation import GivenRevocation, Revocation
from xca_login.trust import Trust, TrustFolder
from xca_login.verifier import Verifier


class BadTestCards(Misconfigured):
    """The folder of a test CA cannot be used."""

    path: Path
    detail: Text | str
    _message = text("The test CA cannot be used: {path}: {detail}.")
    _next_step = text("Give the folder that softhsm-card publish names. Then start the provider again.")


def verifier(settings: Settings, accounts: AccountStore, clock: Callable[[], datetime]) -> Verifier:
    """Return what judges logins.

    Args:
        settings: the settings.
        accounts: keeps which accounts logged in as verified.
        clock: tells the time, with a time zone.

    Raises:
        BadTrust, BadTrustFile: the certificates of the CAs cannot be used.
        BadTestCards: the test CA cannot be used.
    """
    policy = Policy(
        binding=Binding.VERIFIED if settings.verified_origin else Binding.DECLARED,
        declared_accounts=settings.declared_accounts,
    )
    if not settings.lets_test_cards_in:
        revocation = Revocation(settings.folder / "lists", settings.hosts)
        return Verifier(settings.site, TrustFolder(settings.ca), revocation, policy, accounts, clock=clock)
    policy = replace(policy, certificate_policies=frozenset({profile.TEST_POLICY}))
    return Verifier(settings.site, *_test_authority(settings.ca), policy, accounts, clock=clock)


def _test_authority(folder: Path) -> tuple[Trust, GivenRevocation]:
    """Return a test CA of softhsm-card, and its list: no test card names an address for one."""
    path = folder
    try:
        certificates = []
        for path in (folder / "ca.pem", folder / "root.pem"):
            certificates += strict_certificate.load_all(path.read_bytes())
        path = folder / "complete.crl"
        revocation = GivenRevocation([path.read_bytes()], ())
    except OSError as error:
        raise BadTestCards(path=path, detail=os_reason(error)) from error
    except (Malformed, TooMuchError) as error:
        raise BadTestCards(path=path, detail=error.detail) from error
    return Trust.of(certificates, domain="test"), revocation
