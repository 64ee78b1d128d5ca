# SPDX-License-Identifier: Apache-2.0
"""What is said of a structure that cannot be read: which part of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from asn1crypto import core  # type: ignore[import-untyped]

from xca_common.i18n import Text, text


class Malformed(ValueError):  # a situation
    """A certificate, CRL, OCSP response or CMS structure cannot be read, or is not of the kind that is read.

    Attributes:
        detail: what is wrong, as a clause: "its validity cannot be read".
    """

    def __init__(self, detail: Text) -> None:
        super().__init__(detail("en"))
        self.detail = detail


class TooMuchError(ValueError):
    """There is more than is read.

    Attributes:
        detail: more than what.
    """

    def __init__(self, detail: Text) -> None:
        super().__init__()
        self.detail = detail


@contextmanager
def reading(part: Text) -> Iterator[None]:
    """Turn whatever a library raises for a part into Malformed, which names the part.

    Malformed, TooMuchError and what says nothing of the part itself (OSError, EOFError, MemoryError) pass.
    """
    try:
        yield
    except (Malformed, TooMuchError, OSError, EOFError, MemoryError):
        raise
    except Exception as error:  # asn1crypto and cryptography raise a dozen kinds, some of them with the bytes
        raise Malformed(text("{part} cannot be read").format(part=part)) from error


# Extensions whose addresses asn1crypto decodes for people, and fails for what is no address.
_WITH_ADDRESSES: Final = frozenset(
    {
        "authority_information_access",
        "crl_distribution_points",
        "freshest_crl",
        "issuer_alt_name",
        "issuing_distribution_point",
        "name_constraints",
        "subject_alt_name",
        "subject_information_access",
    }
)


def read_extensions(holder: core.Sequence, part: str) -> None:
    """Read the extensions of a certificate, CRL or response as far as their structure is known.

    Args:
        holder: what has them.
        part: which of its parts they are.

    Raises:
        Malformed: one of them cannot be read, or is there twice; it is named.
    """
    seen = set()
    with reading(text("its extensions")):
        for extension in holder[part]:
            identifier, _ = extension["extn_id"], extension["critical"].native
            name = str(identifier.native).replace("_", " ")
            if identifier.dotted in seen:
                raise Malformed(text("it has the extension {name} twice").format(name=name))
            seen.add(identifier.dotted)
            with reading(text("its extension {name}").format(name=name)):
                if identifier.native in extension._oid_specs:
                    parsed = extension["extn_value"].parsed
                    if identifier.native not in _WITH_ADDRESSES:
                        _ = parsed.native  # it reads lazily
