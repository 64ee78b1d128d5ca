# SPDX-License-Identifier: Apache-2.0
"""The payment provider for tests and the sandbox, where no money moves: a folder with a file a payment.

Somebody pays on its page (web.trial_payments). The settings refuse it to every issuer but the one for tests.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from xca_centre.errors import PaymentProviderUnavailable
from xca_centre.payment_provider import Payment, SlipToPay
from xca_common import atomic_file
from xca_common.errors import os_reason
from xca_common.folders import make_private


@dataclass(frozen=True)
class TrialProvider:
    """The provider (PaymentProvider).

    Attributes:
        folder: with its payments; it is made when the first one comes.
    """

    folder: Path

    def announce(self, slip: SlipToPay) -> None:
        """Do nothing: its page knows every slip."""

    def payment(self, slip: SlipToPay) -> Payment | None:
        """Return what was paid to a slip."""
        try:
            found = json.loads(self._path(slip).read_bytes())
            return Payment(found["amount"], datetime.fromisoformat(found["paid_at"]))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise PaymentProviderUnavailable(reason=os_reason(error)) from error

    def pay(self, slip: SlipToPay, paid_at: datetime) -> None:
        """Pay a slip, if it was not paid already.

        Raises:
            PaymentProviderUnavailable: the folder cannot be written.
        """
        content = json.dumps({"amount": slip.due, "paid_at": paid_at.isoformat()})
        try:
            make_private(self.folder)
            if not self._path(slip).exists():
                atomic_file.write(self._path(slip), content.encode())
        except OSError as error:
            raise PaymentProviderUnavailable(reason=os_reason(error)) from error

    def _path(self, slip: SlipToPay) -> Path:
        return self.folder / f"{slip.number}.json"


def open_provider(folder: Path) -> TrialProvider:
    """Return the provider whose payments are in a folder."""
    return TrialProvider(folder)
