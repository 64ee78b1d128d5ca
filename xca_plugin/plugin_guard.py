# SPDX-License-Identifier: Apache-2.0
"""Checks of what plugins answer: a plugin may be wrong, and its answer is not taken for the card's."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import is_dataclass
from functools import lru_cache, wraps
from typing import Any, Final, get_args, get_type_hints

import pluggy

from xca_common.errors import XcaError, place_of
from xca_common.i18n import LANGUAGES, Text
from xca_common.pki.certificate import Certificate
from xca_common.secret import Secret, TypedAtReader
from xca_plugin import errors
from xca_plugin.i18n import text
from xca_plugin.model import (
    Acceptance,
    Card,
    CertificateStatus,
    Event,
    Hash,
    IssuerContact,
    OddCertificate,
    Padding,
)


class Guard:
    """Stands between the facade and the plugins of others.

    Args:
        plugins: where they are registered.
        own: names of the built-in plugins; their own exceptions pass.
    """

    def __init__(self, plugins: pluggy.PluginManager, own: Sequence[str]) -> None:
        self._plugins = plugins
        self._own = frozenset(own)
        self._last = threading.local()

    def watch(self, name: str) -> None:
        """Check every answer of a plugin from now on.

        Args:
            name: the name that it is registered under.
        """
        plugin = self._plugins.get_plugin(name)
        for caller in self._plugins.get_hookcallers(plugin) or ():
            for implementation in caller.get_hookimpls():
                if implementation.plugin is plugin and not (
                    implementation.wrapper or implementation.hookwrapper
                ):
                    call = self._watched(name, caller.name, implementation.function)
                    implementation.function = call  # type: ignore[misc]  # pluggy calls what stands there

    def ask(self, hook: str, **arguments: Any) -> Any:
        """Ask the plugins, and check the answer also after a wrapper had it.

        Raises:
            PluginMisbehaved: one answered with something else than the hook says, or failed.
        """
        self._last.name, self._last.asked = "?", hook
        secrets = [each for each in arguments.values() if isinstance(each, Secret)]
        with self._failing(secrets):
            answer = getattr(self._plugins.hook, hook)(**arguments)
        if isinstance(answer, list) and hook not in _BY_CARD:
            for each in answer:
                self._check(hook, each)
        else:
            self._check(hook, answer)
        about = arguments.get("card")
        if (
            isinstance(answer, (Acceptance, Card))
            and isinstance(about, Card)
            and answer.number != about.number
        ):
            raise self._misbehaved(text("it answered about another card"))
        return answer

    @property
    def answered_by(self) -> str:
        """The name of the plugin that answered last in this thread."""
        name: str = self._last.name
        return name

    @contextmanager
    def blaming(self, name: str, hook: str) -> Iterator[None]:
        """Blame a plugin for what fails in the block, but for the errors that hooks may raise.

        Raises:
            PluginMisbehaved: something failed.
        """
        self._last.name, self._last.asked = name, hook
        with self._failing():
            yield

    def check_signature(
        self,
        name: str,
        signature: object,
        certificate: Certificate,
        digest: bytes,
        scheme: tuple[Hash, Padding],
    ) -> bytes:
        """Return a signature that a plugin made, if it is one of the digest by the certificate's key.

        Raises:
            CardFault: it is not; the card's own plugin made it.
            PluginMisbehaved: it is not.
        """
        if isinstance(signature, bytes) and fits(signature, certificate, digest, *scheme):
            return signature
        detail = text("its signature does not fit its certificate")
        if name in self._own:
            raise errors.CardFault(detail=detail)
        raise errors.PluginMisbehaved(name=name, hook="xca_sign", detail=detail)

    def check_bytes(self, name: str, hook: str, answer: object) -> bytes:
        """Return what a plugin answered, if it is bytes.

        Raises:
            PluginMisbehaved: it is not.
        """
        if not isinstance(answer, bytes):
            self._last.name, self._last.asked = name, hook
            raise self._misbehaved(_other(answer))
        return answer

    def _watched(self, name: str, hook: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def call(*arguments: object) -> object:
            with self.blaming(name, hook):
                answer = function(*arguments)
            self._check(hook, answer)
            return answer

        return call

    def _check(self, hook: str, answer: object) -> None:
        accepts = _BY_CARD.get(hook) or _LISTS.get(hook)
        if answer is not None and accepts is not None and not accepts(answer):
            raise self._misbehaved(_other(answer))

    @contextmanager
    def _failing(self, secrets: Sequence[Secret] = ()) -> Iterator[None]:
        try:
            yield
        except XcaError as error:
            if any(_quotes(error, secret) for secret in secrets):
                raise self._misbehaved(text("what it said quoted a secret, and is not shown")) from None
            raise
        except (Exception, SystemExit) as error:
            if self._last.name in self._own:
                raise
            # Not its text, which may hold a secret.
            raise self._misbehaved(place_of(error)) from error

    def _misbehaved(self, detail: Text | str) -> errors.PluginMisbehaved:
        return errors.PluginMisbehaved(name=self._last.name, hook=self._last.asked, detail=detail)


def fits(
    signature: bytes, certificate: Certificate, digest: bytes, digest_hash: Hash, padding: Padding
) -> bool:
    """Tell whether a signature of a digest was made with the key of a certificate."""
    # Slow to load, and most commands sign nothing.
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding as rsa_padding
    from cryptography.hazmat.primitives.asymmetric import rsa, utils

    algorithms: dict[Hash, type[hashes.HashAlgorithm]] = {
        Hash.SHA1: hashes.SHA1,
        Hash.SHA256: hashes.SHA256,
        Hash.SHA384: hashes.SHA384,
        Hash.SHA512: hashes.SHA512,
    }
    try:
        key = _public_key(certificate.der)
        algorithm = algorithms[digest_hash]()
        if padding is Padding.PSS:
            scheme: rsa_padding.AsymmetricPadding = rsa_padding.PSS(
                rsa_padding.MGF1(algorithm), algorithm.digest_size
            )
        else:
            scheme = rsa_padding.PKCS1v15()
        if not isinstance(key, rsa.RSAPublicKey):
            return False
        key.verify(signature, digest, scheme, utils.Prehashed(algorithm))
    except (InvalidSignature, UnsupportedAlgorithm, ValueError):
        return False
    return True


@lru_cache(16)
def _public_key(der: bytes) -> object:
    from cryptography import x509

    return x509.load_der_x509_certificate(der).public_key()


def _other(answer: object) -> Text:
    kind = type(answer).__name__
    if isinstance(answer, Sequence) and not isinstance(answer, (str, bytes)):
        kinds = list(dict.fromkeys(type(each).__name__ for each in answer)) or "-"
        said = text("it answered with a {kind} that holds something else than it should, of the type {kinds}")
        return said.format(kind=kind, kinds=kinds)
    if is_dataclass(answer):
        return text("it answered with a {kind} that has values of other types").format(kind=kind)
    return text("it answered with a value of the type {kind}").format(kind=kind)


def blotted(said: Text | str, secrets: Sequence[Secret]) -> Text | str:
    """Return what a plugin said, without the secrets that it quotes."""
    if isinstance(said, Text):
        if not any(_quotes_in(said(language), secret) for language in LANGUAGES for secret in secrets):
            return said
        said = said()
    for secret in secrets:
        if _quotes_in(said, secret):
            said = said.replace(secret.reveal(), "…")
    return said


def _quotes(error: XcaError, secret: Secret) -> bool:
    said = (f"{error.message(language)} {error.next_step(language)}" for language in LANGUAGES)
    return any(_quotes_in(each, secret) for each in said)


def _quotes_in(said: str, secret: Secret) -> bool:
    if secret.is_wiped or isinstance(secret, TypedAtReader):
        return False
    value = secret.reveal()
    return bool(value) and value in said


# --- what the hooks answer (hookspecs)


def _is_whole(kind: type) -> Callable[[object], bool]:
    """Accept a value of a dataclass whose attributes have the types that the class says."""
    hints = get_type_hints(kind)

    def accepts(answer: object) -> bool:
        return isinstance(answer, kind) and all(
            _is_of(getattr(answer, name), get_args(hint) or (hint,)) for name, hint in hints.items()
        )

    return accepts


def _is_of(value: object, kinds: tuple[type, ...]) -> bool:
    return bool in kinds if isinstance(value, bool) else isinstance(value, kinds)


def _is_event(answer: object) -> bool:
    # A time without a zone cannot be compared with the others.
    return _is_whole(Event)(answer) and isinstance(answer, Event) and answer.at.tzinfo is not None


_is_card: Final = _is_whole(Card)
_is_acceptance: Final = _is_whole(Acceptance)


def _is(*kinds: type) -> Callable[[object], bool]:
    return lambda answer: isinstance(answer, kinds)


def _all(accepts: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda answer: (
        isinstance(answer, Sequence)
        and not isinstance(answer, (str, bytes))
        and all(accepts(each) for each in answer)
    )


def _is_context(answer: object) -> bool:
    return hasattr(type(answer), "__enter__") and hasattr(type(answer), "__exit__")


_BY_CARD: Final[dict[str, Callable[[object], bool]]] = {
    **dict.fromkeys(
        (
            "xca_read",
            "xca_activate",
            "xca_change_pin",
            "xca_reset_pin",
            "xca_verify_pin",
            "xca_verify_user_code",
            "xca_change_user_code",
            "xca_write_certificate",
        ),
        _is_card,
    ),
    "xca_certificates": _all(_is(Certificate, OddCertificate)),
    "xca_issuer_contact": _is_whole(IssuerContact),
    "xca_certificate_status": _is_whole(CertificateStatus),
    "xca_accept": _is_acceptance,
    "xca_reset_user_code": _is(bool),
    "xca_session": _is_context,
    "xca_sign": _is(bytes),
    "xca_decrypt": _is(bytes),
}
"""Of each hook that one plugin answers: whether an answer is of the kind that it says."""
_LISTS: Final[dict[str, Callable[[object], bool]]] = {
    "xca_readers": _all(_is(str)),
    "xca_detect": _all(_is_card),
    "xca_history": _all(_is_event),
    "xca_other_cards": _all(_is(str)),
    "xca_deliver_acceptances": _all(_is_acceptance),
    "xca_veto_new_pin": _is(str, Text),
}
"""The same of each hook that every plugin answers."""
