# SPDX-License-Identifier: Apache-2.0
"""Who collects the fees: a PaymentProvider, found at run time among the installed packages.

A package offers one in the entry point group `xca_centre.payment_providers`: a function that takes a folder,
with what the provider needs to know in it, and returns the provider. The centre imports none of them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import entry_points
from pathlib import Path
from typing import Final, Protocol

from xca_centre.errors import CentreError, NoSuchPaymentProvider, PaymentProviderUnavailable
from xca_common.errors import place_of

GROUP: Final = "xca_centre.payment_providers"
"""Entry points of this group are functions of the type Opening."""


@dataclass(frozen=True)
class SlipToPay:
    """A payment slip, as its provider knows it. What it is for stays in the centre.

    Attributes:
        number: what the payer pays to: 16 digits, of this slip alone.
        due: the fee in NT$: no other amount is taken.
        lapses_at: the first moment at which it cannot be paid any more; with a time zone.
    """

    number: str
    due: int
    lapses_at: datetime


@dataclass(frozen=True)
class Payment:
    """Money that came for a slip, and is not called back any more.

    Attributes:
        amount: in NT$.
        paid_at: when it was paid, by the provider's clock; with a time zone.
    """

    amount: int
    paid_at: datetime


class PaymentProvider(Protocol):
    """Collects fees: a bank, a counter, a site for credit cards.

    Several processes of the centre use one at once. Each call ends within a minute. What a provider raises,
    and an answer that is in doubt, leaves the slip unpaid; the centre asks again.
    """

    def announce(self, slip: SlipToPay) -> None:
        """Be told of a slip that can be paid from now on, until it lapses. The same may be told again.

        Raises:
            PaymentProviderUnavailable: it cannot be done now.
        """

    def payment(self, slip: SlipToPay) -> Payment | None:
        """Return what was paid to a slip; None: nothing, as far as is known now.

        The centre asks again and again while the slip can be paid, and once more after that; perhaps before
        it was announced. Who has said that it was paid may be asked again, and says the same.

        Raises:
            PaymentProviderUnavailable: it cannot be told now.
        """


Opening = Callable[[Path], PaymentProvider]
"""Opens the provider whose settings are in a folder; it raises PaymentProviderUnavailable if it cannot."""


def find_provider(name: str, folder: Path) -> PaymentProvider:
    """Open an installed provider.

    Args:
        name: of its entry point, such as `test`.
        folder: where its settings are.

    Raises:
        NoSuchPaymentProvider: no package offers it.
        PaymentProviderUnavailable: it cannot be used.
    """
    offered = entry_points(group=GROUP)
    if name not in offered.names:
        raise NoSuchPaymentProvider(name=name, offered=sorted(offered.names))
    try:
        opening: Opening = offered[name].load()
        return opening(folder)
    except CentreError:
        raise
    except Exception as error:  # a package of others; what it says may be a secret
        raise PaymentProviderUnavailable(reason=place_of(error)) from error
