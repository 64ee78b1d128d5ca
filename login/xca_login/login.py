# SPDX-License-Identifier: Apache-2.0
"""Who logged in."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from typing import Final, NamedTuple

from xca_common.i18n import Text
from xca_common.taipei import TAIPEI
from xca_login.evidence import Evidence
from xca_login.i18n import text

_FELL_BACK: Final = text(
    "On {time} somebody logged in here with this card, and the local component did not confirm which site "
    "asked, as it had done before. If that was not you, tell the operator of this site."
)


class Binding(IntEnum):
    """How it is known which site asked for the signature; the higher, the better."""

    DECLARED = 1
    """The text that was signed names the site; the holder's program did not compare."""
    VERIFIED = 2
    """The holder's program compared it with the page that asked, and signed that."""


class Account(NamedTuple):
    """What makes two logins those of one account. A new card is another account, until the site links them.

    Attributes:
        domain: Trust.domain: who vouches for the organisations' numbers.
        organisation: the organisation's OID, or 統一編號.
        key: SHA-256 of the certified key (SubjectPublicKeyInfo), hexadecimal.
    """

    domain: str
    organisation: str
    key: str


@dataclass(frozen=True)
class Login:
    """A login that was verified.

    Attributes:
        account: what the site keeps it under.
        holder: subject DN, in the order of the certificate.
        holder_name: the holder as people say it.
        holder_kind: OID of the kind of holder, such as profile.SCHOOL.
        organisation_oid: OID of the organisation; None: the certificate does not tell.
        tax_id: 統一編號 of a company; None: likewise.
        rank: primary (正卡) or secondary (附卡).
        serial: serial number of the certificate, hexadecimal. It names no account.
        binding: how it is known which site asked.
        at: when it was verified, by the site's clock.
        is_revocation_known: False: the site's policy let it in without an answer about revocation.
        fallback: when the account logged in as declared although it had logged in as verified before, which
            the site permits to it: this login, or one of which the holder was not told. None: it did not.
        evidence: what was verified, to be kept.
    """

    account: Account
    holder: str
    holder_name: str
    holder_kind: str
    organisation_oid: str | None
    tax_id: str | None
    rank: str
    serial: str
    binding: Binding
    at: datetime
    is_revocation_known: bool
    fallback: datetime | None
    evidence: Evidence = field(repr=False)

    @property
    def notice(self) -> Text | None:
        """What the site has to tell the holder, on its page and in another way as well; None: nothing."""
        if self.fallback is None:
            return None
        return _FELL_BACK.format(time=f"{self.fallback.astimezone(TAIPEI):%Y-%m-%d %H:%M}")
