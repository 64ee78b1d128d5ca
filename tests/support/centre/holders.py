# SPDX-License-Identifier: Apache-2.0
"""Cards that were made for applications, in the hands of their holders: with a user code at the centre."""

from cryptography import x509

from support.centre.authority import key
from support.centre.cases import CODE, card_of_an_application, with_organisations
from support.centre.web import Card
from xca_centre import certificate_sets
from xca_centre.web.frame import Frame
from xca_login.testing.parties import Party


class HeldCard(Card):
    """A card with two certificates, made for an application; they are not accepted yet.

    Attributes:
        serial: of the certificate for signatures.
    """

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        made = card_of_an_application(with_organisations(frame.database))
        assert made.card is not None
        self.number, self.certificates = made.card, made.id
        with frame.database.read() as connection:
            issued = certificate_sets.certificates_of(connection, made.id)
        self.serial = issued[0].serial
        self.signing, self.encryption = (
            Party(x509.load_der_x509_certificate(each.der), key(f"{use} of {int(made.card[2:])}"))
            for each, use in zip(issued, ("SIGN", "KEYX"), strict=True)
        )

    @property
    def state(self) -> str:
        """Where its certificates are."""
        with self._frame.database.read() as connection:
            return certificate_sets.of_card(connection, self.number)[0].standing.state.value

    def fields(self, **more: str) -> dict[str, str]:
        """Return the fields of a form that name the card and its user code."""
        return {"number": self.number, "serial": self.serial, "code": CODE, **more}
