# SPDX-License-Identifier: Apache-2.0
"""Why a signature does not hold, or cannot be judged, and what to do then."""

from dataclasses import dataclass
from typing import Final

from xca_common.i18n import Text
from xca_plugin.i18n import text

ASK_AGAIN: Final = text("Do not rely on this file. Ask the sender for it and its signature again.")
"""The next step where the signature may have been altered."""
SIGN_AGAIN: Final = text(
    "Do not rely on this file. Ask its signer to sign it again, with a certificate that is valid."
)
"""The next step where the signer's certificate is the problem."""
SIGN_STRONGER: Final = text(
    "Do not rely on this file. Ask its signer to sign it again, with SHA-256 and an RSA key of 2048 bits or "
    "more, or a key on an elliptic curve."
)
"""The next step where an algorithm or a key is too weak."""
GET_ROOT: Final = text(
    "Do not rely on this file unless you trust the CA that issued the signer's certificate. If you do, get "
    "its root certificate from the CA itself, not from the sender, and verify again with that."
)
"""The next step where the chain does not end at a trusted certificate."""
CHECK_CLOCK: Final = text("Check this computer's clock. If it is right, do not rely on this file yet.")
"""The next step where a certificate is not valid yet."""


@dataclass(frozen=True)
class SignatureProblem:
    """Why a signature does not hold, or cannot be judged.

    Attributes:
        reason: why, as a clause with its full stop.
        next_step: what to do then.
    """

    reason: Text
    next_step: Text = ASK_AGAIN

    def __call__(self, language: str | None = None) -> str:
        """Return the reason as a string, as Text does."""
        return self.reason(language)

    def format(self, **facts: object) -> "SignatureProblem":
        """Return the problem with these facts in its reason."""
        return SignatureProblem(self.reason.format(**facts), self.next_step)
